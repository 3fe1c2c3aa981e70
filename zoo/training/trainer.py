"""A training from its settings to a finished run, and an interrupted one to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.build import build, build_with_weights
from zoo.data.balance import settle_balance
from zoo.data.dataset import Dataset
from zoo.errors import RunError, SpecError
from zoo.limits import Limits
from zoo.recipes import RESUMABLE
from zoo.recommender import Load, load_at
from zoo.recommender.facts import shape_of
from zoo.recommender.prospect import foresee
from zoo.registry import Model, Registry
from zoo.runs import Run, RunRecord, check_free, create_folder, versions
from zoo.specs import Recipe, WeightsSpec
from zoo.tasks.base import Prepared, Task, prepare
from zoo.tasks.text import truncation
from zoo.training.callbacks import Callback
from zoo.training.contract import rehearse
from zoo.training.engine import Engine, describe_device
from zoo.training.foresight import compile_pays, fitting_recipe
from zoo.training.freezing import check_head
from zoo.training.keeping import Witness
from zoo.training.optimizers import check_optimizer
from zoo.training.session import Plan, Session


@dataclass(frozen=True, kw_only=True)
class Start:
    """The weights that a training starts from, fetched and checked."""

    spec: WeightsSpec
    path: Path


def train_model(
    registry: Registry,
    model: Model,
    dataset: Dataset,
    recipe: Recipe,
    *,
    output: Path,
    options: Mapping[str, Any],
    start: Start | None = None,
    device: str = "auto",
    shard: bool = False,
    auto_batch: bool = False,
    limits: Limits | None = None,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Trains `model` on `dataset` into the new folder `output` and returns the finished run.

    Everything that can be wrong with the settings is found before the folder is made. `auto_batch` puts the
    largest batch that fits in the place of the recipe's; `shard` splits the model over all processes. Raises
    `ZooError`; interrupted from the keyboard it saves a checkpoint and raises `KeyboardInterrupt`.
    """
    check_optimizer(recipe)
    witness = Witness()
    recipe = settle_balance(recipe, dataset)
    task: Task = registry.task_implementation(dataset.problem.task)
    kept = start.spec.preprocess if start else None
    prepared = prepare(task, dataset, kept or task.fit(dataset, model.spec, recipe))
    options = {**recipe.options, **options}
    engine = Engine(recipe, prepared.problem, device=device, shard=shard)
    output = Path(engine.told(str(output)))
    if engine.main:
        check_free(output)
    torch.manual_seed(recipe.seed)
    module = _build(registry, model, prepared, options, start)
    rehearse(module, task, prepared, model)
    load = _load(model, prepared)
    if auto_batch:
        recipe = fitting_recipe(module, task, prepared, recipe, registry, engine, load)
    engine.check_batch(recipe, len(prepared.splits["train"]))
    if recipe.head_epochs:
        check_head(module, model.spec.head, model.name)
    record = RunRecord(
        model=model.name,
        options=options,
        problem=prepared.problem,
        preprocess=prepared.preprocess,
        labels=dataset.labels,
        recipe=recipe,
        source=dataset.source,
        data={**dataset.record(), **truncation(prepared.splits)},
        weights=start.spec.name if start else "",
        device=describe_device(engine.device),
        processes=engine.world,
        sharded=engine.shard,
        precision=engine.precision,
        compiled=compile_pays(recipe, load, registry, engine),
        versions=versions(),
        predicted=foresee(
            registry,
            model,
            dataset.problem,
            recipe,
            engine.device.type,
            processes=engine.world,
            weights=start.spec if start else None,
            options=options,
        ),
    )
    if engine.main:
        create_folder(output)
    run = Run(output, record)
    if engine.main:
        run.save(record)
    engine.barrier()
    finished = _session(registry, model, run, prepared, module, engine, limits, callbacks).train()
    if engine.main:
        hurried = limits is not None and limits.max_seconds is not None
        witness.keep(finished, dataset, model, registry.task(dataset.problem.task), hurried=hurried)
    return finished


def resume_run(
    registry: Registry,
    run: Run,
    dataset: Dataset,
    *,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    shard: bool | None = None,
    limits: Limits | None = None,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Goes on with an unfinished run from its last checkpoint, exactly as if it had not stopped.

    `settings` changes such of the recipe's as leave what was done so far as it is. Another number of
    processes may go on with it, sharded or not; `shard` as None is as it was. Raises `RunError` where the
    run is finished, or where the data is no longer the same.
    """
    record = run.record
    run.check_no_trial()
    if record.state == "finished":
        raise RunError(f"{str(run.path)!r} is finished; train anew, or start from it: --weights {run.path}")
    if dataset.fingerprint() != record.data["fingerprint"]:
        raise RunError(f"{str(run.path)!r} cannot go on: data {dataset.name!r} has changed since it began")
    recipe = _changed(record.recipe, settings or {})
    model, _ = registry.model(record.model)
    prepared = prepare(registry.task_implementation(record.problem.task), dataset, record.preprocess)
    torch.manual_seed(recipe.seed)
    module = build(registry, model, prepared.problem, record.options)
    as_it_was = recipe if settings and "precision" in settings else recipe.replace(precision=record.precision)
    engine = Engine(
        as_it_was, prepared.problem, device=device, shard=record.sharded if shard is None else shard
    )
    engine.check_batch(recipe, len(prepared.splits["train"]))
    now = record.replace(
        recipe=recipe, processes=engine.world, sharded=engine.shard, precision=engine.precision
    )
    session = _session(registry, model, Run(run.path, now), prepared, module, engine, limits, callbacks)
    return session.train(resume=True)


def _session(
    registry: Registry,
    model: Model,
    run: Run,
    prepared: Prepared,
    module: nn.Module,
    engine: Engine,
    limits: Limits | None,
    callbacks: Sequence[Callback],
) -> Session:
    name = run.record.problem.task
    plan = Plan(
        run=run,
        spec=registry.task(name),
        task=registry.task_implementation(name),
        prepared=prepared,
        module=module,
        head=model.spec.head,
        engine=engine,
        registry=registry,
        limits=limits or Limits(),
        callbacks=callbacks,
    )
    return Session(plan)


def _changed(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of such settings as a run may change on its way."""
    fixed = [name for name in settings if name not in RESUMABLE]
    if fixed:
        raise SpecError(
            "--resume",
            [f"{name}: cannot be changed on the way; these can: {', '.join(RESUMABLE)}" for name in fixed],
        )
    return recipe.replace(**settings)


def _load(model: Model, prepared: Prepared) -> Load | None:
    """What a sample costs the model, as far as its facts tell."""
    problem = prepared.problem.replace(samples=len(prepared.splits["train"]))
    return load_at(model.spec, problem, shape_of(problem))


def _build(
    registry: Registry, model: Model, prepared: Prepared, options: Mapping[str, Any], start: Start | None
) -> nn.Module:
    if start is None:
        return build(registry, model, prepared.problem, options)
    module, _ = build_with_weights(
        registry,
        model,
        prepared.problem,
        options,
        path=start.path,
        source=start.spec.name,
        trained=start.spec.problem,
    )
    return module
