"""Text written token by token: from a state as from the whole text, and as transformers writes it."""

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import gpt2_config, transformers
from torch import nn
from torch.nn import functional as F

import zoo
from zoo.tasks.generation import Sampling, Stepper, search_beams, write_on
from zoo_transformer.gpt import gpt
from zoo_transformer.gpt2 import gpt2
from zoo_transformer.seq2seq import STYLES, seq2seq

VOCABULARY, LENGTH = 40, 24
PROBLEM = zoo.Problem(
    task="language-modeling",
    input=zoo.TokenInput(vocab_size=VOCABULARY, length=LENGTH),
    output=zoo.TokenOutput(vocab_size=VOCABULARY, length=LENGTH),
)
GREEDY = Sampling(temperature=0)
SIZES: dict[str, Any] = {"dim": 32, "depth": 3, "heads": 4}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "gpt": lambda: gpt(PROBLEM, **SIZES),
    "learned": lambda: gpt(PROBLEM, positions="learned", **SIZES),
    "grouped": lambda: gpt(PROBLEM, kv_heads=2, **SIZES),
    "qk-norm": lambda: gpt(PROBLEM, qk_norm=True, **SIZES),
    "as-gpt2": lambda: gpt(PROBLEM, positions="learned", activation="gelu_tanh", bias=True, **SIZES),
    "as-llama": lambda: gpt(PROBLEM, norm="rms", kv_heads=1, qk_norm=True, tied=False, **SIZES),
    "gpt2": lambda: gpt2(PROBLEM, positions=LENGTH, **SIZES),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return MODELS[request.param]().eval()


def tokens(count: int, length: int) -> torch.Tensor:
    return torch.randint(1, VOCABULARY, (count, length), generator=torch.Generator().manual_seed(1))


def written(
    model: nn.Module, start: torch.Tensor, count: int, sampling: Sampling, **more: Any
) -> torch.Tensor:
    drawn = write_on(model, start, context=LENGTH, sampling=sampling, **more)
    return torch.cat([next(drawn) for _ in range(count)], dim=1)


class Plain(nn.Module):
    """The same model without its state."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.inner(*given)
        return out


# -- the state --


@pytest.mark.parametrize("cuts", [(1,) * LENGTH, (7, 1, 1, 9, 6), (LENGTH,)])
@torch.inference_mode()
def test_a_text_read_in_pieces_gets_the_logits_of_the_whole(model: Any, cuts: tuple[int, ...]) -> None:
    given, state, pieces = tokens(3, LENGTH), None, []
    for piece in torch.split(given, list(cuts), dim=1):
        logits, state = model.step(piece, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(given), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_no_token_sees_a_later_one(model: Any) -> None:
    given = tokens(1, LENGTH)
    other = given.clone()
    other[0, 10] = 1 + given[0, 10] % (VOCABULARY - 1)
    apart = (model(given) - model(other)).abs().amax(dim=2)[0]
    assert (apart[:10] == 0).all()
    assert (apart[10:] > 1e-6).all()


@torch.inference_mode()
def test_texts_in_a_batch_are_as_they_are_alone(model: Any) -> None:
    start = tokens(3, 5)
    together = written(model, start, 12, GREEDY)
    alone = [written(model, row[None], 12, GREEDY) for row in start]
    assert together.tolist() == torch.cat(alone).tolist()


@torch.inference_mode()
def test_what_is_written_from_a_state_is_what_is_written_without(model: Any) -> None:
    assert isinstance(model, Stepper)
    assert not isinstance(Plain(model), Stepper)
    start = tokens(2, 4)
    assert written(model, start, LENGTH - 4, GREEDY).equal(written(Plain(model), start, LENGTH - 4, GREEDY))


@torch.inference_mode()
def test_a_text_goes_on_beyond_what_the_model_sees(model: Any) -> None:
    start = tokens(1, LENGTH + 5)
    found = written(model, start, 3 * LENGTH, GREEDY)
    assert found.shape == (1, 3 * LENGTH)
    assert (found > 0).all()
    assert found[0, 0] == model(start[:, -LENGTH:])[0, -1, 1:].argmax() + 1


@torch.inference_mode()
def test_a_state_that_does_not_fit_is_told_in_one_line(model: Any) -> None:
    _, state = model.step(tokens(2, 4))
    with pytest.raises(zoo.DataError, match="a state of 2 texts for a batch of 3; go on with"):
        model.step(tokens(3, 1), state)
    with pytest.raises(zoo.DataError, match="25 tokens for a state that holds 24; begin with none"):
        model.step(tokens(2, LENGTH - 3), state)


@torch.inference_mode()
def test_texts_of_unequal_length_begin_with_padding_and_go_on_as_they_do_alone(model: Any) -> None:
    rows = [tokens(1, 9), tokens(1, 4), tokens(1, 1)]
    together = torch.cat([F.pad(row, (9 - row.shape[1], 0)) for row in rows])
    for written_by in (model, Plain(model)):
        found = written(written_by, together, 12, GREEDY)
        alone = [written(model, row, 12, GREEDY) for row in rows]
        assert found.tolist() == torch.cat(alone).tolist()


@torch.inference_mode()
def test_a_state_of_chosen_rows_is_theirs(model: Any) -> None:
    given, rows = F.pad(tokens(3, 8), (2, 0)), torch.tensor([2, 0, 2])
    given[1, :4] = 0
    _, state = model.step(given[:, :6])
    logits, _ = model.step(given[rows, 6:], model.choose(state, rows))
    torch.testing.assert_close(logits, model(given)[rows, 6:], rtol=0, atol=1e-5)


# -- the end --


class Counting(nn.Module):
    """A model that notes how many rows it was asked about at each step."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.rows = inner, list[int]()

    def start(self, *inputs: torch.Tensor) -> Any:
        return self.inner.start(*inputs)

    def step(self, tokens: torch.Tensor, state: Any) -> Any:
        self.rows.append(len(tokens))
        return self.inner.step(tokens, state)

    def choose(self, state: Any, rows: torch.Tensor) -> Any:
        return self.inner.choose(state, rows)


@torch.inference_mode()
def test_a_text_stops_at_its_end_and_is_computed_no_further(model: Any) -> None:
    start = tokens(4, 5)
    endless = written(model, start, 12, GREEDY)
    end = int(endless[0, 3])
    expected, lengths = torch.zeros_like(endless), []
    for row, text in enumerate(endless.tolist()):
        size = text.index(end) + 1 if end in text else 12
        expected[row, :size] = endless[row, :size]
        lengths.append(size)
    counting = Counting(model)
    for one in (counting, Plain(model)):
        drawn = write_on(one, start, context=LENGTH, sampling=GREEDY, end=end)
        found = torch.cat(list(itertools.islice(drawn, 12)), dim=1)
        assert found.equal(expected[:, : found.shape[1]])
    assert counting.rows == [sum(size > step for size in lengths) for step in range(max(lengths))]


@torch.inference_mode()
def test_nothing_is_written_when_all_texts_have_ended(model: Any) -> None:
    start = tokens(1, 5)
    end = int(written(model, start, 3, GREEDY)[0, 2])
    drawn = [int(token) for token in write_on(model, start, context=LENGTH, sampling=GREEDY, end=end)]
    assert drawn[-1] == end
    assert end not in drawn[:-1]


@torch.inference_mode()
def test_gpt2_writes_what_transformers_writes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(gpt2_config()).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = zoo.load("transformer/gpt2", weights=f"file:{tmp_path / 'theirs'}")
    start = torch.randint(0, gpt2_config().vocab_size, (2, 6), generator=torch.Generator().manual_seed(2))
    expected = theirs.generate(start, max_new_tokens=16, do_sample=False, eos_token_id=None, pad_token_id=0)
    found = write_on(ours, start + 1, context=24, sampling=GREEDY)
    assert torch.cat([next(found) for _ in range(16)], dim=1).sub(1).tolist() == expected[:, 6:].tolist()


# -- beams --

BEGIN, END = 4, 5


def translator(style: str = "modern") -> nn.Module:
    torch.manual_seed(3)
    problem = zoo.Problem(
        task="seq2seq",
        input=zoo.TokenInput(vocab_size=6, length=5),
        output=zoo.TokenOutput(vocab_size=6, length=4),
    )
    return seq2seq(problem, dim=16, heads=2, dropout=0.0, style=style).eval()


def likelihood(model: nn.Module, source: torch.Tensor, target: list[int]) -> float:
    """The logarithm of a target's probability over its length's power, as Wu et al. 2016 rank them."""
    given = torch.tensor([[BEGIN, *target]])
    shares = model(source, given[:, :-1]).clone()
    shares[:, :, 0] = -torch.inf  # padding is never written
    told = shares.log_softmax(dim=2)[0].gather(1, given[0, 1:, None]).sum()
    return float(told / ((5 + 1 + len(target)) / 6) ** 0.6)


def without_padding(model: nn.Module) -> nn.Module:
    class Never(nn.Module):
        def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            logits = model(source, target).clone()
            logits[:, :, 0] = -torch.inf
            out: torch.Tensor = logits
            return out

    return Never()


@torch.inference_mode()
def test_enough_beams_find_the_likeliest_of_all_targets() -> None:
    model = translator()
    every = [
        list(target)
        for size in (1, 2, 3)
        for target in itertools.product(range(1, 6), repeat=size)
        if END not in target[:-1] and (size == 3 or target[-1] == END)
    ]
    for source in torch.randint(1, 6, (4, 1, 5), generator=torch.Generator().manual_seed(0)):
        found = search_beams(without_padding(model), source, begin=BEGIN, end=END, length=4, beams=150)
        best = max(every, key=lambda target: likelihood(model, source, target))
        assert [token for token in found[0, 1:].tolist() if token] == best


@torch.inference_mode()
def test_one_beam_takes_the_likeliest_token_each_time() -> None:
    model = without_padding(translator())
    source = torch.randint(1, 6, (6, 5), generator=torch.Generator().manual_seed(0))
    expected = torch.full((6, 1), BEGIN)
    for _ in range(3):
        expected = torch.cat([expected, model(source, expected)[:, -1].argmax(dim=1, keepdim=True)], dim=1)
    found = search_beams(model, source, begin=BEGIN, end=END, length=4, beams=1)
    for row, other in zip(found.tolist(), expected.tolist(), strict=True):
        stop = other.index(END) + 1 if END in other else len(other)
        assert row[:stop] == other[:stop]


@cache
@torch.inference_mode(mode=False)
def copier(style: str) -> Any:
    """A translator that has begun to learn to write the source once more, and to end where that does."""
    torch.manual_seed(5)
    problem = zoo.Problem(
        task="seq2seq",
        input=zoo.TokenInput(vocab_size=VOCABULARY, length=9),
        output=zoo.TokenOutput(vocab_size=VOCABULARY, length=12),
    )
    model = seq2seq(problem, dim=32, heads=4, dropout=0.0, style=style)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(120):
        source = sources(32, seed=step)
        target = F.pad(source, (1, 1)).scatter_(1, (source > 0).sum(dim=1, keepdim=True) + 1, END)
        target[:, 0] = BEGIN
        logits = model(source, target[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=0).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def sources(count: int, seed: int = 1000) -> torch.Tensor:
    """Of 1 to 9 tokens, padded."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(END + 1, VOCABULARY, (count, 9), generator=generator)
    lengths = torch.randint(1, 10, (count, 1), generator=generator)
    return drawn.masked_fill(torch.arange(9) >= lengths, 0)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("beams", [1, 3])
@torch.inference_mode()
def test_what_is_found_from_a_state_is_what_is_found_without(style: str, beams: int) -> None:
    model, source = copier(style), sources(12)
    assert isinstance(model, Stepper)
    options: Any = {"begin": BEGIN, "end": END, "length": 8, "beams": beams}
    found = search_beams(model, source, **options)
    assert found.equal(search_beams(Plain(model), source, **options))
    assert {END in row for row in found.tolist()} == {True, False}
    for row in found.tolist():
        assert END not in row or not any(row[row.index(END) + 1 :])
    for row, one in enumerate(source):
        alone = search_beams(model, one[None], **options)[0].tolist()
        assert [token for token in alone if token] == [token for token in found[row].tolist() if token]


@pytest.mark.parametrize("style", STYLES)
@torch.inference_mode()
def test_a_target_that_has_ended_is_computed_no_further(style: str) -> None:
    counting = Counting(copier(style))
    found = search_beams(counting, sources(12), begin=BEGIN, end=END, length=12, beams=1)
    sizes = [row.index(END) if END in row else 11 for row in found.tolist()]
    assert len(set(sizes)) > 3
    assert counting.rows == [sum(size > step for size in sizes) for step in range(max(sizes))]


@pytest.mark.parametrize("style", STYLES)
@torch.inference_mode()
def test_a_target_read_in_pieces_gets_the_logits_of_the_whole(style: str) -> None:
    model, source = copier(style), sources(12)
    target = torch.randint(1, VOCABULARY, (12, 40), generator=torch.Generator().manual_seed(1))
    state, pieces = model.start(source), []
    for piece in torch.split(target, [1, 1, 9, 1, 28], dim=1):
        logits, state = model.step(piece, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(source, target), rtol=0, atol=2e-5)
    with pytest.raises(zoo.DataError, match="a state of 12 texts for a batch of 2"):
        model.step(target[:2, :1], state)


@pytest.mark.parametrize("style", STYLES)
@torch.inference_mode()
def test_padding_on_either_side_of_a_source_changes_nothing(style: str) -> None:
    model, source = copier(style), sources(12)
    target = torch.randint(1, VOCABULARY, (12, 6), generator=torch.Generator().manual_seed(1))
    expected = model(source, target)
    for padding in ((3, 0), (0, 2), (1, 4)):
        found = model(F.pad(source, padding), target)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


# -- the options --


def test_only_the_likeliest_tokens_are_drawn() -> None:
    logits = torch.tensor([[0.0, 3.0, 2.0, 1.0]]).repeat(4000, 1)
    seen, generator = torch.ones(4000, 1, dtype=torch.int64), torch.Generator().manual_seed(0)

    def drawn(**options: Any) -> set[int]:
        return set(Sampling(temperature=1, **options).draw(logits, seen, generator).flatten().tolist())

    assert drawn() == {0, 1, 2, 3}
    assert drawn(top_k=2) == {1, 2}
    assert drawn(top_k=9) == {0, 1, 2, 3}
    assert drawn(top_p=0.5) == {1}  # of 0.64, 0.24, 0.09 and 0.03
    assert drawn(top_p=0.8) == {1, 2}
    assert drawn(top_p=1.0) == {0, 1, 2, 3}


def test_what_was_written_is_less_likely_with_a_penalty() -> None:
    logits, generator = torch.tensor([[-1.0, 3.0, 2.0, -3.0]]), torch.Generator()
    for penalty, expected in ((1.0, 1), (1.4, 1), (1.6, 2)):
        sampling = Sampling(temperature=0, repetition_penalty=penalty)
        assert sampling.draw(logits, torch.tensor([[1, 1, 3]]), generator).item() == expected


def test_the_same_seed_writes_the_same() -> None:
    torch.manual_seed(0)
    model, start = gpt(PROBLEM, dim=32).eval(), tokens(1, 3)
    with torch.inference_mode():
        first, again, other = (
            written(model, start, 15, Sampling(temperature=1.5), seed=seed) for seed in (1, 1, 2)
        )
    assert first.equal(again)
    assert not first.equal(other)


def test_options_that_make_no_sense_are_told_together() -> None:
    with pytest.raises(
        zoo.SpecError, match=r"4 faults: temperature = -1: .*; top_k = 0: .*; top_p = 2: .*"
    ) as told:
        Sampling(temperature=-1, top_k=0, top_p=2, repetition_penalty=0)
    assert "\n" not in str(told.value)


def test_fewer_than_one_beam_are_told_in_one_line() -> None:
    with pytest.raises(zoo.SpecError, match="beams = 0: expected 1 or more"):
        search_beams(translator(), tokens(1, 5) % 5 + 1, begin=BEGIN, end=END, length=4, beams=0)
