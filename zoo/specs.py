"""The records that zoo, its plugins and its users exchange.

Frozen, keyword-only, unknown fields refused. A record made in Python is checked field by field
and every fault is reported at once; one decoded from TOML or JSON by msgspec is checked in C,
and only re-read field by field when that finds a fault.
"""

# Annotations are evaluated here, not kept as text: msgspec would have to compile every one of them anew.
import functools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import msgspec
from msgspec import Meta

from zoo.errors import SpecError, hint

T = TypeVar("T")
Count = Annotated[int, Meta(ge=1)]
NonNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
PluginName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*$")]
ModelName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Tag = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Reference = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*/[a-z0-9][a-z0-9_-]*$")]
Object = Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["fp32", "bf16", "fp16"]


class _Checked(msgspec.StructMeta):
    """Checks what Python code passes to a record's constructor; msgspec's decoders bypass it."""

    def __call__(cls, /, **fields: Any) -> Any:  # noqa: N805  (a metaclass's instance is a class)
        faults, values = _check_fields(cls, fields)
        if not faults:
            try:
                return super().__call__(**values)
            except SpecError as error:
                faults = list(error.faults)
        raise SpecError(cls.__name__, faults)


class Record(
    msgspec.Struct,
    metaclass=_Checked,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Base of every record; `replace` makes a changed, checked copy."""

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        made: Self = type(self)(**{**as_dict(self), **changes})
        return made


class WholeRecord(Record, frozen=True, kw_only=True):
    """A record with faults that no single field can tell.

    Its own kind, because decoding thousands of records is fast only where it calls no Python.
    """

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise SpecError(type(self).__name__, faults)

    def _faults(self) -> Iterator[str]:
        """One line for each fault."""
        raise NotImplementedError


def as_dict(record: Record) -> dict[str, Any]:
    """The fields of a record by name, nested records left as they are."""
    return {name: getattr(record, name) for name in record.__struct_fields__}


def to_builtins(record: Any) -> Any:
    """A record as dicts, lists and scalars, ready for JSON or TOML; fields at their default are left out."""
    return msgspec.to_builtins(record)


def convert(data: Any, type: type[T], *, where: str) -> T:
    """`data` (dicts, lists, scalars) as `type`; raises `SpecError` that lists every fault under `where`."""
    try:
        return msgspec.convert(data, type)
    except msgspec.ValidationError as error:
        faults = [str(error)]
    if isinstance(type, _Checked) and isinstance(data, Mapping):
        try:
            type(**data)
        except SpecError as error:
            faults = list(error.faults)
    raise SpecError(where, faults) from None


@functools.cache
def _fields_of(cls: Any) -> dict[str, Any]:
    """The fields of a record by their names in documents; to find out their types takes a while."""
    return {field.encode_name: field for field in msgspec.structs.fields(cls)}


def _check_fields(cls: Any, data: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Every fault of `data` as fields of `cls`, and the converted values of the sound ones."""
    fields = _fields_of(cls)
    config = cls.__struct_config__
    faults: list[str] = []
    values: dict[str, Any] = {}
    for key in data:
        if key == config.tag_field and key not in fields:
            if data[key] != config.tag:
                faults.append(f"{key} = {_short(data[key])}: expected {config.tag!r}")
        elif key not in fields:
            faults.append(f"unknown key {key!r}; {hint(str(key), fields)}")
    for name, field in fields.items():
        if name in data:
            try:
                values[field.name] = msgspec.convert(data[name], field.type)
            except msgspec.ValidationError as error:
                inside = _nested_faults(field.type, data[name])
                told = f"{name} = {_short(data[name])}: {_lower(str(error))}{_meant(field.type, data[name])}"
                faults += [f"{name}.{fault}" for fault in inside] or [told]
        elif field.required:
            faults.append(f"{name}: missing")
    return faults, values


def field_faults(data: Mapping[str, Any], type: Any) -> list[str]:
    """Every fault of single fields of a record of that type: unknown, missing, or not what they may be."""
    try:
        msgspec.convert(data, type)
    except (msgspec.ValidationError, SpecError):
        return _check_fields(type, data)[0]
    return []


def _meant(type: Any, value: Any) -> str:
    """The word that another was meant for, or all that a field may be; empty where it takes none."""
    words = [word for part in (type, *get_args(type)) for word in get_args(part) if isinstance(word, str)]
    if not words or not isinstance(value, str):
        return ""
    return f"; {hint(value, words)}"


def _nested_faults(type: Any, value: Any) -> list[str]:
    """Every fault of `value` where a record, or the one of a union that its tag names, is expected."""
    if not isinstance(value, Mapping):
        return []
    for record in get_args(type) or (type,):
        if isinstance(record, _Checked):
            config = record.__struct_config__
            if config.tag is None or value.get(config.tag_field) == config.tag:
                return _check_fields(record, value)[0]
    return []


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


# -- problems ---------------------------------------------------------------------------------


class ImageInput(Record, tag_field="kind", tag="image", frozen=True, kw_only=True):
    """Images of `[channels, height, width]` pixels."""

    channels: Count
    height: Count
    width: Count


class TokenInput(Record, tag_field="kind", tag="tokens", frozen=True, kw_only=True):
    """Sequences of at most `length` tokens out of `vocab_size`; token 0 is padding."""

    vocab_size: Count
    length: Count


class SeriesInput(Record, tag_field="kind", tag="series", frozen=True, kw_only=True):
    """Series of `length` time steps of `channels` numbers."""

    channels: Count
    length: Count


class Classes(WholeRecord, tag_field="kind", tag="classes", frozen=True, kw_only=True):
    """One of `count` classes, named where names are known."""

    count: Count
    names: tuple[str, ...] = ()

    def _faults(self) -> Iterator[str]:
        if self.names and len(self.names) != self.count:
            yield f"names: {len(self.names)} names for {self.count} classes"


class TokenOutput(Record, tag_field="kind", tag="tokens", frozen=True, kw_only=True):
    """Sequences of at most `length` tokens out of `vocab_size`."""

    vocab_size: Count
    length: Count


class SeriesOutput(Record, tag_field="kind", tag="series", frozen=True, kw_only=True):
    """`length` future time steps of `channels` numbers."""

    channels: Count
    length: Count


class Vector(Record, tag_field="kind", tag="vector", frozen=True, kw_only=True):
    """An embedding of `size` numbers: what a classification's head would be given, where there is none."""

    size: Count


Input = ImageInput | TokenInput | SeriesInput
Output = Classes | TokenOutput | SeriesOutput | Vector
InputT = TypeVar("InputT", ImageInput, TokenInput, SeriesInput)
OutputT = TypeVar("OutputT", Classes, TokenOutput, SeriesOutput, Vector)


class Problem(Record, frozen=True, kw_only=True):
    """One user's problem: what comes in, what goes out, how many training samples there are."""

    task: str
    input: Input
    output: Output
    samples: Annotated[int, Meta(ge=0)] | None = None

    @property
    def keeps_fp32(self) -> bool:
        """Whether training stays in fp32 unless told otherwise: bf16 rounds a forecast's error away."""
        return isinstance(self.output, SeriesOutput)

    def expect(self, model: str, input: type[InputT], output: type[OutputT]) -> tuple[InputT, OutputT]:
        """The input and the output, which must be of the kinds that `model` maps to one another.

        What a builder asks first. Raises `SpecError` where they are not.
        """
        if isinstance(self.input, input) and isinstance(self.output, output):
            return self.input, self.output
        given = f"{type(self.input).__name__} to {type(self.output).__name__}"
        raise SpecError(model, [f"maps {input.__name__} to {output.__name__}, not {given}"])


# -- models -----------------------------------------------------------------------------------


class SizedFacts(Record, frozen=True, kw_only=True):
    """What a model costs at one more size of its samples: the pixels of an image, or the steps of a sequence.

    The other fields are those of `Facts`. Made by `zoo profile`.
    """

    size: Count
    parameters: int
    macs: int
    activation_bytes: dict[Precision, int] = {}
    largest_tensor_bytes: dict[Precision, int] = {}


class Facts(Record, frozen=True, kw_only=True):
    """What a model costs at its reference problem, for one sample; made by `zoo profile`.

    `macs`: multiply-accumulates of one forward pass. `activation_bytes`: what autograd keeps for
    the backward pass. `largest_tensor_bytes`: the largest single output of an operation. Both by
    precision. `buffers`: elements of the state dict that are not parameters. `sizes`: the costs at such
    other sizes as do not follow from these, the smallest first.
    """

    parameters: int
    macs: int
    activation_bytes: dict[Precision, int] = {}
    largest_tensor_bytes: dict[Precision, int] = {}
    buffers: int = 0
    sizes: tuple[SizedFacts, ...] = ()


class ModelSpec(WholeRecord, frozen=True, kw_only=True):
    """One architecture: how it is built, trained and described.

    `builder` names a function `(problem, **options) -> nn.Module`, imported on use. `recipes`
    maps a task, or `"*"` for all others, to a recipe file in the plugin's package, which may hold variants by
    the number of samples and for fine-tuning (`zoo.recipefile`). `head` lists the prefixes of
    parameters that may be newly initialised when weights for other classes are loaded. `adapter` names a
    function `(tensors, module) -> reasons` that fits weights for inputs of another size: it changes the
    dict of tensors by name, and returns what it did to which.
    `layout` names a `zoo.weights.layouts.Layout`, by which weights that others wrote are read.
    `image_size` is set where the architecture takes only that one.
    `group` names the architectures that it belongs with, such as all of `resnet`: where a plugin brings many,
    `zoo list` shows a line for each group, and takes its name for a pattern.
    `recommend` is false of what is no model for use, such as one made for tests: it is listed and trained as
    any other, and never recommended.
    """

    name: ModelName
    family: str
    tasks: tuple[str, ...]
    builder: Object
    options: dict[str, Any] = {}
    recipes: dict[str, str] = {}
    reference: Problem | None = None
    facts: Facts | None = None
    head: tuple[str, ...] = ()
    adapter: Object | None = None
    layout: Object | None = None
    image_size: Count | None = None
    group: ModelName | None = None
    recommend: bool = True
    summary: str = ""
    paper: str = ""
    license: str = "Apache-2.0"

    def _faults(self) -> Iterator[str]:
        if not self.tasks:
            yield "tasks: none given"
        if self.reference and self.reference.task not in self.tasks:
            yield f"reference: task {self.reference.task!r} is not among the model's tasks"
        if self.reference and isinstance(self.reference.output, Vector):
            yield "reference: nothing is trained to give a vector; state what it is trained for"
        for task in self.recipes:
            if task != "*" and task not in self.tasks:
                yield f"recipes: task {task!r} is not among the model's tasks"
        for sized in self.facts.sizes if self.facts else ():
            for table in ("activation_bytes", "largest_tensor_bytes"):
                if getattr(sized, table).keys() != getattr(self.facts, table).keys():
                    yield f"facts: sizes: {sized.size:,}: {table} is not of the precisions of the reference"


class ImagePreprocess(Record, tag_field="kind", tag="image", frozen=True, kw_only=True):
    """Pixels in 0..255 resized to `height` x `width`, scaled to 0..1, then `(x - mean) / std`."""

    channels: Count
    height: Count
    width: Count
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Positive, ...] = (1.0,)
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    crop_pct: Annotated[float, Meta(gt=0, le=1)] = 1.0


class TextPreprocess(Record, tag_field="kind", tag="text", frozen=True, kw_only=True):
    """Text to at most `length` tokens (and `target_length` for the text to produce).

    `tokenizer` is `bytes`, or the kind of the trained one that `definition` holds as the JSON of Hugging Face
    `tokenizers`. A run folder has that in `tokenizer.json`, and in `run.json` no more than its `sha256`.
    `vocab_size` is set where a model that others made knows more tokens than its tokenizer has.
    """

    tokenizer: str = "bytes"
    length: Count
    target_length: Count | None = None
    definition: str = ""
    sha256: Sha256 | None = None
    vocab_size: Count | None = None


class SeriesPreprocess(Record, tag_field="kind", tag="series", frozen=True, kw_only=True):
    """Series cut or zero-padded to `length`; `sample` standardises each series by itself."""

    length: Count
    channels: Count = 1
    normalize: Literal["none", "sample", "train"] = "none"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Positive, ...] = (1.0,)


Preprocess = ImagePreprocess | TextPreprocess | SeriesPreprocess


class WeightsSpec(Record, frozen=True, kw_only=True):
    """One set of trained weights of one model: where it is, what it promises, who may use it.

    `model` is a full name such as `cnn/lenet5`. `source` holds one URI or several, of which the
    first that can be had is used. `receipt` says how the weights were trained; `repeats` what that and
    the same training from other seeds reached; `golden` is a short input and the output it must give.
    """

    tag: Tag
    model: Reference
    source: str | tuple[str, ...]
    sha256: Sha256 | None = None
    bytes: Count | None = None
    problem: Problem | None = None
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    metrics: dict[str, float] = {}
    dataset: str = ""
    license: str = ""
    data_license: str = ""
    receipt: dict[str, Any] = {}
    repeats: tuple[dict[str, float], ...] = ()
    golden: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The full name with its tag, such as `cnn/lenet5.digits`."""
        return f"{self.model}.{self.tag}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The URIs, in the order in which they are tried."""
        return (self.source,) if isinstance(self.source, str) else self.source


# -- recipes ----------------------------------------------------------------------------------


class Recipe(WholeRecord, frozen=True, kw_only=True):
    """A flat set of training settings; a recipe file says only what differs from these.

    `batch_size` is global, over all devices. `lr` holds at `lr_batch_size` samples a step and
    follows the batch by `lr_scaling`. `steps`, when given, rules over `epochs`. `patience` is in epochs
    without a better validation metric, as is `average_after`: from then on the mean of all weights since
    counts, and patience begins anew. `class_weights` weigh the loss of each class, in the order of
    their names; "balanced" weighs each by the inverse of its samples. `balanced` draws as many samples
    of each class. `affine` is the maximal random (rotation in degrees, shift as a share of the side,
    zoom as a share), drawn anew for each image. `tokenizer` other than `bytes` is trained on the training
    split, to at most `vocab_size` tokens. `options` are passed to the model's builder.
    `eval_samples` limits how much of the validation split is looked at after each epoch. `optimizer`
    is a name of timm's. For the first `head_epochs` only the head that the model declares is trained.
    `activation_checkpointing` computes each block twice and keeps less of it in memory. `compile` and
    `channels_last` as "auto" are done where they are foreseen to save time.
    """

    epochs: Count = 10
    steps: Count | None = None
    batch_size: Count = 64
    eval_batch_size: Count = 256
    eval_samples: Count | None = None
    accumulate: Count = 1
    lr: Positive = 1e-3
    lr_batch_size: Count | None = None
    lr_scaling: Literal["none", "linear", "sqrt"] = "none"
    optimizer: str = "adamw"
    momentum: Fraction = 0.9
    betas: tuple[Fraction, Fraction] | None = None
    weight_decay: NonNegative = 0.01
    layer_decay: Annotated[float, Meta(gt=0, le=1)] | None = None
    schedule: Literal["cosine", "linear", "step", "constant"] = "cosine"
    warmup_epochs: NonNegative = 0.0
    min_lr: NonNegative = 0.0
    grad_clip: NonNegative = 0.0
    label_smoothing: Fraction = 0.0
    class_weights: Literal["none", "balanced"] | tuple[NonNegative, ...] = "none"
    balanced: bool = False
    affine: tuple[NonNegative, Fraction, Fraction] | None = None
    flip: bool = False
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0
    ema_decay: Fraction = 0.0
    average_after: Count | None = None
    head_epochs: NonNegative = 0.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    channels_last: bool | Literal["auto"] = "auto"
    activation_checkpointing: bool = False
    image_size: Count | None = None
    length: Count | None = None
    tokenizer: Literal["bytes", "bpe", "wordpiece"] = "bytes"
    vocab_size: Annotated[int, Meta(ge=260)] = 4096
    normalize: Literal["none", "sample", "train"] = "sample"
    patience: Count | None = None
    seed: Annotated[int, Meta(ge=0)] = 0
    options: dict[str, Any] = {}

    def _faults(self) -> Iterator[str]:
        if self.batch_size % self.accumulate:
            yield f"accumulate = {self.accumulate}: does not divide batch_size = {self.batch_size}"
        if self.warmup_epochs and not self.steps and self.warmup_epochs >= self.epochs:
            yield f"warmup_epochs = {self.warmup_epochs:g}: not less than epochs = {self.epochs}"
        if self.average_after and self.ema_decay:
            yield f"average_after = {self.average_after}: is another average than ema_decay; leave one out"
        if self.average_after and self.patience and self.patience < self.average_after:
            yield f"average_after = {self.average_after}: patience = {self.patience} ends training before"

    def steps_per_epoch(self, samples: int) -> int:
        """Whole batches in an epoch; a set smaller than a batch makes one."""
        return max(1, samples // self.batch_size)

    def total_steps(self, samples: int) -> int:
        """The optimizer steps of a whole training."""
        return self.steps or self.epochs * self.steps_per_epoch(samples)

    @property
    def evaluations(self) -> int:
        """How often a training is judged: after each epoch, or ten times where steps bound it."""
        return 10 if self.steps else self.epochs

    @property
    def scaled_lr(self) -> float:
        """The learning rate at this batch size, by the rule the recipe names."""
        ratio: float = self.batch_size / (self.lr_batch_size or self.batch_size)
        return self.lr * {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[self.lr_scaling]


# -- tasks, data, devices, evidence -----------------------------------------------------------


class TaskSpec(Record, frozen=True, kw_only=True):
    """A kind of problem; `implementation` names the `zoo.tasks.Task` that trains and judges it.

    `unit` says how the primary metric is written: as a `fraction` or as a plain `number`.
    """

    name: str
    implementation: Object
    metric: str
    maximize: bool = True
    unit: Literal["fraction", "number"] = "fraction"
    forward: str = ""
    summary: str = ""


class DatasetSpec(Record, frozen=True, kw_only=True):
    """A data set usable as `--data NAME`; `loader` names a function `() -> zoo.data.Dataset`."""

    name: ModelName
    loader: Object
    problem: Problem
    summary: str = ""
    license: str = ""
    source: str = ""


class DeviceSpec(Record, frozen=True, kw_only=True):
    """A device that the recommender can plan for.

    `peak_flops` by precision, in operations a second; `memory_bytes` and `bandwidth_bytes` (a
    second) as the maker states them in `source`.
    """

    name: ModelName
    kind: Literal["cuda", "cpu", "mps", "tpu", "rocm", "xpu"]
    memory_bytes: Count | None = None
    bandwidth_bytes: Count | None = None
    peak_flops: dict[Precision, Positive] = {}
    title: str = ""
    source: str = ""


class Evidence(Record, frozen=True, kw_only=True):
    """One measured result that the recommender may learn from.

    `seconds` is the whole training on `device`, which handled `seen` samples of it;
    `memory_bytes` its peak above an idle process.
    """

    model: Reference
    problem: Problem
    source: str
    weights: str = ""
    dataset: str = ""
    score: float | None = None
    spread: NonNegative | None = None
    seeds: Count = 1
    device: str = ""
    precision: Precision = "fp32"
    batch_size: Count | None = None
    seen: Count | None = None
    seconds: Positive | None = None
    memory_bytes: Count | None = None


class Estimate(Record, frozen=True, kw_only=True):
    """A number that is not certain: an 80% interval, where it comes from and how it was made."""

    value: float
    low: float
    high: float
    source: str
    method: str


class Device(Record, frozen=True, kw_only=True):
    """A device to plan for: `count` of `spec`, with the memory that is free on each."""

    spec: DeviceSpec
    count: Count = 1
    free_bytes: Annotated[int, Meta(ge=0)] | None = None
    cores: Count | None = None

    @property
    def title(self) -> str:
        """The device as one would say it."""
        name = self.spec.title or self.spec.name
        return name if self.count == 1 else f"{self.count} x {name}"


class Budget(Record, frozen=True, kw_only=True):
    """What a training may cost: bytes of memory a device, seconds, parameters; and the licences allowed.

    `latency_seconds` are those of one sample in a forward pass on the device that is planned for.
    `commercial` allows those that permit commercial use, of weights and of the data that they have seen.
    """

    memory_bytes: Count | None = None
    seconds: Positive | None = None
    parameters: Count | None = None
    latency_seconds: Positive | None = None
    licenses: tuple[str, ...] = ()
    commercial: bool = False


# -- names ------------------------------------------------------------------------------------

_NAME = re.compile(r"^(?:(?P<plugin>[^/]+)/)?(?P<model>[^/.]+)(?:\.(?P<tag>[^/]+))?$")


def split_name(name: str) -> tuple[str | None, str, str | None] | None:
    """`[plugin/]model[.tag]` as its three parts, or None where `name` is no such thing."""
    match = _NAME.match(name)
    return (match["plugin"], match["model"], match["tag"]) if match else None
