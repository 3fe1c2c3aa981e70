"""How fast recurrent networks are: beside torch's own, cell by cell as texts grow, and with bucketed batches.

    python benchmarks/rnn.py [--smoke] [--runs N] [--threads N]

`bare`: a language model of the zoo's, and the same network written by hand round `torch.nn.LSTM`, in one
and the same loop: a step of training, and reading without gradients; the aim is 1.05 times the latter.
`length`: a step of training of the language model with each cell, as T grows with as many tokens in all: who
is ahead from where. `bucket`: a classifier over texts of very different lengths, in batches that are each as
long as their longest, and in batches that are all padded to the longest of all.

The sides of each row are run in turn; times are medians, with the spread of the middle half.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo

VOCAB, EMBEDDING, UNITS = 259, 64, 256
CELLS = ("lstm", "gru", "min_lstm", "min_gru")
LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
TOKENS = 4096  # of a batch, whatever its length
BATCH, LONGEST = 16, 256


class Bare(nn.Module):
    """The network of `lstm/language_model`, as one writes it by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, UNITS, batch_first=True)
        self.norm = nn.LayerNorm(UNITS)
        self.project = nn.Linear(UNITS, EMBEDDING)
        self.head = nn.Linear(EMBEDDING, VOCAB)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, T, V]`."""
        states, _ = self.lstm(self.embedding(tokens) * EMBEDDING**0.5)
        logits: Tensor = self.head(self.project(self.norm(states)))
        return logits


def main() -> None:
    """Prints the three tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="one run of each, of the smallest sizes")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    runs = 1 if arguments.smoke else arguments.runs
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"{arguments.threads} threads, {runs} runs of each"
    )
    _report_bare(runs, 32 if arguments.smoke else 256)
    _report_lengths(runs, (32, 64) if arguments.smoke else LENGTHS, 128 if arguments.smoke else TOKENS)
    _report_buckets(runs, 2 if arguments.smoke else 16)


def _report_bare(runs: int, length: int) -> None:
    tokens = torch.randint(1, VOCAB, (BATCH, length + 1))
    sides = {"zoo": _language_model("lstm", length), "bare": Bare()}
    print(f"\nbare: {BATCH} texts of {length} tokens, {UNITS} units")
    for what, action in (("training", _training), ("inference", _inference)):
        times = _in_turn({name: action(model, tokens) for name, model in sides.items()}, runs)
        ratio = statistics.median(times["zoo"]) / statistics.median(times["bare"])
        print(f"{what:<10} {_told(times['zoo'])} zoo  {_told(times['bare'])} bare  {ratio:.2f} x")


def _report_lengths(runs: int, lengths: Sequence[int], total: int) -> None:
    print(f"\nlength: a step of training over {total} tokens, {UNITS} units, two layers")
    print(f"{'T':>5} " + " ".join(f"{cell:>26}" for cell in CELLS))
    medians: dict[str, list[float]] = {cell: [] for cell in CELLS}
    for length in lengths:
        tokens = torch.randint(1, VOCAB, (max(1, total // length), length + 1))
        models = {cell: _language_model(cell, length, layers=2) for cell in CELLS}
        times = _in_turn({cell: _training(model, tokens) for cell, model in models.items()}, runs)
        print(f"{length:>5} " + " ".join(f"{_told(times[cell]):>26}" for cell in CELLS), flush=True)
        for cell in CELLS:
            medians[cell].append(statistics.median(times[cell]))
    for cell in CELLS[1:]:
        ratios = [lstm / own for lstm, own in zip(medians["lstm"], medians[cell], strict=True)]
        wins = [length for length, ratio in zip(lengths, ratios, strict=True) if ratio > 1]
        told = f"ahead at T = {', '.join(map(str, wins))}" if wins else "never ahead"
        print(f"{cell:<10} {' '.join(f'{ratio:.2f} x' for ratio in ratios)} as fast as lstm: {told}")


def _report_buckets(runs: int, batches: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shares = torch.rand(batches * BATCH, generator=generator) ** 3  # mostly small
    lengths = (LONGEST * shares).long().clamp_min(1)
    texts = torch.randint(1, VOCAB, (len(lengths), LONGEST), generator=generator)
    texts = texts.where(torch.arange(LONGEST) < lengths[:, None], 0)
    problem = zoo.Problem(
        task="text-classification",
        input=zoo.TokenInput(vocab_size=VOCAB, length=LONGEST),
        output=zoo.Classes(count=4),
    )
    print(
        f"\nbucket: {len(lengths)} texts of 1 to {LONGEST} tokens, half of them under {int(lengths.median())}"
    )
    padded = torch.split(texts, BATCH)
    buckets = torch.split(lengths.argsort(), BATCH)
    bucketed = [texts[rows, : int(lengths[rows].max())] for rows in buckets]
    for cell in CELLS:
        model = zoo.load("lstm/classifier", problem=problem, cell=cell)
        sides = {"bucketed": _classifying(model, bucketed), "padded": _classifying(model, padded)}
        times = _in_turn(sides, runs)
        ratio = statistics.median(times["padded"]) / statistics.median(times["bucketed"])
        print(
            f"{cell:<10} {_told(times['bucketed'])} bucketed  {_told(times['padded'])} padded  {ratio:.2f} x"
        )


def _language_model(cell: str, length: int, layers: int = 1) -> nn.Module:
    problem = zoo.Problem(
        task="language-modeling",
        input=zoo.TokenInput(vocab_size=VOCAB, length=length),
        output=zoo.TokenOutput(vocab_size=VOCAB, length=length),
    )
    options: dict[str, Any] = {"cell": cell, "embedding": EMBEDDING, "units": UNITS, "layers": layers}
    return zoo.load("lstm/language_model", problem=problem, **options)


def _training(model: nn.Module, tokens: Tensor) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        logits = model.train()(tokens[:, :-1])
        torch.autograd.backward(F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def _inference(model: nn.Module, tokens: Tensor) -> Callable[[], object]:
    def read() -> None:
        with torch.inference_mode():
            model.eval()(tokens[:, :-1])

    return read


def _classifying(model: nn.Module, batches: Sequence[Tensor]) -> Callable[[], object]:
    def epoch() -> None:
        for tokens in batches:
            torch.autograd.backward(F.cross_entropy(model.train()(tokens), tokens[:, 0] % 4))
            model.zero_grad()

    return epoch


def _in_turn(sides: Mapping[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Seconds of each run of each side, one after the other, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for run in range(runs + 1):
        for name, action in sides.items():
            started = time.perf_counter()
            action()
            if run:
                times[name].append(time.perf_counter() - started)
    return times


def _told(times: Sequence[float]) -> str:
    """Milliseconds: the median, and the middle half."""
    low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else (times[0],) * 3
    return f"{1e3 * statistics.median(times):>7.1f} ({1e3 * low:.1f} to {1e3 * high:.1f}) ms"


if __name__ == "__main__":
    main()
