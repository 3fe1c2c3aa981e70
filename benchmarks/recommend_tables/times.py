"""Timed models: how well `Plan` foretells a training step of one that no coefficient was fitted on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import msgspec
import numpy as np

import zoo
from recommend_tables.common import Z80, Line, coverage_line, deviation_of, error_line, read_rows
from zoo.recommender.cost import PASSES, REFERENCE, REFERENCE_BANDWIDTH, SPEEDS, Plan
from zoo.recommender.facts import Load, Shape, load_at
from zoo.recommender.priors import Priors
from zoo.recommender.speed import EDGE, SpeedLaw, features_of
from zoo.registry import Model
from zoo.specs import Device, DeviceSpec, Problem, Recipe

TRAINED = "benchmark-train-amp-nchw-pt112-cu113-rtx3090.csv"
INFERRED = "benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv"
DEVICE = "rtx-3090"
PRECISION = "fp16"
RIDGE, PRODUCT_RIDGE = 3.0, 30.0  # rows that a coefficient of nought is worth, on the scale of one deviation
FAMILY_RIDGE = 1.0  # likewise
GROUP_RIDGE = {False: 0.1, True: 1.0}  # what a group's models differ by, over what groups do; by `forward`
FORWARD_TRAFFIC = 0.5  # of a training's bytes for an operation: what is kept is written, and read once or so
SHARES = np.arange(0.0, 0.401, 0.01)  # of the work, that faster devices may do no faster
DATASHEET_ROWS, SLOPE_ROWS = 2.0, 0.1  # timed models that the datasheet's word on factor and slope is worth
# by which the deviation is wider that two of them tell: Student's t at 80%, over a normal's
FEW_DEVICES = 1.47
PARTS = 10  # that models are left out in
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
    """A law's coefficients, by ridge regression in which outliers weigh less; its deviations are left open.

    Products of features help where the forward pass was timed; else they mislead beyond the fitted groups.
    """
    given = np.array([one.features for one in known])
    middles, spreads = given.mean(axis=0), given.std(axis=0)
    scaled = np.clip((given - middles) / spreads, -EDGE, EDGE)
    groups = sorted({one.row.load.group for one in known} - {""})
    kinds = [np.array([float(one.row.load.family == family) for one in known]) for family in FAMILIES]
    kin = [np.array([float(one.row.load.group == group) for one in known]) for group in groups]
    pairs = combinations_with_replacement(scaled.T, 2) if forward else ()
    products = [one * other for one, other in pairs]
    matrix = np.stack([np.ones(len(known)), *scaled.T, *products, *kinds, *kin], axis=1)
    sizes = [1, scaled.shape[1], len(products), len(FAMILIES), len(groups)]
    ridges = [1e-9, RIDGE, PRODUCT_RIDGE, FAMILY_RIDGE, GROUP_RIDGE[forward]]
    penalty = np.repeat(ridges, sizes)
    solution = _robust(matrix, np.array([one.wanted for one in known]), penalty)
    intercept, linear, squared, families, own = np.split(solution, np.cumsum(sizes)[:-1])
    return SpeedLaw(
        kind=device.spec.kind,
        device=device.spec.name,
        forward=forward,
        middles=_rounded(middles),
        spreads=_rounded(spreads),
        intercept=_rounded(intercept)[0],
        linear=_rounded(linear),
        products=_rounded(squared),
        families=dict(zip(FAMILIES, _rounded(families), strict=True)),
        groups=dict(zip(groups, _rounded(own), strict=True)),
        deviation=0.0,
        between_groups=0.0,
        between_devices=0.0,
        source=f"timm's training steps of {len(known)} models on an RTX 3090",
    )


def _robust(matrix: np.ndarray, wanted: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Iteratively reweighted least squares with Huber's weights; `penalty` is the ridge of each column."""
    weights = np.ones(len(wanted))
    solution = np.zeros(matrix.shape[1])
    for _ in range(ROUNDS):
        weighted = matrix.T * weights
        solution = np.linalg.solve(weighted @ matrix + np.diag(penalty), weighted @ wanted)
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


def left_out(known: Sequence[Known], device: Device, parts: Sequence[object], *, forward: bool) -> np.ndarray:
    """For each model, the logarithm of predicted over measured by a law that saw nothing of its part."""
    residuals = np.zeros(len(known))
    for part in dict.fromkeys(parts):
        rest = [one for one, its in zip(known, parts, strict=True) if its != part]
        law = fit_law(rest, device, forward=forward)
        for place, (one, its) in enumerate(zip(known, parts, strict=True)):
            if its == part:
                residuals[place] = _residual(one.row, device, Priors(speed=(law,)), forward=forward)
    return residuals


def partings(known: Sequence[Known]) -> dict[str, list[str]]:
    """What models are left out together: some drawn by chance, or all of a make."""
    drawn = np.random.default_rng(0).permutation(len(known)) % PARTS
    return {
        "models": [str(part) for part in drawn],
        "makes": [one.row.make for one in known],
    }


def _residual(row: Timed, device: Device, priors: Priors, *, forward: bool = False) -> float:
    plan = Plan(row.recipe, device, priors=priors)
    found = plan.step_seconds(row.load, row.forward if forward else None)
    assert found is not None
    return math.log(found.value / row.seconds)


def step_lines(rows: Sequence[Timed], device: Device) -> Iterator[Line]:
    """Errors of a step's time, by the roofline and by laws that saw nothing of a model, or of its make."""
    bare = [_residual(row, device, Priors()) for row in rows]
    yield error_line("step, RTX 3090: roofline alone", bare, groups=[row.make for row in rows])
    for forward, aim in ((False, "<= 9 %"), (True, "<= 5 %")):
        known = prepare(rows, device, forward=forward)
        makes = [one.row.make for one in known]
        for what, parts in partings(known).items():
            found = left_out(known, device, parts, forward=forward)
            name = f"step, RTX 3090: {'+ forward pass, ' if forward else ''}law, {what} left out"
            yield error_line(name, found.tolist(), aim, makes)
            where = np.array(parts)
            sure = {part: deviation_of(found[where != part]) for part in dict.fromkeys(parts)}
            hits = [abs(left) <= Z80 * sure[part] for left, part in zip(found, parts, strict=True)]
            yield coverage_line(name, hits, makes)


def fit_laws(rows: Sequence[Timed], device: Device, between: float) -> list[SpeedLaw]:
    """The laws as they are shipped: fitted on all rows, as sure as they were of models and makes left out."""
    laws = []
    for forward in (False, True):
        known = prepare(rows, device, forward=forward)
        sure = {
            what: deviation_of(left_out(known, device, parts, forward=forward))
            for what, parts in partings(known).items()
        }
        law = fit_law(known, device, forward=forward)
        beyond = math.sqrt(max(0.0, sure["makes"] ** 2 - sure["models"] ** 2))
        shipped = law.replace(
            deviation=round(sure["models"], 3),
            between_groups=round(beyond, 3),
            between_devices=round(between, 3),
        )
        laws.append(shipped)
    return laws


# -- judging an unseen device -----------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Forward passes on a device, and on another that is taken for unseen: logarithms of time over time."""

    name: str
    makes: list[str]
    measured: np.ndarray
    parts: np.ndarray  # [models, devices, 2]: seconds of operations and bytes by the datasheets
    devices: tuple[Device, Device]

    @property
    def bound(self) -> np.ndarray:
        """By what each model's time on the first device is bound: 0 bandwidth, 1 operations."""
        return np.asarray(self.parts[:, 0, 0] / self.parts[:, 0].sum(axis=1))

    def residuals(self, shared: float) -> np.ndarray:
        """What the datasheets leave unexplained, where devices do a part of the work no faster."""
        factors = np.array([_slowed(device, shared) for device in self.devices])
        old, new = (self.parts * factors).sum(axis=2).T
        return np.asarray(self.measured - np.log(new / old))


def _slowed(device: Device, shared: float) -> tuple[float, float]:
    """By how much operations and bytes take longer than the datasheet has it."""
    plain, speed = (
        msgspec.structs.replace(SPEEDS[device.spec.kind], shared=share) for share in (0.0, shared)
    )
    peak, bandwidth = _datasheet(device)
    slow, quick = (
        (one.operation_seconds(peak, REFERENCE[PRECISION]), one.byte_seconds(bandwidth, REFERENCE_BANDWIDTH))
        for one in (speed, plain)
    )
    return slow[0] / quick[0], slow[1] / quick[1]


def _datasheet(device: Device) -> tuple[float, float]:
    peak, bandwidth = device.spec.peak_flops.get(PRECISION), device.spec.bandwidth_bytes
    assert peak is not None
    assert bandwidth is not None  # the table has both of those that are judged
    return peak, bandwidth


def read_pair(
    folder: Path, models: Mapping[str, Model], devices: Mapping[str, DeviceSpec], old: str, new: str
) -> Pair:
    """Two tables of forward passes that were timed with the same software, each `DEVICE=FILE`."""
    (seen, seen_file), (unseen, unseen_file) = (text.split("=") for text in (old, new))
    first = read_inferred(folder / "timm" / seen_file, models)
    second = read_inferred(folder / "timm" / unseen_file, models)
    keys = [key for key in first if key in second]
    pair = Device(spec=devices[seen]), Device(spec=devices[unseen])
    measured = [
        math.log(second[key].seconds / second[key].batch / (first[key].seconds / first[key].batch))
        for key in keys
    ]
    parts = [[_parts(first[key].load, device) for device in pair] for key in keys]
    makes = [first[key].make for key in keys]
    return Pair(f"{seen} to {unseen}", makes, np.array(measured), np.array(parts), pair)


def _parts(load: Load, device: Device) -> tuple[float, float]:
    """Seconds of a sample's operations and bytes, of which a forward pass has fewer than a training."""
    speed, (peak, bandwidth) = SPEEDS[device.spec.kind], _datasheet(device)
    traffic = FORWARD_TRAFFIC * speed.traffic * load.activation_bytes(PRECISION)
    return 6 * load.macs / (speed.compute * peak), traffic / bandwidth


def fit_shared(pairs: Sequence[Pair]) -> float:
    """The part of the work that faster devices do no faster, by which these pairs are explained best."""

    def error(shared: float) -> float:
        return sum(float(np.abs(pair.residuals(shared)).mean()) for pair in pairs)

    return min((float(share) for share in SHARES), key=error)


def device_lines(
    pairs: Sequence[Pair], aims: Sequence[str] = ("<= 10 %", "<= 5 %", "<= 4 %")
) -> Iterator[Line]:
    """Errors of a forward pass on a device, from another's, its datasheet and some models timed on it."""
    for pair in pairs:
        others = [other for other in pairs if other is not pair]
        shared = fit_shared(others) if others else SPEEDS[pair.devices[0].spec.kind].shared
        for known, aim in zip((0, 1, 10), aims, strict=True):
            found = carried(pair, shared, known)
            what = ("its datasheet", "one timed model", "ten timed models")[(0, 1, 10).index(known)]
            name = f"{pair.name}: {what}"
            yield error_line(name, found, aim, _repeated(pair.makes, len(found)))
            sure = [deviation_of(carried(other, fit_shared([pair]), known)) for other in others]
            if sure:
                hits = np.abs(found) <= Z80 * float(np.mean(sure))
                yield coverage_line(name, hits.tolist(), _repeated(pair.makes, len(found)))


def between_devices(pairs: Sequence[Pair]) -> float:
    """The deviation of what was foreseen of devices with the part of the work that others share."""
    left = [carried(pair, fit_shared([other for other in pairs if other is not pair]), 0) for pair in pairs]
    return FEW_DEVICES * deviation_of(np.concatenate(left).tolist())


def carried(pair: Pair, shared: float, known: int, draws: int = 50) -> np.ndarray:
    """What is left unexplained once `known` models, drawn many times, were timed on the new device.

    They are drawn from as many parts of the range from bandwidth to operations, and give a factor and a slope
    along it, by ridge regression.
    """
    residuals, bound = pair.residuals(shared), pair.bound
    if not known:
        return -residuals
    draw = np.random.default_rng(0)
    parts = np.array_split(np.argsort(bound), known)
    design = np.stack([np.ones(len(bound)), bound - np.median(bound)], axis=1)
    found = []
    for _ in range(draws):
        chosen = np.array([draw.choice(part) for part in parts])
        solution = _robust(design[chosen], residuals[chosen], np.array([DATASHEET_ROWS, SLOPE_ROWS]))
        found.append(design @ solution - residuals)
    return np.concatenate(found)


def _repeated(makes: list[str], length: int) -> list[str]:
    return makes * (length // len(makes))
