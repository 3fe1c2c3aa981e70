"""What the command line does, for use in code: list, recommend, train, load, evaluate, predict."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.commands import reading_options
from zoo.errors import DataError, RunError, SpecError, WeightsError, ZooError
from zoo.limits import Limits
from zoo.paths import is_file, is_folder
from zoo.recipes import resolve_recipe, takes_largest_batch
from zoo.registry import Model, Registry, installed
from zoo.runs import RECORD, TOKENIZER, WEIGHTS, Run, free_folder, has_tokenizer
from zoo.specs import Budget, Device, Problem, Recipe, TextPreprocess, WeightsSpec, convert, to_builtins

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zoo.comparison import Comparison
    from zoo.data.dataset import Dataset
    from zoo.data.inspection import Inspection
    from zoo.evaluation import Evaluation
    from zoo.predictions import Prediction
    from zoo.recommender import Recommendation
    from zoo.recommender.rank import Question
    from zoo.training import Callback

RUNS = Path("runs")


def list_models(
    pattern: str = "*", *, sort: str | None = None, pareto: Sequence[str] = (), **filters: Any
) -> list[str]:
    """The full names of the installed models that pass every filter.

    `pattern` is a glob over names, or the name of a group; the filters are those of `Registry.list_models`:
    `task`, `family`, `plugin`, `license`, `commercial`, `pretrained`, `max_parameters`. `pareto` leaves those
    that no other beats in these of `zoo.columns`, such as `("top1", "parameters")`; `sort` is one of them,
    by default the first that was asked for, or the name. Raises `UnknownNameError` for no such column.
    """
    from zoo.columns import select

    return [model.name for model in select(installed().list_models(pattern, **filters), sort, pareto)]


def info(name: str) -> Model:
    """What is known of a model: its spec, plugin and weights; raises `UnknownNameError`."""
    return installed().model(name)[0]


def recommend(
    problem: Problem | None = None,
    *,
    data: str | Dataset | None = None,
    device: str | Device = "auto",
    budget: Budget | None = None,
    **options: Any,
) -> Recommendation:
    """The models that suit a problem, best first: see `zoo.recommender.recommend` for the options.

    Give the `problem`, or `data` of which it is read. Raises `ZooError` for nonsense.
    """
    return question(problem, data=data, device=device, budget=budget, **options).answer()


def question(
    problem: Problem | None = None,
    *,
    data: str | Dataset | None = None,
    device: str | Device = "auto",
    budget: Budget | None = None,
    **options: Any,
) -> Question:
    """All that is known of the models that might suit a problem, asked for as by `recommend`."""
    from zoo import recommender
    from zoo.recommender.rank import Question

    registry = installed()
    if (problem is None) == (data is None):
        raise SpecError("recommend", ["give either a problem or data"])
    source, given = "", []
    if isinstance(data, str):
        problem, source = problem_of(registry, data), data
    elif data is not None:
        problem, source = data.problem, data.source
        given = reading_options(data.reading.options) if data.reading else []
    place = recommender.find_device(registry, device) if isinstance(device, str) else device
    return Question(
        registry,
        problem,  # type: ignore[arg-type]
        place,
        budget or Budget(),
        data=(source or "DATA", *given),
        **options,
    )


def problem_of(registry: Registry, data: str) -> Problem:
    """The problem that a data set poses, read without loading it where its record says enough."""
    spec = registry.datasets.get(data)
    if spec is not None and spec.problem.samples is not None:
        return spec.problem
    from zoo.data.load import load_dataset

    problem: Problem = load_dataset(data, registry=registry).problem
    return problem


def inspect(data: str | Dataset, **options: Any) -> Inspection:
    """What is in a data set: its problem, splits, classes, sizes, and what may be wrong with it.

    `data` is a name, a path or `hf://owner/name`; `options` are those of `load_dataset`: `task`, `columns`,
    `group_by`, `strict`, `history`, `horizon`. Raises `DataError` that says what is wrong, where, and what
    to do.
    """
    from zoo.data.inspection import inspect_dataset
    from zoo.data.load import load_dataset

    return inspect_dataset(load_dataset(data, **options) if isinstance(data, str) else data)


def train(
    model: str,
    data: str | Dataset,
    *,
    output: str | os.PathLike[str] | None = None,
    recipe: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    weights: str | None = None,
    device: str = "auto",
    shard: bool = False,
    limits: Limits | None = None,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Run:
    """Trains a model and returns the finished run.

    `model` may carry a tag, whose weights the training starts from; `weights` names others: a tag, a
    run folder or a source URI. `recipe` is a TOML file to use in place of the plugin's own; `settings`
    overrides single keys of it (`batch_size` may be "auto": the largest that fits), `options` go to the
    model's builder. `output` is a folder that does not exist yet, by default one under `runs/`. `limits` say
    how long the training may take and how often it is saved. Of several processes that torchrun started, each
    calls this; `shard` splits the model over them. Raises `ZooError` before anything is written.
    """
    from zoo.data.load import load_dataset
    from zoo.tasks.text import check_kept
    from zoo.training.trainer import Start, train_model

    registry = installed()
    entry, tagged = registry.model(model)
    dataset = load_dataset(data, registry=registry) if isinstance(data, str) else data
    overrides, auto_batch = takes_largest_batch(settings)
    initial = _find_weights(entry, tagged, weights)
    chosen = resolve_recipe(
        entry,
        dataset.problem.task,
        samples=dataset.problem.samples,
        finetune=initial is not None,
        file=Path(recipe) if recipe else None,
        overrides=overrides,
    )
    start = None
    if initial is not None:
        check_kept(initial.preprocess, chosen, initial.name)
        options = {**_their_options(entry, initial), **options}
        start = Start(spec=_reading(entry, initial, chosen), path=_fetch(initial))
    return train_model(
        registry,
        entry,
        dataset,
        chosen,
        output=Path(output) if output else new_folder(entry, dataset),
        options=options,
        start=start,
        device=device,
        shard=shard,
        auto_batch=auto_batch,
        limits=limits,
        callbacks=callbacks,
    )


def new_folder(model: Model, data: Dataset) -> Path:
    """Where a run is made unless another place is given: a folder under `runs/` that is not there yet."""
    return free_folder(RUNS, f"{model.spec.name}-{data.name}")


def resume(
    run: str | os.PathLike[str],
    *,
    data: str | Dataset | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    shard: bool | None = None,
    limits: Limits | None = None,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Goes on with an interrupted run, exactly where it stopped; `data` only where the data has moved.

    `settings` changes such of the recipe's as leave alone what was done, `lr` among them; `shard` and
    `limits` as for `train`.
    """
    from zoo.training.trainer import resume_run

    registry, opened = installed(), Run.open(run)
    dataset = _data_of(opened, data)
    return resume_run(
        registry,
        opened,
        dataset,
        settings=settings,
        device=device,
        shard=shard,
        limits=limits,
        callbacks=callbacks,
    )


def load(
    ref: str | os.PathLike[str],
    *,
    weights: str | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | None = None,
    problem: Problem | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    verify: bool = False,
    **options: Any,
) -> nn.Module:
    """A model as a plain module in evaluation mode; `module.zoo` says where it comes from.

    `ref` is a model's name (newly initialised), a name with a tag, a run folder, or a repository
    `hf://owner/name[@revision]` that holds a run. `weights` names a tag, a run folder or a source URI for
    a plain name. The problem is the one given, else the weights', else the model's reference;
    `num_classes`, `in_chans` and `img_size` change it. `verify` compares the model's answer to fixed
    samples with the weights' record. Raises `UnknownNameError`, `WeightsError` that lists every tensor that
    does not fit, or `PluginError`.
    """
    from zoo.build import Card, build, build_with_weights, problem_for
    from zoo.weights.report import LoadReport

    registry = installed()
    entry, spec, options = _resolve(registry, os.fspath(ref), weights, options)
    wanted = problem_for(
        entry, problem=problem, weights=spec, num_classes=num_classes, in_chans=in_chans, img_size=img_size
    )
    if spec is None:
        module = build(registry, entry, wanted, options)
        new = dict.fromkeys(module.state_dict(), "no weights were asked for")
        report = LoadReport(source="newly initialised", new=new)
    else:
        module, report = build_with_weights(
            registry, entry, wanted, options, path=_fetch(spec), source=spec.name, trained=spec.problem
        )
    same_classes = spec is not None and num_classes in (None, len(spec.labels)) and problem is None
    module.zoo = Card(  # type: ignore[assignment]
        name=spec.name if spec else entry.name,
        spec=entry.spec,
        problem=wanted,
        options=options,
        report=report,
        weights=spec,
        preprocess=spec.preprocess if spec else None,
        labels=spec.labels if spec and same_classes else (),
    )
    module = module.to(device=device, dtype=dtype).eval()
    if verify:
        _verify(registry, module, spec, wanted)
    return module


def evaluate(
    model: str | os.PathLike[str] | nn.Module,
    data: str | Dataset,
    *,
    split: str = "test",
    device: str = "cpu",
    batch_size: int = 256,
    worst: int = 0,
) -> Evaluation:
    """How good a model with weights is on a data set's split, beside a trivial predictor.

    `model` is what `load` takes, or a module that it gave. The data need have no other split; where it has
    none, `split` may be "all". `worst` samples are looked at one by one. Raises `DataError` for data of
    another task or other classes, `WeightsError` for a model without weights.
    """
    import torch

    from zoo.data.load import load_dataset, match_labels
    from zoo.evaluation import judge, observe
    from zoo.tasks.base import prepare

    registry = installed()
    module = loaded(model, device)
    card = module.zoo
    dataset = load_dataset(data, judge=split, registry=registry) if isinstance(data, str) else data
    dataset = match_labels(dataset, card.problem, card.labels, card.name)
    if split not in dataset.splits:
        raise ZooError(f"data {dataset.name!r} has no split {split!r}; it has: {', '.join(dataset.splits)}")
    task = registry.task_implementation(card.problem.task)
    prepared = prepare(task, dataset, card.preprocess)
    place, scale = torch.device(device), task.scale(dataset)
    judged = prepared.splits[split].to(place)
    seen = observe(module, judged, task, scale=scale, device=place, batch_size=batch_size)
    spec = registry.task(card.problem.task)
    return judge(module, spec, task, prepared, split, seen, device=place, worst=worst)


def compare(
    model: str | os.PathLike[str] | nn.Module,
    others: Sequence[str | os.PathLike[str] | nn.Module],
    data: str | Dataset,
    *,
    split: str = "test",
    device: str = "cpu",
    batch_size: int = 256,
    worst: int = 0,
) -> tuple[Evaluation, list[Comparison]]:
    """How good a model is, as `evaluate` tells, and each of the others beside it on the same samples.

    Raises `ZooError` where they do different tasks, or see the data as different samples.
    """
    from zoo.comparison import compare as paired
    from zoo.data.load import load_dataset

    registry = installed()
    first, *rest = (loaded(each, device) for each in (model, *others))
    for other in rest:
        ours, theirs = (each.zoo.problem.task for each in (first, other))
        if ours != theirs:
            raise ZooError(
                f"{first.zoo.name} does {ours} and {other.zoo.name} {theirs}; compare models of one task"
            )
    dataset = load_dataset(data, judge=split, registry=registry) if isinstance(data, str) else data
    options: dict[str, Any] = {"split": split, "device": device, "batch_size": batch_size}
    found = evaluate(first, dataset, worst=worst, **options)
    spec = registry.task(found.task)
    return found, [paired(found, evaluate(other, dataset, **options), spec) for other in rest]


def predict(
    model: str | os.PathLike[str] | nn.Module,
    items: Iterable[str | os.PathLike[str]] | str,
    *,
    device: str = "cpu",
    batch_size: int = 64,
    report: Callable[[list[dict[str, Any]]], None] | None = None,
    warn: Callable[[str], None] | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """One plain record for each item: image files, texts, or series as files or numbers, by the model's task.

    `predictions`, which has the same options, gives them one by one and goes on after an item that cannot be
    read; here it raises `DataError`. `report` gets each batch's records as soon as they are there.
    """
    given = [items] if isinstance(items, str) else items
    told = predictions(model, given, device=device, batch_size=batch_size, warn=warn, **options)
    found: list[dict[str, Any]] = []
    while batch := list(itertools.islice(told, batch_size)):
        records = [each.checked() for each in batch]
        found += records
        if report:
            report(records)
    return found


def predictions(
    model: str | os.PathLike[str] | nn.Module,
    items: Iterable[str | os.PathLike[str]] = (),
    *,
    data: str | None = None,
    split: str | None = None,
    columns: Mapping[str, tuple[str, ...]] | None = None,
    device: str = "cpu",
    batch_size: int = 64,
    warn: Callable[[str], None] | None = None,
    **options: Any,
) -> Iterator[Prediction]:
    """What a model says to each item, in order, a batch at a time: as many items as there are fit in memory.

    `model` is what `load` takes, or a module that it gave; one whose problem gives a `Vector` answers with
    an `embedding`, for which texts of like length share a batch. `items` are files, folders of them, texts
    or series, as `zoo.data.items.given_items` takes them; `data` is a table instead, of which `columns` say
    what is to be read: `{"text": ("review",)}`, or a data set by name, of which the samples of `split` are
    asked about, by default those of the test split. `options` are the task's: `top` and `all_classes` for
    classes, `levels` for the quantiles of a forecast, `length`, `seed` and what
    `zoo.tasks.generation.Sampling` has for a language model, `beams` for a text from a text.
    An item that cannot be read gives a prediction with an error. `warn` gets a line where texts are
    longer than the model can see. Raises `DataError` for a table without such columns, or an empty folder.
    """
    from zoo.data.items import given_items, table_items
    from zoo.data.load import load_dataset
    from zoo.predictions import predict_each
    from zoo.predictions.asking import split_items

    module, registry = loaded(model, device), installed()
    problem = module.zoo.problem
    task = registry.task_implementation(problem.task)
    if data in registry.datasets:
        dataset = load_dataset(data, columns=columns, registry=registry)
        asked = split_items(dataset, split or "test", task=problem.task, model=module.zoo.name)
    elif split:
        raise DataError(f"{data!r} is no data set by name, so it has no split {split!r}; leave that out")
    else:
        asked = table_items(data, problem, columns) if data else given_items(items, problem.input)
    return predict_each(module, task, asked, batch_size=batch_size, warn=warn, **options)


def data_of(model: str | os.PathLike[str]) -> Dataset:
    """The data that a run was trained on, read as it was then; raises `ZooError` where `model` is no run."""
    if not is_file(model, RECORD):
        raise ZooError(f"say on which data to judge {os.fspath(model)!r}: --data DATA")
    return _data_of(Run.open(model), None)


def _data_of(run: Run, data: str | Dataset | None) -> Dataset:
    """The data of a run, or that which has taken its place, read with the options that the run recorded."""
    from zoo.data.load import load_dataset

    if data is not None and not isinstance(data, str):
        return data
    if not (data or run.record.source):
        raise DataError(f"the data of {str(run.path)!r} was made in code and cannot be read again; pass it")
    return load_dataset(data or run.record.source, **run.record.data.get("options", {}))


def pick_device(name: str) -> str:
    """`auto` as the device that torch would use here; other names as they are."""
    if name != "auto":
        return name
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator.type if accelerator else "cpu"


# -- names to weights -------------------------------------------------------------------------


def loaded(model: str | os.PathLike[str] | nn.Module, device: str) -> Any:
    """A module with weights and the preprocessing that belongs to them."""
    module: Any = load(model, device=device) if isinstance(model, (str, os.PathLike)) else model
    card = getattr(module, "zoo", None)
    if card is None:
        raise WeightsError("the module does not come from zoo.load, so its preprocessing is not known")
    if card.preprocess is None and card.weights is not None:
        raise WeightsError(
            f"nothing beside the weights of {card.name} says how it is fed; put its tokenizer.json there"
        )
    if card.preprocess is None:
        tags = [weights.tag for weights in installed().model(card.name)[0].weights]
        mend = f"say {card.name}.TAG (tags: {', '.join(tags)})" if tags else "train it first: zoo train"
        raise WeightsError(f"{card.name} has no weights loaded; {mend}")
    return module


def _resolve(
    registry: Registry, ref: str, weights: str | None, options: Mapping[str, Any]
) -> tuple[Model, WeightsSpec | None, dict[str, Any]]:
    """The model, its weights and its builder's options, which a run brings with it."""
    if ref.startswith("hf://") or is_file(ref, RECORD) or _is_path(ref):
        run = Run.open(_download_run(ref) if ref.startswith("hf://") else ref)
        entry, _ = registry.model(run.record.model)
        return entry, weights_of_run(run), {**run.record.options, **options}
    entry, tagged = registry.model(ref)
    spec = _find_weights(entry, tagged, weights)
    kept = spec.receipt.get("options", {}) if spec else {}
    return entry, spec, {**kept, **options}


def _find_weights(entry: Model, tagged: WeightsSpec | None, weights: str | None) -> WeightsSpec | None:
    spec = _named_weights(entry, tagged, weights)
    return spec and described(entry, spec)


def _named_weights(entry: Model, tagged: WeightsSpec | None, weights: str | None) -> WeightsSpec | None:
    if weights is None:
        return tagged
    if tagged is not None:
        raise ZooError(f"{tagged.name} names weights already; leave out {weights!r}")
    if is_file(weights, RECORD):
        run = Run.open(weights)
        if run.record.model != entry.name:
            raise RunError(f"{weights!r} is a run of {run.record.model}, not of {entry.name}")
        return weights_of_run(run)
    if "://" in weights or weights.startswith("file:"):
        return weights_of_file(entry, weights)
    if is_file(weights):
        return weights_of_file(entry, f"file:{weights}")
    return entry.tagged(weights)


def _reading(entry: Model, spec: WeightsSpec, recipe: Recipe) -> WeightsSpec:
    """Weights of others, trained on with texts as long as the recipe says and not as they could read."""
    preprocess = spec.preprocess
    if not entry.spec.layout or not recipe.length or not isinstance(preprocess, TextPreprocess):
        return spec
    return spec.replace(preprocess=preprocess.replace(length=min(recipe.length, preprocess.length)))


def _their_options(entry: Model, spec: WeightsSpec) -> dict[str, Any]:
    """The builder's options that weights of others need; a run is started from with options of its own."""
    return dict(spec.receipt.get("options", {})) if entry.spec.layout else {}


def weights_of_file(entry: Model, source: str) -> WeightsSpec:
    """The record of a file at `source`: what its receipt says, where it carries one of a run."""
    from zoo.runs import Receipt
    from zoo.weights.shards import read_headers
    from zoo.weights.sources import fetch

    spec = WeightsSpec(tag="custom", model=entry.name, source=source)
    receipt = read_headers(fetch(source)).document("zoo")
    if receipt is None:
        return spec
    told = convert(receipt, Receipt, where=f"receipt of {source}")
    if told.model != entry.name:
        raise WeightsError(f"{source} holds weights of {told.model!r}, not of {entry.name}")
    return spec.replace(problem=told.problem, preprocess=told.preprocess, labels=told.labels, receipt=receipt)


def described(entry: Model, spec: WeightsSpec) -> WeightsSpec:
    """The record, with what the files beside the weights say where others wrote them.

    That is read by the layout that the model names; what the record says itself stays as it is.
    """
    if entry.spec.layout is None or spec.preprocess is not None:
        return spec
    from zoo.build import layout_of
    from zoo.weights import fetch_weights
    from zoo.weights.shards import read_headers
    from zoo.weights.sources import beside

    path = fetch_weights(spec)
    header = read_headers(path)
    layout = layout_of(installed(), entry, header)
    if layout is None:
        return spec
    shapes = {name: found.shape for name, found in header.tensors.items()}
    told = layout.describe(shapes, beside(spec, path))
    said = to_builtins(spec)
    return spec.replace(**{name: value for name, value in told.items() if name not in said})


def weights_of_run(run: Run) -> WeightsSpec:
    """A run's best weights as a record like that of published ones."""
    record = run.record
    return WeightsSpec(
        tag="run",
        model=record.model,
        source=f"file:{run.weights_path}",
        problem=record.problem,
        preprocess=record.preprocess,
        labels=record.labels,
        metrics=record.metrics,
        dataset=str(record.data.get("name", "")),
        data_license=str(record.data.get("license", "")),
        receipt=record.receipt(),
    )


def _fetch(spec: WeightsSpec) -> Path:
    from zoo.tokenizers import check_vocabulary
    from zoo.weights import fetch_weights

    path = fetch_weights(spec)
    check_vocabulary(spec.preprocess, spec.problem, spec.name)
    return path


def _download_run(ref: str) -> Path:
    from zoo.weights.sources import fetch

    folder, _ = (fetch(f"{ref}/{file}").parent for file in (RECORD, WEIGHTS))
    if has_tokenizer(folder):
        fetch(f"{ref}/{TOKENIZER}")
    return folder


def _is_path(ref: str) -> bool:
    return ref.startswith((".", "/", "~")) or is_folder(ref)


def _verify(registry: Registry, module: nn.Module, spec: WeightsSpec | None, problem: Problem) -> None:
    from zoo.golden import check_golden

    if spec is None or not spec.golden or spec.preprocess is None:
        raise WeightsError(
            f"{spec.name if spec else 'a new model'} has no golden output to be verified against"
        )
    task = registry.task_implementation(problem.task)
    check_golden(module, task, problem, spec.preprocess, spec.golden, spec.name)
