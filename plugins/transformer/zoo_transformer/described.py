"""A module of this package in the words of Hugging Face's configurations: `configs.py` the other way."""

from __future__ import annotations

from typing import Any

import msgspec
from torch import nn

import zoo
from zoo_transformer.bert import Bert
from zoo_transformer.block import SwiGLU
from zoo_transformer.configs import POOLINGS, Config
from zoo_transformer.gpt import GPT

THEIR_ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu"}
OTHER_FORMATS = "say --format onnx, torch or safetensors"
UNLIKE = "Hugging Face's {} classifies through a layer with {}, which this model does not have; "


def config_of(module: nn.Module) -> tuple[Config, bool]:
    """Their configuration for a module, and whether it is an encoder without a head."""
    if isinstance(module, GPT):
        return _gpt2_config(module), False
    if not isinstance(module, Bert):
        raise zoo.WeightsError(f"Hugging Face's layout has no place for a {type(module).__name__}")
    if module.head is not None and (module.pooling != "first" or module.normalize):
        raise zoo.WeightsError(
            f"Hugging Face's classifiers go by the first token as it is, this one does not; {OTHER_FORMATS}"
        )
    classes = {} if module.head is None else _class_config(module)
    config = _distilbert_config(module) if module.embeddings.segments is None else _bert_config(module)
    return {**config, **classes}, module.head is None


def _gpt2_config(module: GPT) -> Config:
    block: Any = module.decoder.blocks[0]
    positions: Any = module.positions
    if foreign := _unlike_gpt2(module, block):
        raise zoo.WeightsError(f"Hugging Face's GPT-2 has no {', no '.join(foreign)}; {OTHER_FORMATS}")
    end = module.embedding.num_embeddings - 1
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": module.embedding.num_embeddings,
        "n_embd": module.embedding.embedding_dim,
        "n_layer": len(module.decoder.blocks),
        "n_head": block.attention.heads,
        "n_inner": block.mlp.expand.out_features,
        "n_positions": positions.num_embeddings,
        "activation_function": THEIR_ACTIVATIONS[block.mlp.activation],
        "layer_norm_epsilon": block.norm_mlp.eps,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop"), module.dropout.p),
        "bos_token_id": end,
        "eos_token_id": end,
        **({"pad_token_id": 0} if module.padded else {}),
    }


def _unlike_gpt2(module: GPT, block: Any) -> list[str]:
    """What a GPT has that GPT-2 has not."""
    attention = block.attention
    own = {
        "rotary positions": module.positions is None,
        "SwiGLU": isinstance(block.mlp, SwiGLU),
        "RMSNorm": isinstance(block.norm_mlp, nn.RMSNorm),
        "layers without biases": attention.out.bias is None,
        "heads that share keys": attention.kv_heads != attention.heads,
        "norms of queries and keys": attention.query_norm is not None,
        "head of its own": module.head is not None,
    }
    return [name for name, is_so in own.items() if is_so]


def _bert_config(module: Bert) -> Config:
    block: Any = module.encoder.blocks[0]
    segments: Any = module.embeddings.segments
    if module.head is not None and (module.pooler is None or module.head.hidden is not None):
        raise zoo.WeightsError(UNLIKE.format("BERT", "tanh") + OTHER_FORMATS)
    return {
        "model_type": "bert",
        "architectures": ["BertModel" if module.head is None else "BertForSequenceClassification"],
        "vocab_size": module.embeddings.tokens.num_embeddings,
        "hidden_size": module.embeddings.tokens.embedding_dim,
        "num_hidden_layers": len(module.encoder.blocks),
        "num_attention_heads": block.attention.heads,
        "intermediate_size": block.mlp.expand.out_features,
        "max_position_embeddings": module.embeddings.positions.num_embeddings,
        "type_vocab_size": segments.num_embeddings,
        "hidden_act": THEIR_ACTIVATIONS[block.mlp.activation],
        "layer_norm_eps": block.norm_mlp.eps,
        "hidden_dropout_prob": module.embeddings.dropout.p,
        "pad_token_id": 0,
    }


def _distilbert_config(module: Bert) -> Config:
    block: Any = module.encoder.blocks[0]
    if module.pooler is not None or (module.head is not None and module.head.hidden is None):
        raise zoo.WeightsError(UNLIKE.format("DistilBERT", "relu") + OTHER_FORMATS)
    return {
        "model_type": "distilbert",
        "architectures": [
            "DistilBertModel" if module.head is None else "DistilBertForSequenceClassification"
        ],
        "vocab_size": module.embeddings.tokens.num_embeddings,
        "dim": module.embeddings.tokens.embedding_dim,
        "n_layers": len(module.encoder.blocks),
        "n_heads": block.attention.heads,
        "hidden_dim": block.mlp.expand.out_features,
        "max_position_embeddings": module.embeddings.positions.num_embeddings,
        "activation": THEIR_ACTIVATIONS[block.mlp.activation],
        "dropout": module.embeddings.dropout.p,
        "pad_token_id": 0,
    }


def _class_config(module: Bert) -> Config:
    """The classes by number and by name; a model that `zoo.load` gave knows their names."""
    head: Any = module.head
    labels = getattr(getattr(module, "zoo", None), "labels", ()) or [
        f"LABEL_{number}" for number in range(head.out.out_features)
    ]
    return {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def longest(config: Config) -> int:
    """The most tokens that a model of that configuration can see."""
    return int(config["n_positions"] if config["model_type"] == "gpt2" else config["max_position_embeddings"])


def is_sentence_encoder(module: nn.Module) -> bool:
    """Whether it answers with features that a plain encoder of theirs does not give."""
    return isinstance(module, Bert) and module.head is None and (module.pooling == "mean" or module.normalize)


def sentence_files(module: Any, preprocess: Any) -> dict[str, bytes]:
    """What makes of an encoder one that sentence-transformers loads."""
    parts = ["Transformer", "Pooling", *(["Normalize"] if module.normalize else [])]
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": f"{number}_{part}" if number else "",
            "type": f"sentence_transformers.models.{part}",
        }
        for number, part in enumerate(parts)
    ]
    dim = module.embeddings.tokens.embedding_dim
    pooling = {
        "word_embedding_dimension": dim,
        **{mode: name == module.pooling for mode, name in POOLINGS.items()},
    }
    length = getattr(preprocess, "length", module.embeddings.positions.num_embeddings)
    return {
        "modules.json": msgspec.json.encode(modules),
        "1_Pooling/config.json": msgspec.json.encode(pooling),
        "sentence_bert_config.json": msgspec.json.encode({"max_seq_length": length}),
    }
