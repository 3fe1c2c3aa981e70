"""What Hugging Face's configurations say of a model, in the options of its builder here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

import zoo
from zoo_transformer.vocabulary import FOREIGN

Shapes = Mapping[str, tuple[int, ...]]
Read = Callable[[str], bytes | None]
Config = dict[str, Any]
Describer = Callable[[Config, Shapes, Read], dict[str, Any]]

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first"}
PARTS = {"Transformer", "Pooling", "Normalize"}  # of a sentence encoder, as far as they are known here


def describe_gpt2(config: Config, shapes: Shapes, read: Read) -> dict[str, Any]:
    """Of GPT-2, whose token `n` is ours `n + 1`."""
    dim, positions = config["n_embd"], config["n_positions"]
    size = config["vocab_size"] + 1  # padding
    problem = zoo.Problem(
        task="language-modeling",
        input=zoo.TokenInput(vocab_size=size, length=positions),
        output=zoo.TokenOutput(vocab_size=size, length=positions),
    )
    options = {
        "dim": dim,
        "depth": config["n_layer"],
        "heads": config["n_head"],
        "hidden": config.get("n_inner") or 4 * dim,
        "positions": positions,
        "activation": _activation(config.get("activation_function", "gelu_new")),
        "eps": config.get("layer_norm_epsilon", 1e-5),
        "dropout": config.get("resid_pdrop", 0.1),
    }
    return {"problem": problem, "receipt": {"options": options}, **_texts(read, positions, size)}


def describe_bert(config: Config, shapes: Shapes, read: Read) -> dict[str, Any]:
    """Of BERT, with or without a head or a pooler."""
    pooled = any(name.endswith("pooler.dense.weight") for name in shapes)
    options = {
        "dim": config["hidden_size"],
        "depth": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "hidden": config["intermediate_size"],
        "positions": config["max_position_embeddings"],
        "segments": config.get("type_vocab_size", 2),
        "activation": _activation(config.get("hidden_act", "gelu")),
        "eps": config.get("layer_norm_eps", 1e-12),
        "dropout": config.get("hidden_dropout_prob", 0.1),
        "pooler": "tanh" if pooled else "none",
    }
    return _describe_encoder(config, options, shapes, read)


def describe_distilbert(config: Config, shapes: Shapes, read: Read) -> dict[str, Any]:
    """Of DistilBERT, which has no segments."""
    options = {
        "dim": config["dim"],
        "depth": config["n_layers"],
        "heads": config["n_heads"],
        "hidden": config["hidden_dim"],
        "positions": config["max_position_embeddings"],
        "segments": 0,
        "activation": _activation(config.get("activation", "gelu")),
        "eps": 1e-12,
        "dropout": config.get("dropout", 0.1),
        "pooler": "relu",
    }
    return _describe_encoder(config, options, shapes, read)


def _describe_encoder(config: Config, options: Config, shapes: Shapes, read: Read) -> dict[str, Any]:
    """The classes of a classifier; of an encoder alone, a vector."""
    options |= _sentence_options(read)
    head, labels = shapes.get("classifier.weight"), tuple[str, ...]()
    output: zoo.Classes | zoo.Vector
    if head is not None:
        names = config.get("id2label") or {}
        labels = tuple(names.get(str(number), f"LABEL_{number}") for number in range(head[0]))
        output = zoo.Classes(count=head[0], names=labels)
    else:
        output = zoo.Vector(size=options["dim"])
    limits = document(read, "sentence_bert_config.json", needed=False)
    length = min(limits.get("max_seq_length") or options["positions"], options["positions"])
    problem = zoo.Problem(
        task="text-classification",
        input=zoo.TokenInput(vocab_size=config["vocab_size"], length=length),
        output=output,
    )
    return {
        "problem": problem,
        "labels": labels,
        "receipt": {"options": options},
        **_texts(read, length, config["vocab_size"]),
    }


def describe_padded_gpt2(config: Config, shapes: Shapes, read: Read) -> dict[str, Any]:
    """A GPT-2 whose token 0 is padding, as one of this package's own, which numbers tokens alike."""
    told = describe_gpt2(config, shapes, read)
    theirs = told["receipt"]["options"]
    if config.get("pad_token_id") != 0 or theirs["hidden"] != 4 * theirs["dim"] or theirs["eps"] != 1e-5:
        raise zoo.WeightsError("config.json is not of an exported gpt; load it as transformer/gpt2")
    options = {name: theirs[name] for name in ("dim", "depth", "heads", "activation", "dropout")}
    size, length = config["vocab_size"], theirs["positions"]
    problem = zoo.Problem(
        task="language-modeling",
        input=zoo.TokenInput(vocab_size=size, length=length),
        output=zoo.TokenOutput(vocab_size=size, length=length),
    )
    return {
        "problem": problem,
        "receipt": {"options": {**options, "positions": "learned", "bias": True}},
        **_texts(read, length, size),
    }


def _sentence_options(read: Read) -> Config:
    """How a sentence encoder pools; nothing where it is none."""
    parts = document(read, "modules.json", needed=False, kind=list)
    if not parts:
        return {}
    kinds = [str(part.get("type")).rpartition(".")[2] for part in parts]
    if strange := sorted(set(kinds) - PARTS):
        raise zoo.WeightsError(f"modules.json names {strange[0]!r}; known: {', '.join(sorted(PARTS))}")
    folder = next((part["path"] for part, kind in zip(parts, kinds, strict=True) if kind == "Pooling"), "")
    told = document(read, f"{folder}/config.json")
    chosen = [mode for mode, on in told.items() if mode.startswith("pooling_mode_") and on is True]
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise zoo.WeightsError(f"{folder}/config.json pools by {chosen}; known: {', '.join(POOLINGS)}")
    return {"pooling": POOLINGS[chosen[0]], "pooler": "none", "normalize": "Normalize" in kinds}


def _texts(read: Read, length: int, vocab_size: int) -> dict[str, Any]:
    """How texts become tokens, where a tokenizer is there."""
    content = read("tokenizer.json")
    if content is None:
        return {}
    return {
        "preprocess": zoo.TextPreprocess(
            tokenizer=FOREIGN,
            length=length,
            definition=content.decode(),
            sha256=hashlib.sha256(content).hexdigest(),
            vocab_size=vocab_size,
        )
    }


PLAIN = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
}


def check_plain(config: Config) -> None:
    """Raises `zoo.WeightsError` for a variant that is not built here."""
    strange = [f"{key} = {config[key]!r}" for key, value in PLAIN.items() if config.get(key, value) != value]
    if config.get("model_type") != "gpt2" and config.get("pad_token_id") not in (0, None):
        strange.append(f"pad_token_id = {config['pad_token_id']!r}")
    if strange:
        raise zoo.WeightsError(f"config.json asks for what is not built here: {', '.join(strange)}")


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise zoo.WeightsError(f"config.json: activation {name!r} is not known; known: {known}")
    return ACTIVATIONS[name]


def document(read: Read, name: str, *, needed: bool = True, kind: type[Any] = dict) -> Any:
    """A JSON file beside the weights; empty where there is none and none is needed."""
    content = read(name)
    if content is None:
        if needed:
            raise zoo.WeightsError(f"no {name} beside the weights, which says how the model is built")
        return kind()
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise zoo.WeightsError(f"{name} cannot be read: {error}") from None
