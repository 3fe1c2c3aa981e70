"""Encoders without a head embed: `zoo.predict` gives vectors, equal to those of `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from checkpoints import TEXTS, answer_of, command, publish, saved_encoder
from torch import Tensor

import zoo

MIXED = ["", "good", *TEXTS, "one two three", "long and long and long and bad", "a", "it was good"]


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def vectors(model: Any, texts: list[str], **options: Any) -> Tensor:
    return torch.tensor([record["embedding"] for record in zoo.predict(model, texts, **options)])


def expected(case: str, theirs: Any, folder: Path, texts: list[str], length: int) -> Tensor:
    """One text at a time, by their model and the tokenizer itself."""
    inner = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    inner.no_padding()
    inner.enable_truncation(length)
    rows = [torch.tensor([inner.encode(text).ids]) for text in texts]
    return torch.cat(
        [answer_of(case, theirs, tokens, torch.ones_like(tokens, dtype=bool)) for tokens in rows]
    )


# -- against transformers ---------------------------------------------------------------------


@pytest.mark.parametrize("case", ["minilm", "bert-alone", "bert-masked", "distilbert-alone"])
def test_embeddings_are_those_of_their_library(case: str, tmp_path: Path) -> None:
    theirs, source = saved_encoder(case, tmp_path)
    model: Any = zoo.load(f"transformer/{case.partition('-')[0]}", weights=source)
    assert model.zoo.problem.output == zoo.Vector(size=32)
    found = vectors(model, MIXED, batch_size=3)
    wanted = expected(case, theirs, tmp_path, MIXED, model.zoo.preprocess.length)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert wanted.std(dim=0).min() > 1e-4  # texts differ in every number


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_pooling_and_normalisation_are_as_the_files_say(mode: str, normalize: bool, tmp_path: Path) -> None:
    theirs, source = saved_encoder("minilm", tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_bytes())
    (tmp_path / "modules.json").write_text(json.dumps(modules if normalize else modules[:2]))
    pooling = {f"pooling_mode_{name}": name.startswith(mode) for name in ("mean_tokens", "cls_token")}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    model: Any = zoo.load("transformer/minilm", weights=source)
    inner = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    inner.no_padding()
    with torch.inference_mode():
        hidden = theirs(torch.tensor([inner.encode(TEXTS[0]).ids])).last_hidden_state[0]
    wanted = hidden.mean(dim=0) if mode == "mean" else hidden[0]
    wanted = wanted / wanted.norm() if normalize else wanted
    torch.testing.assert_close(vectors(model, TEXTS[:1])[0], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_what_pools_and_normalises_is_written_back(mode: str, tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path / "theirs")
    pooling = {f"pooling_mode_{name}": name.startswith(mode) for name in ("mean_tokens", "cls_token")}
    (tmp_path / "theirs" / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    model: Any = zoo.load("transformer/minilm", weights=source)
    done = zoo.export(model, tmp_path / "ours", format="huggingface")
    again: Any = zoo.load("transformer/minilm", weights=f"file:{done.path}")
    assert again.zoo.options == model.zoo.options
    assert again.zoo.preprocess.length == model.zoo.preprocess.length == 16
    assert torch.equal(vectors(again, MIXED), vectors(model, MIXED))


# -- batches ----------------------------------------------------------------------------------


def test_neither_the_batch_nor_its_order_changes_an_embedding(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path)
    model = zoo.load("transformer/minilm", weights=source)
    alone = torch.cat([vectors(model, [text]) for text in MIXED])
    for batch_size in (1, 2, 5, 64):
        together = vectors(model, MIXED, batch_size=batch_size)
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    backwards = vectors(model, MIXED[::-1], batch_size=3)
    torch.testing.assert_close(backwards.flip(0), alone, rtol=1e-5, atol=1e-6)


def test_texts_of_like_length_share_a_batch(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path)
    model: Any = zoo.load("transformer/minilm", weights=source)
    seen: list[tuple[int, ...]] = []
    model.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    zoo.predict(model, ["a " * 10, "a", "a " * 12, "good", "a " * 11, "bad"], batch_size=3)
    assert seen == [(3, 14), (3, 3)]  # with what stands before and after


def test_no_text_at_all_has_no_embedding_and_an_empty_one_has(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path)
    model = zoo.load("transformer/minilm", weights=source)
    assert zoo.predict(model, []) == []
    (vector,) = vectors(model, [""])
    assert vector.norm() == pytest.approx(1, abs=1e-5)


def test_a_text_without_tokens_is_embedded_too() -> None:
    """Where nothing is put before and after it, as by the zoo's own tokenizer."""
    problem = zoo.Problem(
        task="text-classification",
        input=zoo.TokenInput(vocab_size=259, length=16),
        output=zoo.Vector(size=32),
    )
    model: Any = zoo.load("transformer/minilm", problem=problem, dim=32, depth=1, heads=4)
    object.__setattr__(model.zoo, "preprocess", zoo.TextPreprocess(length=16))
    assert vectors(model, ["", ""]).isfinite().all()
    torch.testing.assert_close(vectors(model, ["", "ab"])[0], vectors(model, [""])[0])


def test_over_long_texts_are_cut_and_that_is_told(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path)
    model = zoo.load("transformer/minilm", weights=source)
    told: list[str] = []
    found = zoo.predict(model, ["good " * 30, "good " * 14, "bad"], warn=told.append)
    assert found[0] == found[1]
    assert told == [
        "1 of 3 texts (text) are longer than 16 tokens and cut there: 35.6% of all tokens are left out"
    ]


# -- what else is done with them --------------------------------------------------------------


def test_the_command_shows_the_first_numbers_and_prints_all_as_json(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path / "theirs")
    (vector,) = vectors(zoo.load("transformer/minilm", weights=source), ["a bad film"]).tolist()
    site = publish(tmp_path / "site", "transformer/minilm", source)
    asked = ("predict", "transformer/minilm.tiny", "a bad film")
    shown = " ".join(f"{number:.4f}" for number in vector[:6])
    plain = command(*asked, site=site).stdout
    assert plain == f"a bad film: {shown} ... (32 numbers; all of them: --json)\n"
    printed = json.loads(command(*asked, "--json", site=site).stdout)
    assert printed == {"item": "a bad film", "embedding": pytest.approx(vector, abs=1e-6)}


def test_the_command_tells_of_texts_that_are_cut(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path / "theirs")
    site = publish(tmp_path / "site", "transformer/minilm", source)
    done = command("predict", "transformer/minilm.tiny", "good " * 30, "bad", site=site)
    assert done.stderr.startswith("data: 1 of 2 texts (text) are longer than 16 tokens and cut there: ")
    assert len(done.stdout.splitlines()) == 2


def test_an_encoder_is_not_judged_on_classes_that_it_does_not_know(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path)
    model = zoo.load("transformer/minilm", weights=source)
    with pytest.raises(zoo.DataError, match="gives embeddings and knows no classes; train it on 'snippets'"):
        zoo.evaluate(model, "snippets")
    with pytest.raises(zoo.ZooError, match="gives embeddings; only a class, a forecast or a token"):
        zoo.explain(model, "a good film")


def test_a_vector_of_another_size_than_the_encoder_has_is_refused() -> None:
    problem = zoo.Problem(
        task="text-classification",
        input=zoo.TokenInput(vocab_size=60, length=8),
        output=zoo.Vector(size=16),
    )
    with pytest.raises(zoo.SpecError, match="dim = 32: not the 16 numbers that are wanted"):
        zoo.load("transformer/bert", problem=problem, dim=32, depth=1, heads=2)


def test_as_many_classes_as_numbers_are_classes(tmp_path: Path) -> None:
    _, source = saved_encoder("bert-alone", tmp_path)
    model: Any = zoo.load("transformer/bert", weights=source, num_classes=32)
    assert model.zoo.problem.output == zoo.Classes(count=32)
    assert {name.partition(".")[0] for name in model.zoo.report.new} == {"head"}
