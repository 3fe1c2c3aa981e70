"""Problems that recurrent networks are known to fail on, and which cells of the `lstm` plugin solve them.

    python benchmarks/hard_cases.py [--smoke] [--seeds N] [--minutes M] [--only GLOB] [--runs DIR]

`adding-T`: two of T numbers are marked, and their sum is asked for after the last (Hochreiter & Schmidhuber
1997). The error is the mean square; who always says 1 has 0.167. `copy-T`: some symbols, T steps of nothing,
then the symbols again in their order (the same; Arjovsky, Shah & Bengio 2016). `parity-T`: after each of T
bits, whether the ones so far are even or odd, judged on sequences four times as long. The error of both is
the share of wrong answers.

Every step of a training sees new samples. It ends when a case is solved, with an error below 0.01 on samples
that no training sees, or after as many steps as one core makes in about two minutes. Each finished one is a
line of `results.jsonl` under `--runs` and is not repeated; one whose settings have changed since is.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo

# layers: gates that see their input alone know of the past from the second on
CELLS = {"rnn": 1, "lstm": 1, "gru": 1, "min_lstm": 2, "min_gru": 2}
SYMBOLS, COPIED = 8, 5  # different ones, and how many are to be copied
SOLVED = 0.01  # an error below it
JUDGED, EVERY = 512, 100  # samples on which a training is judged, and steps after which it is
UNSEEN = 1_000_000  # the seed of those samples
NO_TARGET = -100  # as `cross_entropy` has it

Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A problem: its model, how samples to learn from and to be judged on are drawn, and how it is trained.

    A sample is what the model's forward takes, and what it should answer. `trivial` is the error of those
    who have seen nothing of it.
    """

    model: str
    problem: zoo.Problem
    options: Mapping[str, Any]
    draw: Draw
    draw_judged: Draw
    trivial: float
    steps: int = 2000
    batch: int = 32
    lr: float = 5e-3
    clip: float = 1.0
    remember: int = 0

    def build(self, cell: str) -> nn.Module:
        """A new model with this cell, whose gates, if it has any, are to `remember` over so many steps."""
        options = {**self.options, "cell": cell, "layers": CELLS[cell]}
        if cell != "rnn":
            options["remember"] = self.remember
        return zoo.load(self.model, problem=self.problem, **options)

    def settings(self) -> dict[str, Any]:
        """What the result of a training depends on, beside cell and seed."""
        names = ("model", "options", "remember", "steps", "batch", "lr", "clip")
        told = {name: getattr(self, name) for name in names}
        return {**told, "symbols": SYMBOLS, "copied": COPIED}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A finished training: the steps that it took, the error after them, and torch's `version`."""

    case: str
    cell: str
    seed: int
    parameters: int
    steps: int
    seconds: float
    error: float
    settings: dict[str, Any]
    version: str

    @property
    def solved(self) -> bool:
        """Whether it ended before its steps were used up."""
        return self.error < SOLVED


# -- the problems -----------------------------------------------------------------------------


def adding(length: int) -> Case:
    """Numbers in [0, 1) and marks, one in each half: `[B, T, 2]`; the sum `[B, 1]`."""
    return Case(
        model="lstm/classifier",
        problem=zoo.Problem(
            task="series-classification",
            input=zoo.SeriesInput(channels=2, length=length),
            output=zoo.Classes(count=1),
        ),
        options={"units": 64, "bidirectional": False, "pooling": "last", "patch": 1, "dropout": 0.0},
        draw=partial(draw_adding, length),
        draw_judged=partial(draw_adding, length),
        trivial=1 / 6,
        remember=length,
    )


def draw_adding(length: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Series `[count, length, 2]` and sums `[count, 1]`."""
    values = torch.rand(count, length, generator=generator)
    first = torch.randint(length // 2, (count, 1), generator=generator)
    second = torch.randint(length // 2, length, (count, 1), generator=generator)
    marked = torch.cat([first, second], dim=1)  # [count, 2]
    marks = torch.zeros(count, length).scatter(1, marked, 1.0)
    return torch.stack([values, marks], dim=2), values.gather(1, marked).sum(dim=1, keepdim=True)


def copying(delay: int) -> Case:
    """Symbols, blanks, a sign to begin and blanks to be answered with the symbols: `[B, T]`, twice."""
    length = delay + 2 * COPIED
    return Case(
        model="lstm/language_model",
        problem=_tokens(vocab_size=SYMBOLS + 3, length=length),
        options={"units": 128, "embedding": 32},
        draw=partial(draw_copying, delay),
        draw_judged=partial(draw_copying, delay),
        trivial=1 - 1 / SYMBOLS,
        remember=length,
        steps=3000,
    )


def draw_copying(delay: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tokens and targets `[count, delay + 2 * COPIED]`; 0 is never used, symbols are 1 to `SYMBOLS`."""
    blank, begin = SYMBOLS + 1, SYMBOLS + 2
    symbols = torch.randint(1, SYMBOLS + 1, (count, COPIED), generator=generator)
    waiting = torch.full((count, delay + COPIED), blank)
    waiting[:, delay - 1] = begin
    tokens = torch.cat([symbols, waiting], dim=1)
    nothing = torch.full((count, delay + COPIED), NO_TARGET)
    return tokens, torch.cat([nothing, symbols], dim=1)


def parity(length: int) -> Case:
    """Bits as the tokens 1 and 2; after each the parity so far as 1 (even) and 2 (odd): `[B, T]`, twice."""
    return Case(
        model="lstm/language_model",
        problem=_tokens(vocab_size=3, length=length),
        options={"units": 64, "embedding": 16},
        draw=partial(draw_parity, length),
        draw_judged=partial(draw_parity, 4 * length),
        trivial=0.5,
    )


def draw_parity(length: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tokens and targets `[count, length]`."""
    bits = torch.randint(2, (count, length), generator=generator)
    return bits + 1, bits.cumsum(dim=1) % 2 + 1


def _tokens(*, vocab_size: int, length: int) -> zoo.Problem:
    return zoo.Problem(
        task="language-modeling",
        input=zoo.TokenInput(vocab_size=vocab_size, length=length),
        output=zoo.TokenOutput(vocab_size=vocab_size, length=length),
    )


CASES = {
    "parity-40": parity(40),
    "copy-50": copying(50),
    "adding-200": adding(200),
    "adding-400": adding(400),
}
TINY = {"parity-4": parity(4), "copy-2": copying(2), "adding-8": adding(8)}


# -- training ---------------------------------------------------------------------------------


def train(name: str, case: Case, cell: str, seed: int) -> Result:
    """One training from the first step to the last, or until the case is solved."""
    torch.manual_seed(seed)
    generator, started = torch.Generator().manual_seed(seed), time.perf_counter()
    judged = case.draw_judged(JUDGED, torch.Generator().manual_seed(UNSEEN))
    model = case.build(cell)
    optimizer = torch.optim.Adam(model.parameters(), lr=case.lr)
    error = judge(model, *judged)
    for step in range(1, case.steps + 1):
        inputs, targets = case.draw(case.batch, generator)
        torch.autograd.backward(loss_of(model.train()(inputs), targets))
        nn.utils.clip_grad_norm_(model.parameters(), case.clip)
        optimizer.step()
        optimizer.zero_grad()
        if step % EVERY == 0 or step == case.steps:
            error = judge(model, *judged)
            if error < SOLVED:
                break
    return Result(
        case=name,
        cell=cell,
        seed=seed,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        steps=step,
        seconds=time.perf_counter() - started,
        error=error,
        settings=case.settings(),
        version=str(torch.__version__),
    )


def loss_of(output: Tensor, targets: Tensor) -> Tensor:
    """What a training lowers: the square of the error of numbers, the cross-entropy of tokens."""
    if targets.is_floating_point():
        return F.mse_loss(output, targets)
    return F.cross_entropy(output.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET)


@torch.no_grad()
def judge(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """The mean square of the error of numbers, the share of wrong tokens."""
    output = torch.cat([model.eval()(some) for some in torch.split(inputs, JUDGED // 4)])
    if targets.is_floating_point():
        return F.mse_loss(output, targets).item()
    asked = targets != NO_TARGET
    return (output.argmax(dim=2) != targets)[asked].float().mean().item()


# -- what is to be done and what is done ------------------------------------------------------


def main() -> None:
    """Trains what is still missing, as long as `--minutes` allow, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="two steps of tiny cases, which are not kept")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--only", default="*", help="a glob over CASE/CELL")
    parser.add_argument("--runs", type=Path, default=Path("runs/hard_cases"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # steps this small keep several waiting for one another
    if arguments.smoke:
        cases = {name: replace(case, steps=2, batch=4) for name, case in TINY.items()}
        with tempfile.TemporaryDirectory() as folder:
            report(cases, run(cases, Path(folder), seeds=1, only=arguments.only))
        return
    deadline = time.monotonic() + 60 * arguments.minutes
    results = run(CASES, arguments.runs, seeds=arguments.seeds, only=arguments.only, deadline=deadline)
    report(CASES, results)


def run(
    cases: Mapping[str, Case], folder: Path, *, seeds: int, only: str = "*", deadline: float = float("inf")
) -> list[Result]:
    """All results there are, after those trainings that were missing and could be begun before `deadline`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.jsonl"
    results = [result for result in read(path) if _holds(result, cases) and result.seed < seeds]
    done = {(result.case, result.cell, result.seed) for result in results}
    for name, cell, seed in wanted(cases, seeds, only):
        if (name, cell, seed) in done or time.monotonic() > deadline:
            continue
        result = train(name, cases[name], cell, seed)
        with path.open("ab") as file:
            file.write(msgspec.json.encode(result) + b"\n")
        print(f"{name} {cell} seed {seed}: error {result.error:.4f} after {result.steps:,} steps", flush=True)
        results.append(result)
    return results


def wanted(cases: Mapping[str, Case], seeds: int, only: str) -> Iterator[tuple[str, str, int]]:
    """Case, cell and seed of each training, all of one seed before those of the next."""
    for seed in range(seeds):
        for name in cases:
            for cell in CELLS:
                if fnmatchcase(f"{name}/{cell}", only):
                    yield name, cell, seed


def read(path: Path) -> list[Result]:
    """The results of a file, or none."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Result) for line in lines]


def _holds(result: Result, cases: Mapping[str, Case]) -> bool:
    """Whether a training would be the same today."""
    return result.case in cases and result.settings == cases[result.case].settings()


def report(cases: Mapping[str, Case], results: Sequence[Result]) -> None:
    """A line for each case and cell: medians over the seeds, and the errors of each."""
    print(f"\n{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, 1 thread")
    print(
        f"{'case':<12}{'trivial':>8}  {'cell':<9}{'layers':>7}{'parameters':>12}{'solved':>8}{'steps':>8}"
        f"{'seconds':>9}  error of each seed"
    )
    for name, case in cases.items():
        for cell, layers in CELLS.items():
            found = [result for result in results if (result.case, result.cell) == (name, cell)]
            if not found:
                continue
            solved = f"{sum(result.solved for result in found)}/{len(found)}"
            steps, seconds = (
                statistics.median(getattr(result, what) for result in found) for what in ("steps", "seconds")
            )
            errors = "  ".join(f"{result.error:.4f}" for result in sorted(found, key=lambda one: one.seed))
            print(
                f"{name:<12}{case.trivial:>8.3f}  {cell:<9}{layers:>7}{found[0].parameters:>12,}{solved:>8}"
                f"{steps:>8,.0f}{seconds:>9.0f}  {errors}"
            )


if __name__ == "__main__":
    main()
