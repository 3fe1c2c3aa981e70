"""What a training costs: the peak of its memory and its seconds, each with how sure that is.

Memory is a sum of parts, of which all but two follow from the facts. Time is the work of a step by a
roofline that adds up: operations at a share of the device's peak, and the traffic of the activations
at its bandwidth. The coefficients were fitted on public tables and on trainings of the zoo's own
models; each says on which. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import msgspec

from zoo.recommender.calibration import Calibration, Rates, group_of
from zoo.recommender.facts import Load
from zoo.recommender.outcomes import NONE, Correction
from zoo.recommender.priors import Priors, read_priors
from zoo.recommender.speed import SpeedLaw, features_of
from zoo.specs import Budget, Device, Estimate, Recipe, convert

FP32 = 4
GPUS = ("cuda", "rocm", "tpu", "xpu")
Z80, Z95 = 1.2816, 1.6449  # half of an 80% interval, and a bound that holds in 95 of 100, in deviations
TRAIN_SHARE, VALIDATION_SHARE = 0.70, 0.15  # where data has no splits of its own

# -- memory --
MOMENTS: Mapping[str, float] = {  # fp32 values that an optimizer keeps for each parameter
    "sgd": 1, "sgdw": 1, "sgdp": 1, "momentum": 1, "nesterov": 1, "lion": 1, "lars": 1, "muon": 1,
    "adagrad": 1, "rmsprop": 2, "rmsproptf": 2, "adam": 2, "adamw": 2, "nadam": 2, "nadamw": 2,
    "radam": 2, "adamp": 2, "lamb": 2, "adadelta": 2, "adopt": 2, "adafactor": 0.1, "adafactorbv": 0.6,
    "adan": 4,
}  # fmt: skip
# a process before its first step: on a GPU its context, on a CPU the libraries and what they set aside
IMPORTED_BYTES = 915e6  # by Python, torch and timm, as PyPI has them for Linux
CONTEXT_BYTES = {"cuda": 450e6, "rocm": 600e6, "mps": 500e6, "cpu": IMPORTED_BYTES + 60e6}
USABLE_SHARE = {"cpu": 0.9, "mps": 0.75}  # of the memory that the maker states
USABLE_SHARE_GPU = 15 / 16  # error correction of GDDR memory takes a sixteenth, the driver some more
OVERHEAD = 1.05  # what the allocator cannot use
MEMORY_SD_GPU = 0.09
EVALUATED = 2.5  # largest tensors at once where nothing is kept: input and output of an operation, and some
# On a CPU, by 40 trainings on a machine that computes in bf16 and on one that does not: what is kept to what
# CUDA's kernels keep, by the family of models. More are oneDNN's copies in its own layout and holes of the
# heap, and in bf16 normalisations, losses and gates, which stay in fp32.
CPU_KEPT = {"cnn": 1.35, "rnn": 1.8, "transformer": 1.5}
CPU_KEPT_FP32 = {"cnn": 1.35, "rnn": 1.3, "transformer": 1.2}
CPU_KEPT_OTHERS = 1.5
CPU_COPIES = 1.85  # of the weights at the peak: gradients, casts, and the best ones as they are read back
CPU_LARGEST, CPU_LARGEST_FP32 = 0.5, 1.5  # of the largest tensor
# of a prepared value, as it is held: pixels as bytes, on a CPU once as they came and once resized; tokens as
# int16, on a CPU beside the text
CPU_BYTES = {"image": 0.5, "tokens": 0.375}
GPU_BYTES = {"image": 0.25, "tokens": 0.25}
GPU_ROOM = {"image": 0.25, "tokens": 0.5}  # of free memory that data may take there, else it stays outside
CPU_SD, CPU_SD_BYTES = 0.15, 30e6  # of what is above the imports, and of any process
EVEN_GRADIENT_SHARE = 0.25  # gradients at the peak, where activations go at the pace gradients come


class Speed(msgspec.Struct, frozen=True, gc=False):
    """How a kind of device relates to its datasheet.

    `compute`: the share of its peak that convolutions and matrix products reach. `traffic`: how
    often each byte kept for the backward pass crosses the memory bus in a training step.
    `step_seconds`: what a step costs beyond its work. `sd`: of the logarithm of the seconds. `shared`:
    what part of the work a device that is faster than the `REFERENCE` does no faster than that.
    """

    compute: float
    traffic: float
    step_seconds: float
    startup_seconds: float
    sd: float
    source: str
    shared: float = 0.0

    def operation_seconds(self, peak: float, reference: float) -> float:
        """Of an operation, by the peak of a device and that of the reference."""
        return self._seconds(self.compute * peak, self.compute * reference)

    def byte_seconds(self, bandwidth: float, reference: float) -> float:
        """Of a byte kept for the backward pass, by the bandwidths of a device and the reference."""
        return self._seconds(bandwidth / self.traffic, reference / self.traffic)

    def _seconds(self, rate: float, reference: float) -> float:
        return 1 / rate if rate <= reference else (1 - self.shared) / rate + self.shared / reference


_TIMM = "fitted on timm's RTX 3090 training table (671 traced models, median error 13%)"
SPEEDS: Mapping[str, Speed] = {
    "cuda": Speed(0.68, 14.0, 0.015, 10.0, 0.24, _TIMM, shared=0.15),  # by two newer GPUs of timm's tables
    "rocm": Speed(0.45, 14.0, 0.020, 12.0, 0.45, f"{_TIMM}, carried over to AMD by judgement"),
    "xpu": Speed(0.45, 14.0, 0.020, 12.0, 0.50, f"{_TIMM}, carried over to Intel by judgement"),
    "tpu": Speed(0.40, 14.0, 0.020, 60.0, 0.60, f"{_TIMM}, carried over to TPUs by judgement"),
    "mps": Speed(0.50, 14.0, 0.010, 8.0, 0.50, f"{_TIMM}, carried over to Apple's GPUs by judgement"),
    "cpu": Speed(0.65, 7.0, 0.002, 6.0, 0.55, "fitted on 40 trainings on one core of a server"),
}
REFERENCE: Mapping[str, float] = {"fp32": 35.6e12, "bf16": 71e12, "fp16": 71e12}  # peaks of an RTX 3090
REFERENCE_BANDWIDTH = 936e9
FAR = 0.08  # of the deviation, for each factor e that a GPU's peak or bandwidth is off: by judgement
CORE_BANDWIDTH, CHIP_BANDWIDTH = 10e9, 45e9  # bytes a second, where a CPU's is not known
OPTIMIZER_BYTES = 28  # moved for each parameter in a step of AdamW
PASSES = 3.5  # a training step over a forward pass, in time
WRITING_SECONDS = 0.04  # of an evaluation, for the files of a run however small the model
SAVE_BANDWIDTH = 0.5e9  # bytes a second of a checkpoint written
PARALLEL = 0.92  # of the devices' joint speed
COMPILE_SECONDS = 45.0
LATENCY_SD = 0.4  # of a single sample's time beside a batch's: small work reaches no device's peak
CALIBRATED = 0.6  # of the deviation, once the device was timed
TIMED = 0.4  # likewise, by models of each family


class Cost(msgspec.Struct, frozen=True, gc=False):
    """A positive quantity that is not certain: its median and the deviation of its logarithm."""

    value: float
    sd: float

    def bound(self, deviations: float) -> float:
        """The value that many standard deviations above the median, or below."""
        return self.value * math.exp(deviations * self.sd)

    @property
    def upper(self) -> float:
        """What is not exceeded in 95 of 100 trainings."""
        return self.bound(Z95)

    def corrected(self, correction: Correction) -> Cost:
        """What it comes to by what this machine has seen."""
        if correction is NONE:
            return self
        return Cost(self.value * correction.factor, min(self.sd * correction.share, correction.most))

    def estimate(self, source: str, method: str) -> Estimate:
        """As a record with an 80% interval."""
        return make_estimate(self.value, self.bound(-Z80), self.bound(Z80), source, method)


def make_estimate(value: float, low: float, high: float, source: str, method: str) -> Estimate:
    """An `Estimate` of figures that claim no more than three digits."""
    rounded = {"value": round3(value), "low": round3(low), "high": round3(high)}
    return convert({**rounded, "source": source, "method": method}, Estimate, where="estimate")


def round3(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")


class Plan:
    """One recipe on one device: what any model's training costs under it.

    What does not depend on the model is worked out once, since thousands are asked about.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: Device,
        calibration: Calibration | None = None,
        priors: Priors | None = None,
        *,
        exact: bool = False,
    ) -> None:
        """`exact` says that fp32 is what a precision of `auto` comes to, as it does for forecasts."""
        self.recipe, self.device, self.calibration = recipe, device, calibration
        self._priors, self._exact = priors or read_priors(), exact
        self.precision = "fp32" if exact and recipe.precision == "auto" else precision_of(recipe, device)
        self.batch = max(1, math.ceil(recipe.batch_size / (recipe.accumulate * device.count)))
        self._gpu = device.spec.kind in GPUS
        self._context = CONTEXT_BYTES.get(device.spec.kind, CONTEXT_BYTES["cuda"])
        self._moments = _moments(recipe.optimizer)
        self._cpu = device.spec.kind == "cpu"
        self._copies = 2 if recipe.ema_decay or recipe.average_after else 1  # of the weights
        self._exchanged = 1 if device.count > 1 else 0
        self._pieces: dict[int, Plan] = {}

    def in_pieces(self, pieces: int) -> Plan:
        """The same training with each batch in so many pieces, whose gradients are accumulated.

        Evaluation, which has larger batches, gets by with as much less.
        """
        if pieces not in self._pieces:
            judged = max(1, self.recipe.eval_batch_size * self.recipe.accumulate // pieces)
            recipe = self.recipe.replace(accumulate=pieces, eval_batch_size=judged)
            self._pieces[pieces] = Plan(
                recipe, self.device, self.calibration, self._priors, exact=self._exact
            )
        return self._pieces[pieces]

    # -- memory --

    def memory(self, load: Load) -> Cost:
        """The peak of memory on each device, in bytes."""
        certain = self._context + self._data_bytes(load)
        activations, gradients, other = self._peak(load)
        overhead = 1.0 if self._cpu else OVERHEAD
        total = certain + overhead * (self._resident(load) + activations + gradients + other)
        sd = MEMORY_SD_GPU
        if self._cpu:
            weights = FP32 * load.parameters  # of which there may be a copy more, or less
            sd = math.hypot(CPU_SD * (total - IMPORTED_BYTES), CPU_SD_BYTES, weights) / total
        return Cost(total, math.hypot(sd, load.doubt * activations / total))

    def memory_parts(self, load: Load) -> dict[str, float]:
        """The bytes of each thing that is in memory when most is, without the allocator's overhead."""
        activations, gradients, other = self._peak(load)
        return {
            "process": self._context,
            "data": self._data_bytes(load),
            "weights and optimizer": self._resident(load),
            "gradients": gradients,
            "activations": activations,
            "temporaries": other,
        }

    def _data_bytes(self, load: Load) -> float:
        held = (load.samples or 0) * load.data_bytes / TRAIN_SHARE
        if self._cpu:
            return CPU_BYTES.get(load.kind, 1.0) * held
        held *= GPU_BYTES.get(load.kind, 1.0)
        return held if held <= GPU_ROOM.get(load.kind, 1.0) * self._free else 0.0

    @cached_property
    def _free(self) -> float:
        """Bytes of the device's memory that are free, as far as is known."""
        free = available_memory(self.device, Budget())
        return math.inf if free is None else free

    def _resident(self, load: Load) -> float:
        """Weights, their average, the optimizer's state, and what several devices exchange."""
        facts = load.facts
        weights = self._copies * (facts.parameters + facts.buffers)
        return FP32 * (weights + (self._moments + self._exchanged) * facts.parameters)

    def _peak(self, load: Load) -> tuple[float, float, float]:
        """Activations, gradients and temporaries when they are most together: in a step or an evaluation."""
        precision, parameters = self.precision, load.parameters
        gradients, outputs = float(FP32 * parameters), FP32 * load.outputs
        kept, largest = load.activation_bytes(precision), load.largest_bytes(precision)
        # as the backward pass begins: whatever it needs, and such gradients as are there by then
        if self._cpu:
            fp32 = precision == "fp32"
            kept *= (CPU_KEPT_FP32 if fp32 else CPU_KEPT).get(load.family, CPU_KEPT_OTHERS)
            widest = CPU_LARGEST_FP32 * largest if fp32 else CPU_LARGEST * load.largest_bytes("fp32")
            temporaries = self.batch * (widest + outputs)
            share = CPU_COPIES
        else:
            temporaries = self.batch * 2 * (largest + outputs + load.data_bytes)
            if precision != "fp32":
                temporaries += 2.0 * parameters  # the weights once more, cast
            share = EVEN_GRADIENT_SHARE if load.even and self.recipe.accumulate == 1 else 1.0
        training = self.batch * (kept + outputs), share * gradients, temporaries
        # the optimizer works on all parameters at once on a GPU, and so needs room for all results
        update = 0.0, gradients, gradients if self._gpu else 0.0
        judged = self.recipe.eval_batch_size
        if load.samples:
            judged = min(judged, math.ceil(load.samples * VALIDATION_SHARE / TRAIN_SHARE))
        evaluation = 0.0, 0.0, judged * (EVALUATED * (largest + outputs) + load.data_bytes)
        return max(training, update, evaluation, key=sum)

    # -- time --

    def seconds(self, load: Load) -> Cost | None:
        """The seconds of a whole training; None where the device's speed or the steps are not known."""
        counts, pace = self.count_steps(load.samples), self._pace
        if counts is None or pace is None:
            return None
        (steps, evaluations), recipe = counts, self.recipe
        sample = self._sample(load, pace)
        batch = min(recipe.batch_size, load.samples or recipe.batch_size)
        step = self._step(load, pace, batch * sample.value)
        judged = (load.samples or batch * steps) * VALIDATION_SHARE / TRAIN_SHARE
        if recipe.eval_samples is not None:
            judged = min(judged, recipe.eval_samples)
        saved = FP32 * load.parameters * (2 + self._moments) / SAVE_BANDWIDTH
        judging = (evaluations + 1) * (judged * sample.value / PASSES + saved + WRITING_SECONDS)
        # reading, judging and saving are no surer than they were, however sure the steps are
        deviation = math.hypot(max(pace.sd, sample.sd), load.doubt)
        return Cost(pace.startup + steps * step + judging, deviation)

    def latency(self, load: Load) -> Cost | None:
        """The seconds of one sample alone in a forward pass; None where the device's speed is not known."""
        pace = self._pace
        if pace is None:
            return None
        sample = self._sample(load, pace)
        return Cost((pace.step_seconds + sample.value) / PASSES, math.hypot(sample.sd, LATENCY_SD))

    def step_seconds(self, load: Load, forward_seconds: float | None = None) -> Cost | None:
        """The seconds of one optimizer step on a whole batch; None where the device's speed is not known.

        `forward_seconds` are a sample's in a forward pass in this precision, where the device was timed so.
        """
        pace = self._pace
        if pace is None:
            return None
        sample = self._sample(load, pace, forward_seconds)
        return Cost(self._step(load, pace, self.recipe.batch_size * sample.value), sample.sd)

    def _step(self, load: Load, pace: _Pace, work: float) -> float:
        """That of a batch whose samples take `work` seconds."""
        update = OPTIMIZER_BYTES * load.parameters / pace.bandwidth
        return self.recipe.accumulate * self._timed(load, pace)[1] + update + work / pace.at_once

    def sample_seconds(self, load: Load) -> float | None:
        """The seconds of one sample in training; None where the device's speed is not known."""
        return self._sample(load, self._pace).value if self._pace else None

    def _timed(self, load: Load, pace: _Pace) -> tuple[float, float]:
        """What timed models say: a factor on the seconds of a sample, and the seconds of a step besides."""
        if pace.rates is None or self.calibration is None:
            return 1.0, pace.step_seconds
        kept = load.activation_bytes(self.precision)
        if not kept:
            return 1.0, pace.step_seconds
        group = group_of(load.task, load.family)
        return self.calibration.at(group, 6 * load.macs / kept, load.name)

    def _sample(self, load: Load, pace: _Pace, forward_seconds: float | None = None) -> Cost:
        """The seconds of one sample in training, on one device."""
        kept = load.activation_bytes(self.precision)
        roofline = 6 * load.macs * pace.operation(load.family) + kept * pace.per_byte
        roofline *= self._timed(load, pace)[0]
        start = roofline if forward_seconds is None else PASSES * forward_seconds
        law = self._laws.get(forward_seconds is not None)
        features = features_of(load) if law and not pace.timed else None
        if law is None or features is None:
            return Cost(start, pace.sd)
        if forward_seconds is not None:
            features = (*features, math.log(start / roofline))
        found = law.correct(features, load, self.device.spec.name)
        lawful = math.hypot(found.deviation, pace.far)
        deviation = found.share * lawful + (1 - found.share) * pace.sd
        return Cost(start * math.exp(found.log_factor), deviation)

    @cached_property
    def _laws(self) -> Mapping[bool, SpeedLaw]:
        """What corrects a roofline, and what corrects a timed forward pass, on such devices."""
        return {law.forward: law for law in self._priors.speed if law.kind == self.device.spec.kind}

    def count_steps(self, samples: int | None) -> tuple[int, int] | None:
        """Optimizer steps and evaluations of a training; None where only the samples could tell."""
        recipe = self.recipe
        if samples is None and recipe.steps is None:
            return None
        return recipe.total_steps(samples or 0), recipe.evaluations

    @cached_property
    def _pace(self) -> _Pace | None:
        """How fast the device is, by its datasheet or as it was timed; None where nothing tells."""
        speed, precision, calibration = SPEEDS[self.device.spec.kind], self.precision, self.calibration
        flops: Mapping[str, float] = self.device.spec.peak_flops  # type: ignore[assignment]  # keyed by precision
        timed: Mapping[str, float] = calibration.flops if calibration else {}  # type: ignore[assignment]
        computed = precision if precision in flops else "fp32"  # what a device lacks, it does in fp32
        peak, reference = flops.get(computed), REFERENCE.get(computed, REFERENCE["fp32"])
        bandwidth = _bandwidth(self.device)
        operation, byte, sd, far = 0.0, speed.byte_seconds(bandwidth, REFERENCE_BANDWIDTH), speed.sd, 0.0
        rates = calibration.rates.get(precision) if calibration else None  # type: ignore[call-overload]  # likewise
        if rates is not None:
            byte, sd = rates.byte_seconds, TIMED * sd
        elif peak is not None:
            operation = speed.operation_seconds(peak, reference)
            factors = peak / reference, bandwidth / REFERENCE_BANDWIDTH
            far = FAR * sum(abs(math.log(factor)) for factor in factors) if self._gpu else 0.0
        elif precision not in timed:
            return None
        if rates is None and precision in timed:
            assert calibration is not None
            if peak is not None and calibration.intensity is not None:
                foreseen = (
                    operation + byte / calibration.intensity
                )  # seconds for an operation of that training
                factor = 1 / (timed[precision] * foreseen)
                operation, byte, sd = factor * operation, factor * byte, CALIBRATED * sd
            else:
                operation, byte = 1 / timed[precision], 0.0
        return _Pace(
            per_operation=operation,
            per_byte=byte,
            rates=rates,
            bandwidth=bandwidth,
            step_seconds=calibration.step_seconds if calibration else speed.step_seconds,
            startup=speed.startup_seconds + (COMPILE_SECONDS if self.recipe.compile is True else 0.0),
            at_once=_at_once(self.device),
            timed=precision in timed,
            sd=math.hypot(sd, far),
            far=far,
        )

    # -- estimates --

    def estimate_memory(self, load: Load, correction: Correction = NONE) -> Estimate:
        """The peak of memory on each device, in bytes, as an 80% interval."""
        parts = ", ".join(f"{name} {amount / 1e9:.2f}" for name, amount in self.memory_parts(load).items())
        method = (
            f"the sum, in GB, of {parts}{'' if self._cpu else f'; {OVERHEAD - 1:.0%} for the allocator'}; "
            f"{self.precision}, {self.batch} samples at once on each device"
        )
        method += f"; {correction.told}" if correction.told else ""
        cost = self.memory(load).corrected(correction)
        return cost.estimate("the model's traced facts and the recipe", method)

    def estimate_seconds(self, load: Load, correction: Correction = NONE) -> Estimate | None:
        """The seconds of a whole training, as an 80% interval; None where they cannot be told."""
        cost, counts = self.seconds(load), self.count_steps(load.samples)
        if cost is None or counts is None:
            return None
        spec, speed, calibration = self.device.spec, SPEEDS[self.device.spec.kind], self.calibration
        if calibration is not None and self.precision in calibration.flops:
            source = f"calibrated on this machine {calibration.measured}".strip()
            rate = "as fast as was timed"
        else:
            source = f"{spec.source or self.device.title}; {speed.source}"
            rate = (
                f"{speed.compute:.0%} of the {self.precision} peak of a {spec.kind} device, and its memory "
                f"bandwidth for {speed.traffic:g} times the activations"
            )
            law = self._laws.get(False)
            if law is not None:
                source, rate = f"{source}; {law.source}", f"{rate}, corrected by its other facts"
        steps = f"{counts[0]:,} steps of {self.recipe.batch_size} samples"
        method = f"{steps}; 6 x {load.macs:.3g} MACs a sample at {rate}"
        method += f"; {correction.told}" if correction.told else ""
        return cost.corrected(correction).estimate(source, method)


class _Pace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Seconds for an operation, a byte kept for the backward pass, a step and the start."""

    per_operation: float
    per_byte: float
    bandwidth: float
    step_seconds: float
    startup: float
    at_once: float
    timed: bool
    sd: float
    far: float
    rates: Rates | None = None

    def operation(self, family: str) -> float:
        """Seconds for an operation of a model of that family."""
        return 1 / self.rates.flops_of(family) if self.rates else self.per_operation


def estimate_memory(load: Load, recipe: Recipe, device: Device) -> Estimate:
    """The peak of a training's memory on each device, in bytes, as an 80% interval.

    `load` is what `load_at` makes of a model's facts for the user's problem. A process's own memory is
    counted, such as a CUDA context.
    """
    return Plan(recipe, device).estimate_memory(load)


def estimate_seconds(
    load: Load, recipe: Recipe, device: Device, calibration: Calibration | None = None
) -> Estimate | None:
    """The seconds of a whole training from start to end, as an 80% interval.

    None where the device's speed is not known, or where the recipe counts epochs and the number of
    samples is not given.
    """
    return Plan(recipe, device, calibration).estimate_seconds(load)


def available_memory(device: Device, budget: Budget) -> float | None:
    """Bytes that a training may take on each device: the budget's, else what is free, else usable."""
    if budget.memory_bytes is not None:
        return budget.memory_bytes
    if device.free_bytes is not None:
        return device.free_bytes
    if device.spec.memory_bytes is None:
        return None
    return device.spec.memory_bytes * USABLE_SHARE.get(device.spec.kind, USABLE_SHARE_GPU)


def attainable(device: Device) -> float | None:
    """Operations a second in training on all the devices together; None where their speed is not known."""
    peaks = device.spec.peak_flops
    peak = peaks.get("bf16" if _computes_in_bf16(device) else "fp32")
    if peak is None:
        return None
    return SPEEDS[device.spec.kind].compute * peak * _at_once(device)


def _at_once(device: Device) -> float:
    """How many times the speed of one the devices have together."""
    return device.count * PARALLEL if device.count > 1 else 1.0


def precision_of(recipe: Recipe, device: Device) -> str:
    """The precision that a recipe comes to: `auto` is bf16 where a GPU or a CPU computes in it, else fp32."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if _computes_in_bf16(device) else "fp32"


def _computes_in_bf16(device: Device) -> bool:
    return device.spec.kind in (*GPUS, "cpu") and "bf16" in device.spec.peak_flops


def _moments(optimizer: str) -> float:
    name = optimizer.lower().removeprefix("lookahead_")
    return MOMENTS.get(name, 2) + (name != optimizer.lower())


def _bandwidth(device: Device) -> float:
    if device.spec.bandwidth_bytes is not None:
        return device.spec.bandwidth_bytes
    if device.spec.kind == "cpu":
        return min(CHIP_BANDWIDTH, CORE_BANDWIDTH * (device.cores or 1))
    return CHIP_BANDWIDTH
