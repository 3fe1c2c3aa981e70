"""One process's part of a run: it trains, judges, keeps the best, and says what came of it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psutil
import torch
from torch import Tensor, nn

from zoo.errors import RunError, TrainingError
from zoo.evaluation import means, score
from zoo.limits import Limits
from zoo.locks import held
from zoo.modelcard import write_card
from zoo.registry import Registry
from zoo.runs import LAST, LOCK, METRICS, WEIGHTS, Run, write_whole
from zoo.specs import TaskSpec
from zoo.tasks.base import Prepared, Task
from zoo.training.averaging import begin_mean, make_average
from zoo.training.blocks import checkpoint_blocks
from zoo.training.callbacks import Callback, Callbacks
from zoo.training.checkpoints import (
    STATE,
    load_checkpoint,
    load_weights,
    memory_peak,
    save_checkpoint,
    save_weights,
)
from zoo.training.engine import Engine
from zoo.training.faults import Watch, first_bad_step
from zoo.training.freezing import HeadFirst
from zoo.training.interrupts import Interrupts
from zoo.training.loop import Pieces, Step, train_steps
from zoo.training.meter import Meter
from zoo.training.optimizers import make_optimizer, make_scheduler
from zoo.training.pace import CLOSING_SECONDS, Pace

LOOK_STEPS = 100  # steps after which the losses are looked at, which waits for the device
SAVING_SHARE = 0.05  # of the time that may go into checkpoints


@dataclass
class Progress:
    """What a run must remember besides tensors; all of it is in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    stale: int = 0
    averaged_from: int | None = None
    loss_sum: float = 0.0
    loss_count: int = 0
    begun: float | None = None
    skipped: int = 0
    pieces: int = 1
    scaler: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a run is made of."""

    run: Run
    spec: TaskSpec
    task: Task
    prepared: Prepared
    module: nn.Module
    head: Sequence[str]
    engine: Engine
    registry: Registry
    limits: Limits
    callbacks: Sequence[Callback] = ()


class Session:
    """One process's part of a run; `train` is the story, the rest its steps."""

    def __init__(self, plan: Plan) -> None:
        self._run, self._plan, self._engine = plan.run, plan, plan.engine
        recipe = plan.run.record.recipe
        self._recipe, self._task, self._module = recipe, plan.task, plan.module
        self._splits = {name: split.to(plan.engine.device) for name, split in plan.prepared.splits.items()}
        self._scale = plan.task.scale(plan.prepared.dataset)
        samples = len(plan.prepared.splits["train"])
        steps = recipe.total_steps(samples)
        self._interval = max(1, steps // recipe.evaluations)
        limits = plan.limits
        self._pace = Pace(
            steps,
            recipe.batch_size,
            limit=limits.max_seconds,
            closing=0.0 if limits.trial else CLOSING_SECONDS,
            started=limits.started,
        )
        self._head_first = HeadFirst(
            plan.module,
            plan.head,
            min(steps, round(recipe.head_epochs * recipe.steps_per_epoch(samples))),
        )
        self._average = make_average(plan.module, recipe)
        if self._average is not None:
            self._average.module = plan.engine.place(self._average.module)
        self._model = self._placed()
        optimizer = make_optimizer(self._module, recipe)
        self._scheduler = make_scheduler(
            optimizer, recipe, steps=steps, epoch_steps=recipe.steps_per_epoch(samples)
        )
        self._optimizer = plan.engine.accelerator.prepare_optimizer(optimizer)
        others = [] if limits.trial else plan.registry.call("zoo_callbacks", Callback, run=plan.run)
        self._callbacks = Callbacks([*plan.callbacks, *others] if plan.engine.main else [])
        self._progress, self._interrupts = Progress(pieces=recipe.accumulate), Interrupts()
        self._pieces = Pieces(recipe.accumulate)
        self._meter = Meter()
        self._resident = psutil.Process().memory_info().rss

    def train(self, *, resume: bool = False) -> Run:
        """Trains to the end, judges the best weights on the test split, and writes both down.

        A trial is judged on the validation split alone.

        Raises `RunError` where another process is training the run.
        """
        with contextlib.ExitStack() as stack:
            if self._engine.main:
                self._lock(stack)
            return self._trained_run(resume)

    def _lock(self, stack: contextlib.ExitStack) -> None:
        try:
            alone = stack.enter_context(held(self._run.path / LAST / LOCK))
        except OSError as error:
            raise RunError(f"{str(self._run.path)!r} cannot be written: {error.strerror}") from None
        if not alone:
            raise RunError(f"{str(self._run.path)!r} is being trained by another process; let it end")

    def _trained_run(self, resume: bool) -> Run:
        if resume:
            self._restore()
        if not self._progress.step:  # there is something to go back to, whatever happens
            self._save_checkpoint()
        self._pace.begin(self._progress.step)
        self._meter.start()
        self._run = self._save_record(state="running")
        self._callbacks.start(self._run, self._pace.steps, self._progress.step)
        with self._told_of_the_end():
            with self._interrupts:
                self._train()
            self._finish()
        return self._run

    # -- what is trained --

    def _placed(self) -> nn.Module:
        """The module where and how it is to be trained, and what the loop calls in its place."""
        recipe, engine = self._recipe, self._engine
        if recipe.activation_checkpointing and not checkpoint_blocks(self._module):
            raise TrainingError(
                f"{self._run.record.model} has no blocks to be computed twice; leave "
                "activation_checkpointing out"
            )
        if recipe.channels_last is True or (recipe.channels_last == "auto" and engine.prefers_channels_last):
            self._module.to(memory_format=torch.channels_last)
        self._module = engine.place(self._module)
        if self._run.record.compiled:
            self._module.compile()
        return engine.wrap(self._module)

    # -- the loop --

    def _train(self) -> None:
        progress, clock = self._progress, time.perf_counter()
        saved, cost, losses = clock, 0.0, []
        if self._out_of_patience or self._pace.over(progress.step):  # stopped after the last evaluation
            return
        for step in self._steps():
            losses.append(step.loss)
            progress.step = step.number
            self._meter.step(step)
            self._tell(self._callbacks.step, step)
            now = time.perf_counter()
            wanted = max(self._plan.limits.checkpoint_seconds, cost / SAVING_SHARE)
            came, full, hurry = self._engine.agree(
                self._interrupts.came, now - saved > wanted, self._pace.hurry(step.number)
            )
            self._pace.skipped = int(hurry)
            last = self._pace.over(step.number)
            due = last or step.number % self._interval == 0
            if due or came or full or len(losses) >= LOOK_STEPS:
                self._count_losses(losses, step)
                losses.clear()
            if due or came or full:
                progress.seconds += now - clock
                clock = now
                if due:
                    self._judge(step)
                    (came,) = self._engine.agree(self._interrupts.came)
                cost = self._save_checkpoint()
                saved = time.perf_counter()
                self._meter.start()
                if came:
                    self._interrupts.stop()
            elif self._pace.limit is not None and progress.best is None:
                self._pace.foresee_end(step.number, self._judged("validation") + self._judged("test"))
            if last or (due and self._out_of_patience):
                break

    def _steps(self) -> Iterator[Step]:
        return train_steps(
            self._model,
            self._splits["train"],
            self._task,
            self._recipe,
            problem=self._plan.prepared.problem,
            engine=self._engine,
            optimizer=self._optimizer,
            scheduler=_Hurried(self._scheduler, self._pace),
            pieces=self._pieces,
            head_first=self._head_first,
            average=self._average,
            start=self._progress.step,
        )

    def _tell(self, moment: Callable[[Any], None], what: Any) -> None:
        """Tells the observers; where one interrupts, the step is judged and saved before the run stops."""
        try:
            moment(what)
        except KeyboardInterrupt:
            self._interrupts.came = True

    @property
    def _out_of_patience(self) -> bool:
        return self._recipe.patience is not None and self._progress.stale >= self._recipe.patience

    def _judged(self, split: str) -> int:
        if split == "test" and self._plan.limits.trial:
            return 0
        limit = self._recipe.eval_samples if split == "validation" else None
        return min(len(self._splits[split]), limit or len(self._splits[split]))

    # -- what goes wrong --

    def _count_losses(self, losses: Sequence[Tensor], step: Step) -> None:
        progress = self._progress
        seen = torch.stack(list(losses)).double().cpu()
        bad = first_bad_step(seen, progress.begun)
        if bad is not None:
            self._tell_end(step.number - len(losses) + bad + 1, float(seen[bad]))
        progress.loss_sum += float(seen.sum())
        progress.loss_count += len(losses)
        if progress.begun is None:
            progress.begun = float(seen.mean())

    def _tell_end(self, number: int, loss: float) -> None:
        """Raises `TrainingError` that says at which step and where in the model the numbers ended."""
        if math.isfinite(loss):
            what, where = f"the loss has exploded to {loss:.3g} at step {number}", ""
        else:
            what = f"the loss is no longer a number at step {number}"
            where = "" if self._plan.limits.trial else self._find_fault(number)
        raise TrainingError(f"{what}{where and f', first {where}'}; {self._way_on}")

    @property
    def _way_on(self) -> str:
        lr = self._recipe.scaled_lr / 3
        kept = f"what was saved before is kept in {str(self._run.path)!r}"
        return f"{kept}; try: -o lr={lr:.1g} -o grad_clip=1"

    def _find_fault(self, number: int) -> str:
        """Goes through the steps from the last checkpoint once more, watching every layer."""
        self._load_checkpoint()
        watch = Watch()
        with watch.over(self._module):
            for step in self._steps():
                if watch.found or step.number >= number:
                    break
        return watch.found

    # -- how good it is --

    def _judge(self, step: Step) -> None:
        """Evaluates, and keeps the weights where they are the best so far."""
        progress, started, figures = self._progress, time.perf_counter(), self._meter.row()
        found = self._evaluate("validation", self._trained)
        row = {
            "step": step.number,
            "epoch": step.epoch + 1,
            "seconds": round(progress.seconds + time.perf_counter() - started, 3),
            "loss": progress.loss_sum / max(1, progress.loss_count),
            "lr": step.lr,
            "validation": found,
            **figures,
        }
        if progress.averaged_from is not None:
            row["averaged_from"] = progress.averaged_from
        for name, reached in found.items():
            if not math.isfinite(reached):
                raise TrainingError(
                    f"the validation {name} is no longer a number (noticed at step {step.number}); "
                    f"{self._way_on}"
                )
        progress.loss_sum, progress.loss_count = 0.0, 0
        self._append(row)
        value, spec = found[self._plan.spec.metric], self._plan.spec
        better = progress.best is None or (value > progress.best if spec.maximize else value < progress.best)
        if better:
            progress.best, progress.stale = value, 0
            record = self._run.record.replace(best={"step": step.number, **found})
            save_weights(self._run.path / WEIGHTS, self._trained, record.receipt(), write=self._engine.main)
            self._run = self._save(record)
        else:
            progress.stale += 1
            self._average_if_stale()
        taken = time.perf_counter() - started
        progress.seconds += taken
        whole = self._judged("validation") + self._judged("test")
        self._pace.reserve = taken * whole / self._judged("validation")
        self._tell(self._callbacks.epoch, row)

    def _average_if_stale(self) -> None:
        """From here on the mean of the weights counts, where the recipe has waited for that long enough."""
        progress, wanted = self._progress, self._recipe.average_after
        if wanted and progress.averaged_from is None and progress.stale >= wanted:
            progress.averaged_from, progress.stale = progress.step, 0
            self._go_on_averaging()

    def _go_on_averaging(self) -> None:
        if self._average is not None and self._progress.averaged_from is not None:
            begin_mean(self._average, self._progress.averaged_from)

    def _finish(self) -> None:
        """The best weights judged on the test split, a baseline beside them, and the model card.

        Of a trial, no more than that it is over.
        """
        self._engine.barrier()
        if self._plan.limits.trial:
            self._run = self._save_record(state="trial")
            return
        load_weights(self._run.path / WEIGHTS, self._module)
        metrics = self._evaluate("test", self._module)
        baseline = self._task.baseline(self._plan.prepared, "test")
        self._run = self._save_record(
            state="finished",
            metrics=metrics,
            baseline={"name": baseline.name, "metrics": dict(baseline.metrics)},
        )
        if self._engine.main:
            write_card(self._run, self._plan.spec)
        self._engine.barrier()

    def _evaluate(self, split: str, model: nn.Module) -> dict[str, float]:
        count = self._judged(split)
        # its batches have sizes of their own, each of which would be compiled anew
        with torch.compiler.set_stance("force_eager"), self._engine.accelerator.autocast():
            found = score(
                model,
                self._splits[split],
                self._task,
                scale=self._scale,
                device=self._engine.device,
                batch_size=self._recipe.eval_batch_size,
                rows=self._engine.share(count),
            )
        return means(self._engine.gather(found, count))

    @property
    def _trained(self) -> nn.Module:
        """The weights that count: their average where there is one."""
        return self._average.module if self._average is not None else self._module

    # -- what is kept --

    @contextlib.contextmanager
    def _told_of_the_end(self) -> Iterator[None]:
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            self._run = self._save_record(state="interrupted")
            raise
        except RuntimeError as error:
            if not self._engine.is_lost(error):
                raise
            raise TrainingError(
                f"process {self._engine.rank} no longer reaches the others; what was saved before is kept: "
                f"zoo train --resume {self._run.path}"
            ) from error
        finally:
            self._callbacks.end(self._run)

    @property
    def _modules(self) -> dict[str, nn.Module]:
        modules = {"model": self._module}
        if self._average is not None:
            modules["average"] = self._average.module
        return modules

    def _save_checkpoint(self) -> float:
        """Saves what is needed to go on exactly from here, and gives the seconds that it took.

        Nobody goes on with a trial.
        """
        if self._plan.limits.trial:
            return 0.0
        started = time.perf_counter()
        scaler = self._engine.accelerator.scaler
        self._progress.scaler = scaler.state_dict() if scaler is not None else {}
        self._progress.pieces, self._progress.skipped = self._pieces.count, self._pace.skipped
        save_checkpoint(
            self._run.path / LAST,
            modules=self._modules,
            optimizer=self._optimizer,
            state=dict(vars(self._progress)),
            engine=self._engine,
        )
        return time.perf_counter() - started

    def _load_checkpoint(self) -> Progress:
        folder = self._run.path / LAST
        self._progress = Progress(**load_checkpoint(folder, modules=self._modules, optimizer=self._optimizer))
        scaler = self._engine.accelerator.scaler
        if scaler is not None and self._progress.scaler:
            scaler.load_state_dict(self._progress.scaler)
        self._go_on_averaging()
        self._pieces.count = max(self._progress.pieces, self._recipe.accumulate)
        self._pace.skipped = self._progress.skipped
        return self._progress

    def _restore(self) -> None:
        if not (self._run.path / LAST / STATE).exists():  # killed before its first checkpoint
            self._write_metrics([])
            return
        progress = self._load_checkpoint()
        self._write_metrics([row for row in self._run.history if row["step"] <= progress.step])

    def _write_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self._engine.main:
            write_whole(self._run.path / METRICS, b"".join(map(_line, rows)))

    def _append(self, row: Mapping[str, Any]) -> None:
        if not self._engine.main:
            return
        try:
            with (self._run.path / METRICS).open("ab") as file:
                file.write(_line(row))
        except OSError as error:
            raise RunError(f"{str(self._run.path / METRICS)!r} cannot be written: {error.strerror}") from None

    def _save(self, record: Any) -> Run:
        return self._run.save(record) if self._engine.main else Run(self._run.path, record)

    def _save_record(self, **changes: Any) -> Run:
        return self._save(
            self._run.record.replace(
                steps=self._progress.step,
                seconds=round(self._progress.seconds, 3),
                peak_memory_bytes=memory_peak(self._resident),
                **changes,
            )
        )


@dataclass(frozen=True)
class _Hurried:
    """A schedule that is as far as the pace says."""

    scheduler: Any
    pace: Pace

    def step_update(self, num_updates: int) -> None:
        self.scheduler.step_update(self.pace.position(num_updates))


def _line(row: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(row) + b"\n"
