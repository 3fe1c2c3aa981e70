"""The benchmark of hard cases: its problems are the known ones, and what is done is not done again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(name="hard", autouse=True)
def import_hard_cases(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script, found as when it is run, and forgotten again."""
    monkeypatch.syspath_prepend(FOLDER)
    torch.manual_seed(0)
    yield __import__("hard_cases")
    del sys.modules["hard_cases"]


def drawn_by(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -- the problems -----------------------------------------------------------------------------


def test_the_sum_is_that_of_the_two_marked_numbers_one_in_each_half(hard: ModuleType) -> None:
    series, sums = hard.draw_adding(20, 50, drawn_by())
    values, marks = series.unbind(dim=2)
    assert (marks.sum(dim=1) == 2).all()
    assert (marks[:, :10].sum(dim=1) == 1).all()
    torch.testing.assert_close((values * marks).sum(dim=1, keepdim=True), sums)


def test_what_is_to_be_copied_comes_first_and_is_asked_for_after_the_sign(hard: ModuleType) -> None:
    delay, copied = 7, hard.COPIED
    tokens, targets = hard.draw_copying(delay, 50, drawn_by())
    assert tokens.shape == targets.shape == (50, delay + 2 * copied)
    assert torch.equal(tokens[:, :copied], targets[:, -copied:])
    assert tokens[:, :copied].unique().tolist() == list(range(1, hard.SYMBOLS + 1))
    assert (targets[:, :-copied] == hard.NO_TARGET).all()
    begin, blank = hard.SYMBOLS + 2, hard.SYMBOLS + 1
    assert (tokens[:, -copied - 1] == begin).all()
    rest = torch.cat([tokens[:, copied : -copied - 1], tokens[:, -copied:]], dim=1)
    assert (rest == blank).all()


def test_parity_is_that_of_the_ones_so_far(hard: ModuleType) -> None:
    tokens, targets = hard.draw_parity(9, 50, drawn_by())
    for bits, answers in zip((tokens - 1).tolist(), (targets - 1).tolist(), strict=True):
        assert answers == [sum(bits[: end + 1]) % 2 for end in range(9)]


@pytest.mark.parametrize("name", ["adding-200", "copy-50", "parity-40"])
def test_who_answers_always_the_same_has_the_trivial_error(hard: ModuleType, name: str) -> None:
    case = hard.CASES[name]
    inputs, targets = case.draw_judged(hard.JUDGED, drawn_by())

    class Same(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            if inputs.is_floating_point():
                return torch.ones(len(inputs), 1)
            return torch.nn.functional.one_hot(torch.ones_like(inputs), 20).float()

    assert hard.judge(Same(), inputs, targets) == pytest.approx(case.trivial, abs=0.03)


def test_who_answers_right_has_no_error(hard: ModuleType) -> None:
    tokens, targets = hard.draw_copying(3, hard.JUDGED, drawn_by())
    answers = torch.nn.functional.one_hot(targets.clamp_min(0), 20).float()
    rows = iter(answers.split(hard.JUDGED // 4))
    model = torch.nn.Module()
    model.forward = lambda inputs: next(rows)
    assert hard.judge(model, tokens, targets) == 0


# -- what is done -----------------------------------------------------------------------------


def test_a_finished_training_is_kept_and_not_repeated(
    hard: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {name: replace(case, steps=1, batch=2) for name, case in hard.TINY.items()}
    first = hard.run(cases, tmp_path, seeds=1, only="*/lstm")
    assert {(one.case, one.cell, one.seed, one.steps) for one in first} == {
        (name, "lstm", 0, 1) for name in cases
    }
    capsys.readouterr()
    again = hard.run(cases, tmp_path, seeds=2, only="parity-4/*")
    began = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert began == [
        *(f"parity-4 {cell} seed 0" for cell in hard.CELLS if cell != "lstm"),
        *(f"parity-4 {cell} seed 1" for cell in hard.CELLS),
    ]
    assert again[: len(first)] == first
    assert hard.read(tmp_path / "results.jsonl") == again


def test_another_setting_makes_a_result_that_of_another_training(hard: ModuleType, tmp_path: Path) -> None:
    case = replace(hard.TINY["parity-4"], steps=1, batch=2)
    hard.run({"parity-4": case}, tmp_path, seeds=1, only="*/lstm")
    (result,) = hard.run({"parity-4": replace(case, lr=1e-4)}, tmp_path, seeds=1, only="*/lstm")
    assert result.settings["lr"] == 1e-4


def test_nothing_is_begun_after_the_time_is_over(hard: ModuleType, tmp_path: Path) -> None:
    assert hard.run(hard.TINY, tmp_path, seeds=1, deadline=0.0) == []


def test_one_seed_gives_one_result_and_another_another(hard: ModuleType) -> None:
    case = replace(hard.TINY["adding-8"], steps=2, batch=2)
    one, again, other = (hard.train("adding-8", case, "gru", seed).error for seed in (0, 0, 1))
    assert one == again != other


def test_an_easy_case_is_solved_and_the_training_ends(hard: ModuleType) -> None:
    case = hard.parity(2)
    result = hard.train("parity-2", replace(case, draw_judged=case.draw, steps=2000), "rnn", 0)
    assert result.solved
    assert result.steps < 2000


def test_the_table_has_a_line_for_each_case_and_cell_that_was_tried(
    hard: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = hard.TINY["parity-4"].settings()
    results = [
        hard.Result(
            case="parity-4",
            cell="gru",
            seed=seed,
            parameters=1234,
            steps=steps,
            seconds=2.0,
            error=error,
            settings=settings,
            version="2",
        )
        for seed, steps, error in [(1, 300, 0.5), (0, 100, 0.001)]
    ]
    hard.report(hard.TINY, results)
    lines = capsys.readouterr().out.splitlines()[3:]
    assert [line.split() for line in lines] == [
        ["parity-4", "0.500", "gru", "1", "1,234", "1/2", "200", "2", "0.0010", "0.5000"]
    ]
