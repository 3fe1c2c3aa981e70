"""Timed models: how well `Plan` foretells a training step of one that no coefficient was fitted on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import zoo
from recommend_tables.common import Z80, Line, coverage_line, deviation_of, error_line, read_rows
from zoo.recommender.cost import PASSES, Plan
from zoo.recommender.facts import Load, Shape, load_at
from zoo.recommender.priors import Priors
from zoo.recommender.speed import CUT, SpeedLaw, features_of
from zoo.registry import Model
from zoo.specs import Device, DeviceSpec, Problem, Recipe

TRAINED = "benchmark-train-amp-nchw-pt112-cu113-rtx3090.csv"
INFERRED = "benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv"
DEVICE = "rtx-3090"
PRECISION = "fp16"
RIDGE = 3.0  # rows that a coefficient of nought is worth, on the scale of one deviation
ROUNDS = 5  # of weighing outliers less
TUNED = 1.5  # deviations from which on they weigh less
FAMILIES = ("transformer", "hybrid", "mlp", "rnn")  # beside convolutional networks
_KIN = ("resne", "efficientnet", "regnet", "mobilenet", "vit", "swin", "convnext")
_BEFORE = re.compile(r"^(tf|gluon|legacy|test|ig|swsl|ssl)_")


@dataclass(frozen=True)
class Timed:
    """One model that was timed: what it costs by its facts, and the seconds of a step on a batch."""

    name: str
    make: str  # those of one make are left out together
    load: Load
    batch: int
    seconds: float
    forward: float | None = None  # of a sample in a forward pass, where that was timed too

    @property
    def recipe(self) -> Recipe:
        """The step that was timed."""
        return Recipe(batch_size=self.batch, steps=1, precision=PRECISION, optimizer="momentum")


# -- reading ----------------------------------------------------------------------------------


def read_trained(folder: Path, models: Mapping[str, Model]) -> list[Timed]:
    """Training steps on the RTX 3090, with the forward pass's time where it was taken at that size."""
    forward = {
        (row["model"], row["infer_img_size"]): _seconds(row, "infer") / int(row["infer_batch_size"])
        for row in read_rows(folder / "timm" / INFERRED)
    }
    found = []
    for row in read_rows(folder / "timm" / TRAINED):
        load = _load(models, row["model"], int(row["train_img_size"]))
        if load is not None:
            made = make_of(row["model"])
            batch, seconds = int(row["train_batch_size"]), _seconds(row, "train")
            passed = forward.get((row["model"], row["train_img_size"]))
            found.append(Timed(row["model"], made, load, batch, seconds, passed))
    return found


def read_inferred(path: Path, models: Mapping[str, Model]) -> dict[tuple[str, int], Timed]:
    """Forward passes on one device, by model and size of the image."""
    found = {}
    for row in read_rows(path):
        name, side, batch = row["model"], int(row["infer_img_size"]), int(row["infer_batch_size"])
        load = _load(models, name, side)
        if load is not None:
            found[name, side] = Timed(name, make_of(name), load, batch, _seconds(row, "infer"))
    return found


def _seconds(row: Mapping[str, str], kind: str) -> float:
    return int(row[f"{kind}_batch_size"]) / float(row[f"{kind}_samples_per_sec"])


def _load(models: Mapping[str, Model], name: str, side: int) -> Load | None:
    """What the zoo's facts say of timm's model at that size; None where it has it no more."""
    model = models.get(f"timm/{name}")
    if model is None:
        return None
    shape = zoo.ImageInput(channels=3, height=side, width=side)
    problem = Problem(task="image-classification", input=shape, output=zoo.Classes(count=1000))
    load = load_at(model.spec, problem, Shape("image", 3, side * side))
    return load if load is None or features_of(load) is not None else None


def make_of(name: str) -> str:
    """The make of a model: the letters that its name begins with, or what is common to all its kin."""
    bare = _BEFORE.sub("", name)
    for kin in _KIN:
        if kin in bare:
            return kin
    match = re.match(r"[a-z]+", bare)
    return match[0] if match else bare


# -- fitting ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What a law is fitted on: a model's features, and the logarithm of its time over the first guess."""

    row: Timed
    features: tuple[float, ...]
    wanted: float


def prepare(rows: Sequence[Timed], device: Device, *, forward: bool) -> list[Known]:
    """The rows that a law can be fitted on; with `forward`, those whose forward pass was timed."""
    found = []
    for row in rows:
        features = features_of(row.load)
        assert features is not None  # others were not read
        if forward and row.forward is None:
            continue
        roofline, fixed = _roofline(row, device)
        guess = roofline
        if forward:
            guess = PASSES * (row.forward or 0.0)
            features = (*features, math.log(guess / roofline))
        sample = max(row.seconds - fixed, 0.3 * row.seconds) / row.batch
        found.append(Known(row, features, math.log(sample / guess)))
    return found


def fit_law(known: Sequence[Known], device: Device, *, forward: bool) -> SpeedLaw:
    """A law's coefficients, by ridge regression in which outliers weigh less; its deviation is left open."""
    given = np.array([one.features for one in known])
    middles, spreads = given.mean(axis=0), given.std(axis=0)
    scaled = np.clip((given - middles) / spreads, -CUT, CUT)
    size = scaled.shape[1]
    products = [scaled[:, i] * scaled[:, j] for i in range(size) for j in range(i, size)]
    kinds = [np.array([float(one.row.load.family == family) for one in known]) for family in FAMILIES]
    matrix = np.stack([np.ones(len(known)), *scaled.T, *products, *kinds], axis=1)
    solution = _robust(matrix, np.array([one.wanted for one in known]))
    ends = np.cumsum([1, size, len(products)])
    intercept, linear, squared, extra = np.split(solution, ends)
    return SpeedLaw(
        kind=device.spec.kind,
        device=device.spec.name,
        forward=forward,
        middles=_rounded(middles),
        spreads=_rounded(spreads),
        intercept=_rounded(intercept)[0],
        linear=_rounded(linear),
        products=_rounded(squared),
        families=dict(zip(FAMILIES, _rounded(extra), strict=True)),
        deviation=0.0,
        between_devices=0.0,
        source=f"timm's training steps of {len(known)} models on an RTX 3090",
    )


def _robust(matrix: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Iteratively reweighted least squares with Huber's weights and a ridge on all but the intercept."""
    penalty = RIDGE * np.eye(matrix.shape[1])
    penalty[0, 0] = 1e-9
    weights = np.ones(len(wanted))
    solution = np.zeros(matrix.shape[1])
    for _ in range(ROUNDS):
        weighted = matrix.T * weights
        solution = np.linalg.solve(weighted @ matrix + penalty, weighted @ wanted)
        left = np.abs(wanted - matrix @ solution)
        scale = TUNED * 1.4826 * float(np.median(left))
        weights = np.minimum(1.0, scale / np.maximum(left, 1e-9))
    return solution


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _roofline(row: Timed, device: Device) -> tuple[float, float]:
    """Seconds of a sample, and of a step without samples, as `Plan` has them without any law."""
    recipe = row.recipe
    once = Plan(recipe, device, priors=Priors()).step_seconds(row.load)
    twice = Plan(recipe.replace(batch_size=2 * row.batch), device, priors=Priors()).step_seconds(row.load)
    assert once is not None
    assert twice is not None  # the device is in the table
    sample = (twice.value - once.value) / row.batch
    return sample, once.value - row.batch * sample


# -- judging a training step ------------------------------------------------------------------


def left_out(known: Sequence[Known], device: Device, *, forward: bool) -> np.ndarray:
    """For each model, the logarithm of predicted over measured by a law that saw nothing of its make."""
    residuals = np.zeros(len(known))
    for make in dict.fromkeys(one.row.make for one in known):
        law = fit_law([one for one in known if one.row.make != make], device, forward=forward)
        for place, one in enumerate(known):
            if one.row.make == make:
                residuals[place] = _residual(one.row, device, Priors(speed=(law,)), forward=forward)
    return residuals


def _residual(row: Timed, device: Device, priors: Priors, *, forward: bool = False) -> float:
    plan = Plan(row.recipe, device, priors=priors)
    found = plan.step_seconds(row.load, row.forward if forward else None)
    assert found is not None
    return math.log(found.value / row.seconds)


def step_lines(rows: Sequence[Timed], device: Device) -> Iterator[Line]:
    """Errors of a step's time, by the roofline and by laws that saw nothing of a model's make."""
    bare = [_residual(row, device, Priors()) for row in rows]
    yield error_line("step, RTX 3090: roofline alone", bare, groups=[row.make for row in rows])
    for forward, aim in ((False, "<= 9 %"), (True, "<= 5 %")):
        known = prepare(rows, device, forward=forward)
        makes = np.array([one.row.make for one in known])
        found = left_out(known, device, forward=forward)
        name = "step, RTX 3090: law" + (", given the forward pass" if forward else "")
        yield error_line(name, found.tolist(), aim, makes.tolist())
        sure = {make: deviation_of(found[makes != make]) for make in set(makes.tolist())}
        hits = [abs(left) <= Z80 * sure[make] for left, make in zip(found, makes.tolist(), strict=True)]
        yield coverage_line(name, hits, makes.tolist())


def fit_laws(rows: Sequence[Timed], device: Device, between: float) -> list[SpeedLaw]:
    """The laws as they are shipped: fitted on all rows, as sure as they were of makes left out."""
    laws = []
    for forward in (False, True):
        known = prepare(rows, device, forward=forward)
        deviation = round(deviation_of(left_out(known, device, forward=forward)), 3)
        law = fit_law(known, device, forward=forward)
        laws.append(law.replace(deviation=deviation, between_devices=round(between, 3)))
    return laws


# -- judging an unseen device -----------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Forward passes on a device, and on another that is taken for unseen: logarithms of time over time."""

    name: str
    makes: list[str]
    measured: np.ndarray
    foreseen: np.ndarray  # by the two datasheets
    bound: np.ndarray  # by what the first device's time of each model is bound: 0 bandwidth, 1 operations

    @property
    def residuals(self) -> np.ndarray:
        """What the datasheets leave unexplained."""
        return self.measured - self.foreseen


def read_pair(
    folder: Path, models: Mapping[str, Model], devices: Mapping[str, DeviceSpec], old: str, new: str
) -> Pair:
    """Two tables of forward passes that were timed with the same software, each `DEVICE=FILE`."""
    (seen, seen_file), (unseen, unseen_file) = (text.split("=") for text in (old, new))
    first = read_inferred(folder / "timm" / seen_file, models)
    second = read_inferred(folder / "timm" / unseen_file, models)
    keys = [key for key in first if key in second]
    here, there = Device(spec=devices[seen]), Device(spec=devices[unseen])
    without = Device(spec=devices[seen].replace(bandwidth_bytes=10**18))
    measured, foreseen, bound = [], [], []
    for key in keys:
        one, other = first[key], second[key]
        measured.append(math.log(other.seconds / other.batch / (one.seconds / one.batch)))
        old_roof, new_roof = (_roofline(one, device)[0] for device in (here, there))
        foreseen.append(math.log(new_roof / old_roof))
        bound.append(_roofline(one, without)[0] / old_roof)
    makes = [first[key].make for key in keys]
    name = f"{seen} to {unseen}"
    return Pair(name, makes, *(np.array(values) for values in (measured, foreseen, bound)))


def device_lines(
    pairs: Sequence[Pair], aims: Sequence[str] = ("<= 10 %", "<= 5 %", "<= 4 %")
) -> Iterator[Line]:
    """Errors of a forward pass on a device, from another's, its datasheet and some models timed on it."""
    for pair in pairs:
        others = [other for other in pairs if other is not pair]
        for known, aim in zip((0, 1, 10), aims, strict=True):
            found = carried(pair, known)
            what = ("its datasheet", "one timed model", "ten timed models")[(0, 1, 10).index(known)]
            name = f"{pair.name}: {what}"
            yield error_line(name, found, aim, _repeated(pair.makes, len(found)))
            sure = [deviation_of(carried(other, known)) for other in others]
            if sure:
                hits = np.abs(found) <= Z80 * float(np.mean(sure))
                yield coverage_line(name, hits.tolist(), _repeated(pair.makes, len(found)))


def carried(pair: Pair, known: int, draws: int = 50) -> np.ndarray:
    """What is left unexplained once `known` models, drawn many times, were timed on the new device.

    One gives a factor. Ten, drawn from as many parts of the range from bandwidth to operations, give a
    factor and a slope along it, the slope with a ridge.
    """
    residuals, bound = pair.residuals, pair.bound
    if not known:
        return -residuals
    draw = np.random.default_rng(0)
    parts = np.array_split(np.argsort(bound), known)
    found = []
    for _ in range(draws):
        chosen = np.array([draw.choice(part) for part in parts])
        factor = np.median(residuals[chosen])
        slope = 0.0
        if known > 1:
            along = bound[chosen] - bound[chosen].mean()
            level = residuals[chosen].mean()
            slope = float(along @ (residuals[chosen] - level) / (along @ along + 0.05))
            factor = np.median(residuals[chosen] - slope * along)
            found.append(factor + slope * (bound - bound[chosen].mean()) - residuals)
        else:
            found.append(factor - residuals)
    return np.concatenate(found)


def _repeated(makes: list[str], length: int) -> list[str]:
    return makes * (length // len(makes))
