"""From a name to a module: building, filling with weights, and saying what became of every tensor."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zoo.errors import PluginError, SpecError, WeightsError, ZooError, describe_error, first_line
from zoo.profile import example_inputs, profile
from zoo.registry import Model, Registry
from zoo.specs import Classes, Facts, ImageInput, ModelSpec, Preprocess, Problem, Vector, WeightsSpec
from zoo.weights.headers import Header
from zoo.weights.layouts import Layout
from zoo.weights.report import LoadReport
from zoo.weights.shards import files_of, read_headers

COMPUTED_BYTES = 256 << 20  # of buffers that are in no file, beside as many as the file has
KINDS = {"float": torch.float32, "complex": torch.complex64, "boolean": torch.bool, "integer": torch.int64}


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a loaded module carries as `module.zoo`: where it comes from and how it is to be fed."""

    name: str
    spec: ModelSpec
    problem: Problem
    options: Mapping[str, Any]
    report: LoadReport
    weights: WeightsSpec | None = None
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()


def build(registry: Registry, model: Model, problem: Problem, options: Mapping[str, Any]) -> nn.Module:
    """The model for that problem, on the current default device, newly initialised.

    Raises `ZooError` for a problem or option that the model does not take, `PluginError` where the
    builder fails in another way.
    """
    if problem.task not in model.spec.tasks:
        tasks = ", ".join(model.spec.tasks)
        raise SpecError(model.name, [f"does not do {problem.task!r}; its tasks: {tasks}"])
    builder = registry.resolve(model.plugin, model.spec.builder)
    try:
        module = builder(problem, **{**model.spec.options, **options})
    except ZooError:
        raise
    except TypeError as error:
        unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unexpected and unexpected[1] in options:
            raise SpecError(model.name, [f"has no option {unexpected[1]!r}"]) from None
        raise PluginError(model.plugin.name, f"building {model.name} failed: {first_line(error)}") from error
    except Exception as error:
        reason = describe_error(error)
        raise PluginError(model.plugin.name, f"building {model.name} failed: {reason}") from error
    if not isinstance(module, nn.Module):
        raise PluginError(
            model.plugin.name, f"{model.spec.builder} returned a {type(module).__name__}, no module"
        )
    return module


class _WithoutValues(TorchFunctionMode):
    """Passes over the initialisation of tensors on the meta device, which have no values.

    torch works through it in Python there, which takes most of the time that a large model needs.
    After `most` calls it raises `WeightsError`: a receipt may ask for a billion layers.
    """

    VALUES = frozenset(
        {
            Tensor.add_,
            Tensor.bernoulli_,
            Tensor.clamp_,
            Tensor.copy_,
            Tensor.div_,
            Tensor.erfinv_,
            Tensor.exponential_,
            Tensor.fill_,
            Tensor.mul_,
            Tensor.normal_,
            Tensor.sub_,
            Tensor.uniform_,
            Tensor.zero_,
        }
    )

    def __init__(self, *, most: int) -> None:
        super().__init__()
        self._most, self._calls = most, 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The tensor itself where only its values would change, else what torch does."""
        self._calls += 1
        if self._calls > self._most:
            raise WeightsError(
                f"the weights do not fit the model, which has not even been built after {self._most:,} steps"
            )
        if func in self.VALUES and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def trace_facts(registry: Registry, model: Model) -> Facts:
    """What the model costs at its reference problem, traced without computing.

    Other sizes of its samples are traced as well, those that the builder and the trace take, and stated where
    their costs do not follow from the reference's.
    """
    from zoo.recommender.sizes import sized_problems, worth_stating  # for authors; loading goes without

    reference = model.spec.reference
    if reference is None:
        raise SpecError(model.name, ["states no reference problem, so it cannot be profiled"])
    facts, sized = trace_at(registry, model, reference), dict[int, Facts]()
    for size, problem in sized_problems(model.spec).items():
        with contextlib.suppress(ZooError):
            sized[size] = trace_at(registry, model, problem)
    return worth_stating(model.spec, facts, sized)


def trace_at(registry: Registry, model: Model, problem: Problem) -> Facts:
    """What the model costs at a problem, traced without computing; raises `ZooError` if it refuses that."""
    return profile(lambda: build(registry, model, problem, {}), lambda batch: example_inputs(problem, batch))


def build_with_weights(
    registry: Registry,
    model: Model,
    problem: Problem,
    options: Mapping[str, Any],
    *,
    path: Path,
    source: str,
    trained: Problem | None,
) -> tuple[nn.Module, LoadReport]:
    """The model for `problem`, filled from the safetensors file at `path`, or the files it is the index of.

    Built without memory or initialisation and filled from the mapped file, where the weights were
    `trained` for this very problem. Where the input differs, the adapter that the model declares fits
    them; where the classes do, the head that it declares is newly initialised. Anything else that does not
    fit is an error that lists the tensors.
    """
    header = read_headers(path)
    stated, trained = trained, trained or model.spec.reference  # one that says nothing is of the usual kind
    exact = trained is None or _same_shape(trained, problem)
    same_head = trained is None or _size(trained.output) == _size(problem.output)
    head = () if same_head else model.spec.head
    known = problem if exact else stated
    layout = layout_of(registry, model, header)
    if known is not None:  # what the file holds is known before a byte of it is mapped, or one is allocated
        with torch.device("meta"), _WithoutValues(most=_calls(header)):
            module = build(registry, model, known, options)
        promised = _without_values(header)
        _translate(model, layout, promised, module)
        _compare(module, _found(promised), source, head)
        _check_computed(module, header, path, source)
    tensors = _map(path)
    fresh = dict[str, str]()
    if not exact:
        module = build(registry, model, problem, options)
    told = _translate(model, layout, tensors, module)
    if not exact:
        told |= _adapt(registry, model, tensors, module)
        fresh = _compare(module, _found(tensors), source, head)
    _fill(module, tensors, fresh)
    if _left_on_meta(module):  # buffers that no file holds: computed by the constructor, so it must run
        module = build(registry, model, problem, options)
        _fill(module, tensors, fresh)
    loaded = tuple(name for name in tensors if name not in fresh and name not in told)
    unused = tuple(name for name in told if name not in tensors)
    adapted = {name: reason for name, reason in told.items() if name in tensors}
    return module, LoadReport(source=source, loaded=loaded, adapted=adapted, new=fresh, unused=unused)


def layout_of(registry: Registry, model: Model, header: Header) -> Layout | None:
    """The layout by which a file is read; None where the zoo wrote it, or the model names none."""
    if model.spec.layout is None or "zoo" in header.metadata:
        return None
    layout: Layout = registry.resolve(model.plugin, model.spec.layout)
    return layout


def _translate(
    model: Model, layout: Layout | None, tensors: dict[str, Tensor], module: nn.Module
) -> dict[str, str]:
    """What the layout did to which, to give the tensors the names that the module has for them."""
    return {} if layout is None else _changed(model, "reading", layout.read, tensors, module)


def _without_values(header: Header) -> dict[str, Tensor]:
    """The tensors of a file as its header describes them."""
    return {
        name: torch.empty(entry.shape, dtype=KINDS[entry.kind], device="meta")
        for name, entry in header.tensors.items()
    }


def _found(tensors: Mapping[str, Tensor]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (tuple(tensor.shape), _kind(tensor)) for name, tensor in tensors.items()}


def _map(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, or of an index's files, each read where and when it is used."""
    try:
        return {name: tensor for file in files_of(path) for name, tensor in load_file(file).items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: {error}") from None


def _calls(header: Header) -> int:
    """Far more calls of torch than any model makes for that many tensors while it is built."""
    return 20_000 + 50 * len(header.tensors)


def _check_computed(module: nn.Module, header: Header, path: Path, source: str) -> None:
    """Raises `WeightsError` where a file's claims make the model compute absurdly large buffers."""
    computed = sum(buffer.nbytes for name, buffer in module.named_buffers() if name not in header.tensors)
    if computed > sum(file.stat().st_size for file in files_of(path)) + COMPUTED_BYTES:
        raise WeightsError(
            f"{source} does not fit the model, which would compute {computed:,} bytes of buffers beside it"
        )


def _adapt(registry: Registry, model: Model, tensors: dict[str, Tensor], module: nn.Module) -> dict[str, str]:
    """What the model's own adapter made of the tensors, by name; `tensors` holds the results."""
    if model.spec.adapter is None:
        return {}
    adapter = registry.resolve(model.plugin, model.spec.adapter)
    return _changed(model, "adapting", adapter, tensors, module)


def _changed(
    model: Model,
    what: str,
    change: Callable[[dict[str, Tensor], nn.Module], Mapping[str, str]],
    tensors: dict[str, Tensor],
    module: nn.Module,
) -> dict[str, str]:
    """What a plugin's function did to which of the tensors; its failures are the plugin's."""
    try:
        return dict(change(tensors, module))
    except ZooError:
        raise
    except Exception as error:
        reason = describe_error(error)
        raise PluginError(model.plugin.name, f"{what} weights of {model.name} failed: {reason}") from error


def _fill(module: nn.Module, tensors: dict[str, Tensor], fresh: Mapping[str, str]) -> None:
    """Gives the module all tensors but the `fresh` ones, in the types that it has."""
    wanted, aliases = module.state_dict(), _aliases(module)
    chosen = {name: tensor.to(wanted[name].dtype) for name, tensor in tensors.items() if name not in fresh}
    module.load_state_dict(chosen, assign=True, strict=False)
    for name, first in aliases.items():  # assigning gave the tied names separate tensors
        if name not in tensors:
            _tie(module, name, first)


def _compare(
    module: nn.Module, given: Mapping[str, tuple[tuple[int, ...], str]], source: str, head: Sequence[str]
) -> dict[str, str]:
    """The tensors that stay newly initialised, with the reason; `given` has shapes and kinds by name.

    Raises `WeightsError` that lists what does not fit.
    """
    wanted = {name: (tuple(tensor.shape), _kind(tensor)) for name, tensor in module.state_dict().items()}
    aliases = _aliases(module)
    missing = [name for name in wanted if name not in given and aliases.get(name) not in given]
    unused = [name for name in given if name not in wanted]
    differing = [name for name in wanted if name in given and wanted[name] != given[name]]
    fresh = {
        name: "head for other classes"
        for name in [*missing, *differing]
        if any(name == prefix or name.startswith(f"{prefix}.") for prefix in head)
    }
    faults = [f"{name} is missing" for name in missing if name not in fresh]
    faults += [
        f"{name} is {_shape(*pair)} where the model has {_shape(*reversed(pair))}"
        for name, pair in ((name, (given[name], wanted[name])) for name in differing)
        if name not in fresh
    ]
    faults += [f"{name} {_shape(given[name])} belongs nowhere" for name in unused]
    if faults:
        shown = "; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
        raise WeightsError(f"{source} does not fit the model: {shown}")
    return fresh


def _aliases(module: nn.Module) -> dict[str, str]:
    """Names of tied parameters, each with the first name of the same parameter."""
    first: dict[int, str] = {}
    aliases: dict[str, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        known = first.setdefault(id(parameter), name)
        if known != name:
            aliases[name] = known
    return aliases


def _tie(module: nn.Module, name: str, first: str) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(owner), leaf, module.get_parameter(first))


def _left_on_meta(module: nn.Module) -> bool:
    return any(tensor.is_meta for tensor in [*module.parameters(), *module.buffers()])


def _same_shape(one: Problem, other: Problem) -> bool:
    """Whether a model has the same tensors for both; names of classes and sample counts do not matter."""
    return one.input == other.input and _size(one.output) == _size(other.output)


def _size(output: Any) -> Any:
    return output.count if isinstance(output, Classes) else output


def _kind(tensor: Tensor) -> str:
    """As `zoo.weights.headers.Entry.kind`."""
    if tensor.dtype == torch.bool:
        return "boolean"
    return "float" if tensor.is_floating_point() else "complex" if tensor.is_complex() else "integer"


def _shape(one: tuple[tuple[int, ...], str], other: tuple[tuple[int, ...], str] | None = None) -> str:
    """A tensor's shape, with its kind where that is what differs from the other's."""
    shape, kind = one
    text = "x".join(map(str, shape)) or "scalar"
    return f"{text} {kind}" if other and other[1] != kind else text


def problem_for(
    model: Model,
    *,
    problem: Problem | None,
    weights: WeightsSpec | None,
    num_classes: int | None,
    in_chans: int | None,
    img_size: int | None = None,
) -> Problem:
    """The problem to build for: the one given, else the weights', else the reference; then adapted."""
    chosen = problem or (weights.problem if weights else None) or model.spec.reference
    if chosen is None:
        raise SpecError(model.name, ["states no reference problem; pass problem=zoo.Problem(...)"])
    if num_classes is not None:
        if not isinstance(chosen.output, Classes | Vector):
            raise SpecError(model.name, [f"num_classes={num_classes}: {chosen.task} has no classes"])
        if num_classes != _size(chosen.output):
            chosen = chosen.replace(output=Classes(count=num_classes))
    if in_chans is not None or img_size is not None:
        if not isinstance(chosen.input, ImageInput):
            raise SpecError(model.name, [f"in_chans and img_size are for images, not for {chosen.task}"])
        size = {"height": img_size, "width": img_size} if img_size else {}
        channels = {"channels": in_chans} if in_chans else {}
        chosen = chosen.replace(input=chosen.input.replace(**size, **channels))
    return chosen
