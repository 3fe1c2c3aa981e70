from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import zoo
import zoo_lstm
from zoo.tasks.generation import Sampling, write_on
from zoo_lstm.awd_lstm import awd_lstm
from zoo_lstm.classifier import Attention, classifier
from zoo_lstm.language_model import language_model
from zoo_lstm.seq2seq import ATTENTIONS, Bahdanau, Seq2Seq, seq2seq
from zoo_lstm.state import map_state

VOCAB = 7
TOKENS = zoo.TokenInput(vocab_size=VOCAB, length=9)
LANGUAGE = zoo.Problem(
    task="language-modeling", input=TOKENS, output=zoo.TokenOutput(vocab_size=VOCAB, length=9)
)
TRANSLATION = zoo.Problem(task="seq2seq", input=TOKENS, output=zoo.TokenOutput(vocab_size=VOCAB, length=5))
TEXT = zoo.Problem(task="text-classification", input=TOKENS, output=zoo.Classes(count=3))
CELLS = ("rnn", "lstm", "gru", "min_lstm", "min_gru")
BEGIN, END = 1, 2


LANGUAGE_MODELS = {
    **{cell: lambda cell=cell: language_model(LANGUAGE, cell=cell, units=12, layers=2) for cell in CELLS},
    "awd_lstm": lambda: awd_lstm(LANGUAGE, units=12, embedding=8),
}
every_language_model = pytest.mark.parametrize("name", LANGUAGE_MODELS)


def written(name: str) -> nn.Module:
    return LANGUAGE_MODELS[name]().eval()


# -- language models --


@every_language_model
def test_a_text_read_in_pieces_gets_the_logits_of_the_whole(name: str) -> None:
    model, tokens = written(name), torch.randint(1, VOCAB, (3, 40))
    whole, pieces, state = model(tokens), [], None
    for piece in tokens.split([1, 1, 17, 21], dim=1):
        logits, state = model.step(piece, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-5)


@every_language_model
def test_a_text_goes_on_as_it_does_when_read_anew_for_each_token(name: str) -> None:
    model, tokens = written(name), torch.randint(1, VOCAB, (2, 5))
    assert isinstance(model, zoo.Stepper)
    likeliest = Sampling(temperature=0)
    found = list(itertools.islice(write_on(model, tokens, context=1000, sampling=likeliest), 12))
    whole = tokens
    with torch.no_grad():
        for _ in range(12):
            logits = model(whole)[:, -1]
            logits[:, 0] = -torch.inf
            whole = torch.cat([whole, logits.argmax(dim=1, keepdim=True)], dim=1)
    assert torch.equal(torch.cat(found, dim=1), whole[:, 5:])


def test_a_text_goes_on_alike_from_one_seed_and_otherwise_from_another() -> None:
    def goes_on(seed: int) -> Tensor:
        drawn = write_on(model, tokens, context=1000, sampling=Sampling(temperature=0.8), seed=seed)
        return torch.cat(list(itertools.islice(drawn, 30)), dim=1)

    model, tokens = written("lstm"), torch.randint(1, VOCAB, (2, 5))
    first, again, other = (goes_on(seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first != 0).all()


@every_language_model
def test_the_state_of_other_texts_is_refused_in_one_line(name: str) -> None:
    model = written(name)
    _, state = model.step(torch.ones(3, 4, dtype=torch.int64))
    with pytest.raises(zoo.DataError, match=r"^a state of 3 sequences for a batch of 2; [^\n]+$"):
        model.step(torch.ones(2, 4, dtype=torch.int64), state)


@every_language_model
def test_gradients_reach_as_far_back_as_the_state_is_kept(name: str) -> None:
    model, tokens = written(name), torch.randint(1, VOCAB, (2, 8))
    _, state = model.step(tokens)
    logits, _ = model.step(tokens, map_state(Tensor.detach, state))
    logits.sum().backward()
    assert all(part.grad.isfinite().all() for part in model.parameters())


def test_awd_lstm_leaves_a_token_out_wherever_it_occurs() -> None:
    model = awd_lstm(LANGUAGE, token_dropout=0.5).train()
    tokens = torch.arange(VOCAB).repeat(1, 3)
    vectors = model._vectors(tokens).detach()
    assert torch.equal(vectors[:, :VOCAB], vectors[:, VOCAB : 2 * VOCAB])
    gone = (vectors == 0).all(dim=2)[0, :VOCAB]
    assert gone.any()
    assert not gone.all()
    kept = vectors[0, :VOCAB][~gone]
    torch.testing.assert_close(kept, 2 * model.embedding.weight.detach()[~gone])


def test_awd_lstm_ties_its_head_to_its_embedding_and_has_the_papers_sizes() -> None:
    model = awd_lstm(LANGUAGE, embedding=8, units=12, layers=3)
    assert model.head.weight is model.embedding.weight
    shapes = [tuple(p.shape) for n, p in model.layers.named_parameters() if n.endswith("weight_ih_l0")]
    assert shapes == [(48, 8), (48, 12), (32, 12)]


def test_the_papers_averaged_sgd_is_a_recipe_that_averages_once_the_validation_is_stale(
    tmp_path: Path,
) -> None:
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 100)
    run = zoo.train(
        "lstm/awd_lstm",
        str(tmp_path / "text.txt"),
        output=tmp_path / "run",
        recipe=Path(zoo_lstm.__file__).with_name("recipes") / "awd_lstm-asgd.toml",
        settings={"epochs": 3, "lr": 1e-30, "weight_decay": 0.0, "average_after": 1, "precision": "fp32"},
        device="cpu",
        units=12,
        embedding=8,
    )
    assert run.record.recipe.optimizer == "sgd"
    assert [row.get("averaged_from") for row in run.history] == [None, None, run.history[1]["step"]]


# -- classifiers --


def test_attention_is_a_mean_of_the_real_states() -> None:
    attention, states = Attention(4), torch.randn(2, 5, 4)
    real = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]).bool()[:, :, None]
    found = attention(states, real)
    torch.testing.assert_close(found[1], states[1, 0])
    nn.init.zeros_(attention.score.weight)  # all alike
    torch.testing.assert_close(attention(states, real)[0], states[0, :3].mean(dim=0))


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_last_state_is_where_each_direction_ends(bidirectional: bool) -> None:
    model = classifier(TEXT, cell="gru", pooling="last", patch=1, bidirectional=bidirectional, units=5).eval()
    tokens = torch.tensor([[3, 4, 5, 0, 0]])
    vectors = model.embedding(tokens[:, :3])
    layer = model.layers.get_submodule("0")
    ways = [(layer.ahead, vectors), (layer.back, vectors.flip(1))] if bidirectional else [(layer, vectors)]
    direct = torch.cat([way(given)[1] for way, given in ways], dim=2)[0]
    full = model.layers(vectors, torch.tensor([3]))[0]
    torch.testing.assert_close(model._pool(full, torch.tensor([3])), direct)


def test_a_pooling_or_attention_that_is_none_is_refused_in_one_line() -> None:
    with pytest.raises(zoo.SpecError, match=r"^classifier: pooling = 'mean': known: max, attention, last$"):
        classifier(TEXT, pooling="mean")
    with pytest.raises(zoo.SpecError, match=r"^seq2seq: attention = 'none': known: luong, bahdanau$"):
        seq2seq(TRANSLATION, attention="none")


# -- seq2seq --


def translator(**options: object) -> Seq2Seq:
    """One whose answers are far from even, as those of a trained one are."""
    model = seq2seq(TRANSLATION, units=16, embedding=8, **options).eval()
    nn.init.normal_(model.head.weight, std=2.0)
    return model


def likelihood(model: Seq2Seq, source: Tensor, target: list[int]) -> float:
    """The logarithm of a target's probability, by the plain forward."""
    tokens = torch.tensor([[BEGIN, *target]])
    logs = model(source, tokens[:, :-1]).log_softmax(dim=2)
    return sum(logs[0, step, token].item() for step, token in enumerate(target))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_target_written_token_by_token_has_the_logits_of_the_whole(cell: str, attention: str) -> None:
    model = translator(cell=cell, attention=attention)
    source, target = torch.randint(1, VOCAB, (3, 9)), torch.randint(1, VOCAB, (3, 6))
    state, steps = model.start(source), []
    for token in target.split(1, dim=1):
        logits, state = model.step(token, state)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), model(source, target), atol=1e-5, rtol=1e-5)


def test_bahdanaus_attention_is_his_sum() -> None:
    attention = Bahdanau(3)
    query, states = torch.randn(1, 2, 3), torch.randn(1, 4, 3)
    real = torch.tensor([[[True, True, True, False]]])
    weights = torch.tensor(
        [[attention.score((q + attention.keys(h)).tanh()).item() for h in states[0, :3]] for q in query[0]]
    ).softmax(dim=1)
    torch.testing.assert_close(attention(query, states, real)[0], weights @ states[0, :3])


@pytest.mark.parametrize("cell", CELLS)
def test_one_beam_is_greedy(cell: str) -> None:
    model, source = translator(cell=cell), torch.randint(1, VOCAB, (6, 9))
    found = model.search(source, begin=BEGIN, end=END, length=5, beams=1)
    target = torch.full((6, 1), BEGIN)
    for _ in range(5):
        target = torch.cat([target, model(source, target)[:, -1].argmax(dim=1, keepdim=True)], dim=1)
    for row, expected in zip(found.tolist(), target[:, 1:].tolist(), strict=True):
        length = expected.index(END) + 1 if END in expected else 5
        assert row == expected[:length] + [0] * (5 - length)


def test_a_beam_as_wide_as_the_vocabulary_allows_finds_the_likeliest_of_all() -> None:
    model, length = translator(), 3
    for seed in range(5):
        source = torch.randint(1, VOCAB, (1, 9), generator=torch.Generator().manual_seed(seed))
        found = model.search(source, begin=BEGIN, end=END, length=length, beams=VOCAB**2)[0].tolist()
        targets = [
            list(tokens[: tokens.index(END) + 1]) if END in tokens else list(tokens)
            for tokens in itertools.product(range(VOCAB), repeat=length)
        ]
        best = max(likelihood(model, source, target) for target in targets)
        answer = found[: found.index(END) + 1] if END in found else found
        assert likelihood(model, source, answer) == pytest.approx(best, abs=1e-4)


def test_a_wider_beam_finds_nothing_less_likely_than_the_greedy_answer() -> None:
    model, better = translator(), 0
    for seed in range(20):
        source = torch.randint(1, VOCAB, (1, 9), generator=torch.Generator().manual_seed(seed))
        logs = []
        for beams in (1, 4):
            row = model.search(source, begin=BEGIN, end=END, length=6, beams=beams)[0].tolist()
            answer = row[: row.index(END) + 1] if END in row else row
            logs.append(likelihood(model, source, answer))
        better += logs[1] > logs[0] + 1e-4
    assert better >= 1


def test_what_a_beam_finds_does_not_depend_on_the_rest_of_the_batch() -> None:
    model, source = translator(), torch.randint(1, VOCAB, (4, 9))
    source[2, 5:] = 0
    together = model.search(source, begin=BEGIN, end=END, length=6)
    for row in range(4):
        alone = model.search(source[row : row + 1], begin=BEGIN, end=END, length=6)
        assert torch.equal(together[row : row + 1], alone)


def test_no_beams_are_refused_in_one_line() -> None:
    with pytest.raises(zoo.DataError, match=r"^a search with 0 beams; give at least one$"):
        translator().search(torch.ones(2, 9, dtype=torch.int64), begin=BEGIN, end=END, length=6, beams=0)
