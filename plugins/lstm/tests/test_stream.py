"""A text in pieces with the state carried along is the same text, read in the same order."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import zoo
from zoo_lstm.awd_lstm import awd_lstm
from zoo_lstm.language_model import language_model
from zoo_lstm.stream import read_on

VOCAB = 7
PROBLEM = zoo.Problem(
    task="language-modeling",
    input=zoo.TokenInput(vocab_size=VOCAB, length=9),
    output=zoo.TokenOutput(vocab_size=VOCAB, length=9),
)
CELLS = ("rnn", "lstm", "gru", "min_lstm", "min_gru")
MODELS = {
    **{cell: lambda cell=cell: language_model(PROBLEM, cell=cell, units=12, layers=2) for cell in CELLS},
    "awd_lstm": lambda: awd_lstm(PROBLEM, units=12, embedding=8),
}
every_model = pytest.mark.parametrize("name", MODELS)


@every_model
def test_pieces_get_the_logits_of_the_whole_rows(name: str) -> None:
    model, stream = MODELS[name]().eval(), torch.randint(1, VOCAB, (3 * 41 + 2,))
    logits, targets = zip(*read_on(model, stream, rows=3, length=16), strict=True)
    assert [part.shape[1] for part in targets] == [16, 16, 8]
    rows = stream[: 3 * 41].view(3, 41)
    assert torch.equal(torch.cat(targets, dim=1), rows[:, 1:])
    torch.testing.assert_close(torch.cat(logits, dim=1), model(rows[:, :-1]), atol=1e-5, rtol=1e-5)


@every_model
def test_gradients_end_where_a_piece_begins(name: str) -> None:
    model, stream = MODELS[name]().eval(), torch.randint(1, VOCAB, (2 * 17,))
    pieces = read_on(model, stream, rows=2, length=8)
    first, _ = next(pieces)
    (first.sum() * 0).backward()  # which frees what the first piece kept for it
    second, _ = next(pieces)
    second.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_model_may_learn_between_two_pieces() -> None:
    model, stream = MODELS["lstm"](), torch.tensor([1, 2, 3, 4] * 60)
    optimizer, losses = torch.optim.Adam(model.train().parameters(), lr=0.02), []
    for _ in range(4):
        for logits, targets in read_on(model, stream, rows=2, length=10):
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_a_stream_of_less_than_two_tokens_a_row_is_refused_in_one_line() -> None:
    model, stream = MODELS["lstm"]().eval(), torch.ones(7, dtype=torch.int64)
    with pytest.raises(zoo.DataError, match=r"^7 tokens for 4 rows, which need 2 each; [^\n]+$"):
        next(read_on(model, stream, rows=4, length=10))


@pytest.mark.parametrize(("rows", "length"), [(0, 4), (2, 0)])
def test_no_rows_and_pieces_of_no_length_are_refused_in_one_line(rows: int, length: int) -> None:
    model, stream = MODELS["lstm"]().eval(), torch.ones(7, dtype=torch.int64)
    with pytest.raises(zoo.DataError, match=r"^\d rows in pieces of \d tokens; give at least one of each$"):
        next(read_on(model, stream, rows=rows, length=length))
