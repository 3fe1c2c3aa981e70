"""`zoo train`: one trainer for every model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.cli.data import data_options, read_data, tell_reading
from zoo.cli.ending import log_option, tell_outcome, warn
from zoo.cli.output import device_option, json_option, progress_console
from zoo.cli.running import launch_again, limits, running_options


@click.command()
@click.argument("model", required=False)
@click.option("--data", metavar="DATA", help="A data set's name, a file or a folder.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="The run folder to make; default: under runs/."
)
@click.option("--recipe", type=click.Path(path_type=Path), help="A recipe file in place of the plugin's own.")
@click.option("-o", "settings", multiple=True, metavar="KEY=VALUE", help="One setting of the recipe.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="One option of the model.")
@click.option("--weights", help="Start from these: a tag, a run folder or a source URI.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with an interrupted run.")
@data_options
@running_options
@log_option
@device_option
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    model: str | None,
    data: str | None,
    output: Path | None,
    recipe: Path | None,
    settings: tuple[str, ...],
    options: tuple[str, ...],
    weights: str | None,
    resume: Path | None,
    max_time: float | None,
    checkpoint_every: float | None,
    shard: bool,
    processes: int | None,
    restarts: int,
    trackers: tuple[str, ...],
    device: str,
    as_json: bool,
    **reading: Any,
) -> None:
    """Train MODEL on DATA, with the recipe that its plugin brings."""
    if resume is None and (model is None or data is None):
        raise click.UsageError("say what to train: zoo train MODEL --data DATA, or zoo train --resume RUN")
    from zoo.launching import rank, started_anew

    if started_anew(output):
        resume, settings, options, reading = output, (), (), {}
        model = output = recipe = weights = None
    if resume is not None and any((model, output, recipe, options, weights, *reading.values())):
        raise click.UsageError("a run that is resumed keeps its model and settings; leave them out")
    from zoo import api
    from zoo.recipes import parse_overrides, parse_settings, resolve_recipe, takes_largest_batch
    from zoo.registry import installed
    from zoo.runs import Run, check_free

    overrides = parse_settings(settings)
    if resume is not None:  # what is wrong is told before torch is imported, which takes seconds
        Run.open(resume)
    else:
        entry, tagged = installed().model(str(model))
        if output is not None and rank() == 0:
            check_free(output)
        dataset = read_data(str(data), **reading)
        if rank() == 0:
            tell_reading(ctx, dataset)
        resolve_recipe(
            entry,
            dataset.problem.task,
            samples=dataset.problem.samples,
            finetune=bool(tagged or weights),
            file=recipe,
            overrides=takes_largest_batch(overrides)[0],
        )
        if output is None and processes is not None:
            output = api.new_folder(entry, dataset)
    callbacks: list[Any] = []
    if trackers:  # that one cannot be had is told before a training starts
        from zoo.training.trackers import make_trackers

        callbacks += make_trackers(trackers, lambda line: warn(ctx, line))
    if processes is not None:
        launch_again(processes, restarts, output)
        return
    from zoo.training.bar import ProgressBar

    callbacks.append(ProgressBar(progress_console(ctx)))
    running: dict[str, Any] = {"device": device, "limits": limits(max_time, checkpoint_every)}
    if resume is not None:
        run = api.resume(
            resume, data=data, settings=overrides, shard=shard or None, callbacks=callbacks, **running
        )
    else:
        run = api.train(
            str(model),
            dataset,
            output=output,
            recipe=recipe,
            settings=overrides,
            weights=weights,
            shard=shard,
            callbacks=callbacks,
            **running,
            **parse_overrides(options),
        )
    if rank() != 0:
        return
    tell_outcome(ctx, run, as_json=as_json)
