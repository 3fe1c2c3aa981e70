"""Models of `transformers`, small and random, in the layout of the hub: for test modules to import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn

transformers = pytest.importorskip("transformers")

WORDS = 60
TEXTS = ["a bad film", "the good one was a good film, and long", "good"]
CORPUS = [*TEXTS, "one two three", "it was long and it was bad"] * 4
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}


def bert_config(**more: Any) -> Any:
    return transformers.BertConfig(vocab_size=WORDS, max_position_embeddings=24, **{**SMALL, **more})


def distilbert_config(**more: Any) -> Any:
    sizes = {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48}
    return transformers.DistilBertConfig(vocab_size=WORDS, max_position_embeddings=24, **{**sizes, **more})


def gpt2_config(**more: Any) -> Any:
    sizes = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 24}
    ends = {"bos_token_id": WORDS - 1, "eos_token_id": WORDS - 1}
    return transformers.GPT2Config(vocab_size=WORDS, **{**sizes, **ends, **more})


def labels() -> dict[str, Any]:
    return {"id2label": {0: "bad", 1: "good", 2: "long"}, "label2id": {"bad": 0, "good": 1, "long": 2}}


def mean_of(output: Any, mask: Tensor) -> Tensor:
    """As sentence-transformers pools and normalises."""
    weights = mask[:, :, None].float()
    mean = (output.last_hidden_state * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1e-9)
    return nn.functional.normalize(mean, dim=1)


def logits_of(output: Any, mask: Tensor) -> Tensor:
    return output.logits


Answer = Callable[[Any, Tensor], Tensor]
ENCODERS: dict[str, tuple[str, Callable[[], nn.Module], Answer]] = {
    "bert": (
        "transformer/bert",
        lambda: transformers.BertForSequenceClassification(bert_config(**labels())),
        logits_of,
    ),
    "bert-alone": (
        "transformer/bert",
        lambda: transformers.BertModel(bert_config(hidden_act="gelu_new")),
        lambda output, mask: output.pooler_output,
    ),
    "bert-masked": (
        "transformer/bert",
        lambda: transformers.BertForMaskedLM(bert_config()),
        lambda output, mask: output.hidden_states[-1][:, 0],
    ),
    "distilbert": (
        "transformer/distilbert",
        lambda: transformers.DistilBertForSequenceClassification(distilbert_config(**labels())),
        logits_of,
    ),
    "distilbert-alone": (
        "transformer/distilbert",
        lambda: transformers.DistilBertModel(distilbert_config()),
        lambda output, mask: output.last_hidden_state[:, 0],
    ),
    "minilm": ("transformer/minilm", lambda: transformers.BertModel(bert_config()), mean_of),
}


def stirred(module: nn.Module) -> nn.Module:
    """With every parameter moved, so that none is as good as another."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return module.eval()


def wordpieces() -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    inner.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=WORDS, special_tokens=special, show_progress=False)
    )
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    inner.enable_padding(length=20)  # as the files of sentence encoders have it; to be passed over
    return inner


def byte_pairs() -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=WORDS - 1, show_progress=False))
    inner.add_special_tokens(["<|endoftext|>"])
    return inner


def saved(module: nn.Module, folder: Path, tokenizer: tokenizers.Tokenizer, **options: Any) -> str:
    """The module in the layout of the hub; the source to load it from."""
    module.save_pretrained(folder, **options)
    tokenizer.save(str(folder / "tokenizer.json"))
    return f"file:{folder}"


def saved_encoder(case: str, folder: Path, **options: Any) -> tuple[nn.Module, str]:
    theirs = stirred(ENCODERS[case][1]())
    source = saved(theirs, folder, wordpieces(), **options)
    if case == "minilm":
        kinds = ["Transformer", "Pooling", "Normalize"]
        modules = [
            {"idx": n, "path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
            for n, kind in enumerate(kinds)
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        pooling = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16}))
    return theirs, source


def padded(lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Tokens without padding among them, padded on the right, and where they are."""
    tokens = torch.randint(1, WORDS, (len(lengths), max(lengths)))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return tokens * mask, mask


@torch.inference_mode()
def answer_of(case: str, theirs: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    output = theirs(input_ids=tokens, attention_mask=mask.long(), output_hidden_states=True)
    return ENCODERS[case][2](output, mask)


def close(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


def saved_gpt2(folder: Path, **more: Any) -> tuple[nn.Module, str]:
    theirs = stirred(transformers.GPT2LMHeadModel(gpt2_config(**more)))
    return theirs, saved(theirs, folder, byte_pairs())


# -- the command ------------------------------------------------------------------------------


def command(
    *arguments: str | Path, site: Path | None = None, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """A `zoo` command in a process of its own, for which the packages in `site` are installed too."""
    paths = {"PYTHONPATH": str(site)} if site else {}
    done = subprocess.run(
        [sys.executable, "-m", "zoo", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **paths},
    )
    assert done.returncode == status, done.stderr
    return done


def publish(site: Path, model: str, source: str) -> Path:
    """A package in `site` that brings weights tagged `tiny` for a model, and nothing else."""
    info = site / "zoo_tiny-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-tiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo]\ntiny = zoo_tiny\n")
    (site / "zoo_tiny.py").write_text(
        "import zoo\n\n@zoo.hookimpl\ndef zoo_weights():\n"
        f"    return [zoo.WeightsSpec(tag='tiny', model={model!r}, source={source!r}, license='MIT')]\n"
    )
    return site
