"""One training run from start to end: prepare, train, judge, keep the best, say what came of it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from safetensors.torch import load_file
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from zoo.build import build, build_with_weights
from zoo.data.balance import settle_balance
from zoo.data.dataset import Dataset
from zoo.errors import PluginError, RunError, TrainingError, describe_error
from zoo.evaluation import means, score
from zoo.registry import Model, Registry
from zoo.runs import (
    METRICS,
    WEIGHTS,
    Run,
    RunRecord,
    check_free,
    create_folder,
    versions,
    write_card,
    write_whole,
)
from zoo.specs import Classes, Problem, Recipe, SeriesOutput, TaskSpec, TokenOutput, WeightsSpec
from zoo.tasks.base import Prepared, Task, prepare
from zoo.tasks.text import truncation
from zoo.training.callbacks import Callback, Callbacks
from zoo.training.checkpoints import STATE, load_checkpoint, memory_peak, save_checkpoint, save_weights
from zoo.training.interrupts import Interrupts
from zoo.training.loop import Step, train_steps
from zoo.training.optimizers import check_optimizer, make_optimizer, make_scheduler

CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Start:
    """The weights that a training starts from, fetched and checked."""

    spec: WeightsSpec
    path: Path


@dataclass
class Progress:
    """What a run must remember besides tensors; all of it is in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    stale: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0


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
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Trains `model` on `dataset` into the new folder `output` and returns the finished run.

    Everything that can be wrong with the settings is found before the folder is made. Raises
    `ZooError`; interrupted from the keyboard it saves a checkpoint and raises `KeyboardInterrupt`.
    """
    check_free(output)
    check_optimizer(recipe)
    recipe = settle_balance(recipe, dataset)
    spec = registry.task(dataset.problem.task)
    task: Task = registry.task_implementation(spec.name)
    kept = start.spec.preprocess if start else None
    prepared = prepare(task, dataset, kept or task.fit(dataset, model.spec, recipe))
    options = {**recipe.options, **options}
    torch.manual_seed(recipe.seed)
    module = _build(registry, model, prepared, options, start)
    rehearse(module, task, prepared, model)
    accelerator = _accelerator(recipe, device)
    create_folder(output)
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
        device=describe_device(accelerator.device),
        precision=accelerator.mixed_precision.replace("no", "fp32"),
        versions=versions(),
    )
    run = Run(output, record).save(record)
    return _Session(run, spec, task, prepared, module, accelerator, callbacks, registry).run()


def resume_run(
    registry: Registry,
    run: Run,
    dataset: Dataset,
    *,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Goes on with an unfinished run from its last checkpoint, exactly as if it had not stopped.

    Raises `RunError` where the run is finished, or where the data is no longer the same.
    """
    record = run.record
    if record.state == "finished":
        raise RunError(f"{str(run.path)!r} is finished; train anew, or start from it: --weights {run.path}")
    if dataset.fingerprint() != record.data["fingerprint"]:
        raise RunError(f"{str(run.path)!r} cannot go on: data {dataset.name!r} has changed since it began")
    model, _ = registry.model(record.model)
    spec = registry.task(record.problem.task)
    task: Task = registry.task_implementation(spec.name)
    prepared = prepare(task, dataset, record.preprocess)
    torch.manual_seed(record.recipe.seed)
    module = build(registry, model, prepared.problem, record.options)
    accelerator = _accelerator(record.recipe, device)
    return _Session(run, spec, task, prepared, module, accelerator, callbacks, registry).run(resume=True)


class _Session:
    """One process's part of a run; `run` is the story, the rest its steps."""

    def __init__(
        self,
        run: Run,
        spec: TaskSpec,
        task: Task,
        prepared: Prepared,
        module: nn.Module,
        accelerator: Accelerator,
        callbacks: Sequence[Callback],
        registry: Registry,
    ) -> None:
        recipe = run.record.recipe
        self._run, self._spec, self._task, self._prepared = run, spec, task, prepared
        self._recipe, self._accelerator = recipe, accelerator
        self._splits = {name: split.to(accelerator.device) for name, split in prepared.splits.items()}
        self._scale = task.scale(prepared.dataset)
        samples = len(prepared.splits["train"])
        self._steps = recipe.total_steps(samples)
        self._interval = max(1, self._steps // recipe.evaluations)
        if recipe.channels_last:
            module = module.to(memory_format=torch.channels_last)
        self._module = module.to(accelerator.device)
        if recipe.compile:
            self._module.compile()
        optimizer = make_optimizer(self._module, recipe)
        self._scheduler = make_scheduler(
            optimizer, recipe, steps=self._steps, epoch_steps=recipe.steps_per_epoch(samples)
        )
        self._model, self._optimizer = accelerator.prepare(self._module, optimizer)
        self._average = ModelEmaV3(self._module, decay=recipe.ema_decay) if recipe.ema_decay else None
        others = registry.call("zoo_callbacks", Callback, run=run)
        self._callbacks = Callbacks([*callbacks, *others])
        self._progress, self._interrupts = Progress(), Interrupts()
        self._resident = psutil.Process().memory_info().rss

    def run(self, *, resume: bool = False) -> Run:
        """Trains to the end, judges the best weights on the test split, and writes both down."""
        if resume:
            self._restore()
        elif self._run.record.weights:  # they may be gone when a run that was killed goes on
            self._save_checkpoint()
        self._run = self._save_record(state="running")
        self._callbacks.start(self._run, self._steps, self._progress.step)
        with self._told_of_the_end():
            with self._interrupts:
                self._train()
            self._finish()
        return self._run

    def _train(self) -> None:
        progress, clock = self._progress, time.perf_counter()
        saved, losses = clock, []
        if self._out_of_patience:  # stopped after the evaluation that ended the training
            return
        for step in self._train_steps():
            losses.append(step.loss)
            progress.step = step.number
            self._tell(self._callbacks.step, step)
            last = step.number == self._steps
            due = last or step.number % self._interval == 0
            now = time.perf_counter()
            if due or self._interrupts.came or now - saved > CHECKPOINT_SECONDS:
                self._count_losses(losses, step)
                losses.clear()
                progress.seconds += now - clock
                clock = now
                if due:
                    self._judge(step)
                self._save_checkpoint()
                saved = time.perf_counter()
                if self._interrupts.came:
                    raise KeyboardInterrupt
                if due and self._out_of_patience:
                    break

    def _tell(self, moment: Callable[[Any], None], what: Any) -> None:
        """Tells the observers; where one interrupts, the step is judged and saved before the run stops."""
        try:
            moment(what)
        except KeyboardInterrupt:
            self._interrupts.came = True

    @property
    def _out_of_patience(self) -> bool:
        return self._recipe.patience is not None and self._progress.stale >= self._recipe.patience

    def _train_steps(self) -> Iterator[Step]:
        return train_steps(
            self._model,
            self._splits["train"],
            self._task,
            self._recipe,
            problem=self._prepared.problem,
            accelerator=self._accelerator,
            optimizer=self._optimizer,
            scheduler=self._scheduler,
            average=self._average,
            start=self._progress.step,
        )

    def _count_losses(self, losses: Sequence[Tensor], step: Step) -> None:
        total = float(torch.stack(list(losses)).double().sum())
        self._check_finite("loss", total, step)
        self._progress.loss_sum += total
        self._progress.loss_count += len(losses)

    def _check_finite(self, name: str, value: float, step: Step) -> None:
        if not math.isfinite(value):
            lr = self._recipe.lr / 3
            raise TrainingError(
                f"the {name} is no longer a number (noticed at step {step.number}); what was saved before is "
                f"kept in {str(self._run.path)!r}; try: -o lr={lr:.1g} -o grad_clip=1"
            )

    def _judge(self, step: Step) -> None:
        """Evaluates, and keeps the weights where they are the best so far."""
        progress = self._progress
        started = time.perf_counter()
        found = self._evaluate("validation", self._trained, self._recipe.eval_samples)
        progress.seconds += time.perf_counter() - started
        for name, reached in found.items():
            self._check_finite(f"validation {name}", reached, step)
        row = {
            "step": step.number,
            "epoch": step.epoch + 1,
            "seconds": round(progress.seconds, 3),
            "loss": progress.loss_sum / progress.loss_count,
            "lr": step.lr,
            "validation": found,
        }
        progress.loss_sum, progress.loss_count = 0.0, 0
        self._append(row)
        value = found[self._spec.metric]
        better = progress.best is None or (
            value > progress.best if self._spec.maximize else value < progress.best
        )
        if better:
            progress.best, progress.stale = value, 0
            record = self._run.record.replace(best={"step": step.number, **found})
            save_weights(self._run.path / WEIGHTS, self._trained, record.receipt())
            self._run = self._run.save(record)
        else:
            progress.stale += 1
        self._tell(self._callbacks.epoch, row)

    def _finish(self) -> None:
        """The best weights judged on the test split, a baseline beside them, and the model card."""
        best = self._module
        best.load_state_dict(load_file(self._run.path / WEIGHTS), strict=False)
        metrics = self._evaluate("test", best, None)
        baseline = self._task.baseline(self._prepared, "test")
        self._run = self._save_record(
            state="finished",
            metrics=metrics,
            baseline={"name": baseline.name, "metrics": dict(baseline.metrics)},
        )
        write_card(self._run, self._spec)

    def _evaluate(self, split: str, model: nn.Module, limit: int | None) -> dict[str, float]:
        with self._accelerator.autocast():
            found = score(
                model,
                self._splits[split],
                self._task,
                scale=self._scale,
                device=self._accelerator.device,
                batch_size=self._recipe.eval_batch_size,
                limit=limit,
            )
        return means(found)

    @property
    def _trained(self) -> nn.Module:
        """The weights that count: the running average where there is one."""
        return self._average.module if self._average is not None else self._module

    # -- what is kept --

    @contextlib.contextmanager
    def _told_of_the_end(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            self._run = self._save_record(state="interrupted")
            raise
        finally:
            self._callbacks.end(self._run)

    @property
    def _modules(self) -> dict[str, nn.Module]:
        modules = {"model": self._module}
        if self._average is not None:
            modules["average"] = self._average.module
        return modules

    def _save_checkpoint(self) -> None:
        folder = self._run.path / "last"
        save_checkpoint(
            folder, modules=self._modules, optimizer=self._optimizer, state=dict(vars(self._progress))
        )

    def _restore(self) -> None:
        folder = self._run.path / "last"
        if not (folder / STATE).exists():  # killed before its first checkpoint: it begins anew
            write_whole(self._run.path / METRICS, b"")
            return
        state = load_checkpoint(folder, modules=self._modules, optimizer=self._optimizer)
        self._progress = Progress(**state)
        rows = [row for row in self._run.history if row["step"] <= self._progress.step]
        write_whole(self._run.path / METRICS, b"".join(map(_line, rows)))

    def _append(self, row: dict[str, Any]) -> None:
        try:
            with (self._run.path / METRICS).open("ab") as file:
                file.write(_line(row))
        except OSError as error:
            raise RunError(f"{str(self._run.path / METRICS)!r} cannot be written: {error.strerror}") from None

    def _save_record(self, **changes: Any) -> Run:
        peak = memory_peak(self._resident)
        return self._run.save(
            self._run.record.replace(
                steps=self._progress.step,
                seconds=round(self._progress.seconds, 3),
                peak_memory_bytes=peak,
                **changes,
            )
        )


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


@torch.inference_mode()
def rehearse(module: nn.Module, task: Task, prepared: Prepared, model: Model) -> None:
    """One forward pass over two samples, so that a model that breaks its contract is found out at once.

    Raises `PluginError` where the forward fails, or gives another shape than the task asks for.
    """
    split = prepared.splits["validation"]
    batch = split.take(torch.arange(min(2, len(split))))
    inputs = task.inputs(batch)
    try:
        output = module.eval()(*inputs)
    except Exception as error:
        reason = f"the forward of {model.name} failed: {describe_error(error)}"
        raise PluginError(model.plugin.name, reason) from error
    expected = output_shape(prepared.problem, inputs)
    if not isinstance(output, Tensor) or tuple(output.shape) != expected:
        given = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        reason = f"the forward of {model.name} gives {given} where the task asks for {list(expected)}"
        raise PluginError(model.plugin.name, reason)


def output_shape(problem: Problem, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
    """The shape that the forward of a model for that problem has to give for those inputs."""
    count = len(inputs[0])
    match problem.output:
        case Classes(count=classes):
            return count, classes
        case SeriesOutput(length=length, channels=channels):
            return count, length, channels
        case TokenOutput(vocab_size=vocabulary):
            return *inputs[-1].shape, vocabulary


def _accelerator(recipe: Recipe, device: str) -> Accelerator:
    """Accelerate's view of the device; `auto` precision is bf16 where a GPU has it, else fp32."""
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise TrainingError(f"device {device!r} cannot be trained on; known: auto, cpu, cuda, mps")
    if device in ("cuda", "mps") and not getattr(torch, device).is_available():
        raise TrainingError(f"device {device!r} is not available here; leave --device out, or use cpu")
    precision: str = recipe.precision
    if precision == "auto":
        bf16 = (
            device != "cpu"
            and torch.cuda.is_available()
            and torch.cuda.is_bf16_supported(including_emulation=False)
        )
        precision = "bf16" if bf16 else "fp32"
    # accelerate keeps one state for the process; a second run may ask for another precision or device
    AcceleratorState._reset_state()
    PartialState._reset_state()
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=device == "cpu")


def describe_device(device: torch.device) -> str:
    """The device by the name of its maker, or the CPU with the threads it may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({torch.get_num_threads()} threads)"


def _line(row: dict[str, Any]) -> bytes:
    return msgspec.json.encode(row) + b"\n"
