"""Batches of texts: the same whether all tokens are on the device, or each batch is sent to it."""

from __future__ import annotations

import threading

import pytest
import torch

import zoo
from zoo.data.batches import batches
from zoo.data.dataset import Columns
from zoo.data.memory import fetch_rows
from zoo.tasks.classification import text_classification
from zoo.tasks.language_modeling import language_modeling
from zoo.tasks.seq2seq import seq2seq
from zoo.tasks.text import StreamSplit, TextSplit

TEXTS = ["one", "", "a longer text than the others", "two words", "x" * 12] * 9
CPU, META = torch.device("cpu"), torch.device("meta")
COUNT = 20  # samples of each split at least
KINDS = ("text", "pairs", "stream")


def split_of(kind: str) -> TextSplit | StreamSplit:
    """The texts as each of the three tasks has them."""
    preprocess = zoo.TextPreprocess(length=8, target_length=6)
    problem = zoo.Problem(
        task="seq2seq",
        input=zoo.TokenInput(vocab_size=259, length=8),
        output=zoo.TokenOutput(vocab_size=259, length=6),
    )
    columns: Columns = {"text": TEXTS, "source": TEXTS, "target": TEXTS[::-1]}
    match kind:
        case "text":
            split = text_classification.encode(columns, preprocess, problem, training=True)
            assert isinstance(split, TextSplit)
            return TextSplit(split.texts, {"labels": torch.arange(len(TEXTS))})
        case "pairs":
            return seq2seq.encode(columns, preprocess, problem, training=True)
    return language_modeling.encode(columns, preprocess, problem, training=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_texts_that_is_fetched_ahead_is_the_same(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = split_of(kind)
    rows = torch.split(torch.randperm(COUNT), 6)
    expected = list(batches(split, rows, CPU))
    before = threading.active_count()
    monkeypatch.setattr(type(split), "resident", False)
    for number, batch in enumerate(batches(split, rows, CPU)):
        assert batch.keys() == expected[number].keys()
        for name, column in batch.items():
            assert column.dtype == torch.int64
            assert torch.equal(column, expected[number][name])
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_do_not_fit_stay_where_they_are_and_each_batch_is_sent(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = split_of(kind)
    assert split.to(META).resident
    monkeypatch.setattr("zoo.tasks.text.FREE_SHARE", 0.0)
    sent = split.to(META)
    assert not sent.resident
    raw = sent.fetch(torch.arange(3))
    for tokens in raw.values() if isinstance(raw, dict) else [raw]:
        assert (tokens.device, tokens.dtype) == (META, torch.int16)  # half as many bytes as they take on it
    batch = sent.take(torch.arange(3))
    assert {column.device for column in batch.values()} == {META}
    assert {column.dtype for column in batch.values()} == {torch.int64}


def test_rows_are_fetched_as_they_are() -> None:
    source = torch.arange(12, dtype=torch.int16).view(6, 2)
    assert fetch_rows(source, torch.tensor([4, 0]), CPU).tolist() == [[8, 9], [0, 1]]
    assert fetch_rows(source, torch.tensor([4, 0]), META).shape == (2, 2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_the_same_on_the_gpu(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda, split = torch.device("cuda"), split_of(kind)
    kept = split.to(cuda)
    monkeypatch.setattr("zoo.tasks.text.FREE_SHARE", 0.0)
    sent = split.to(cuda)
    assert (kept.resident, sent.resident) == (True, False)
    rows = torch.split(torch.randperm(COUNT), 6)
    for there in (kept, sent):
        for wanted, batch in zip(batches(split, rows, CPU), batches(there, rows, cuda), strict=True):
            for name, column in batch.items():
                assert column.device.type == "cuda"
                assert torch.equal(column.cpu(), wanted[name])
