"""`zoo train`: one trainer for every model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.data import data_options, read_data, tell_reading
from zoo.cli.output import device_option, json_option, print_json, progress_console, score

if TYPE_CHECKING:
    from zoo.runs import Run


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
    device: str,
    as_json: bool,
    **reading: Any,
) -> None:
    """Train MODEL on DATA, with the recipe that its plugin brings."""
    if resume is None and (model is None or data is None):
        raise click.UsageError("say what to train: zoo train MODEL --data DATA, or zoo train --resume RUN")
    if resume is not None and any((model, output, recipe, settings, options, weights, *reading.values())):
        raise click.UsageError("a run that is resumed keeps its model and settings; leave them out")
    from zoo import api
    from zoo.recipes import parse_overrides, resolve_recipe
    from zoo.registry import installed
    from zoo.runs import Run, check_free

    if resume is not None:  # what is wrong is told before torch is imported, which takes seconds
        Run.open(resume)
    else:
        entry, _ = installed().model(str(model))
        if output is not None:
            check_free(output)
        dataset = read_data(str(data), **reading)
        tell_reading(ctx, dataset)
        overrides = parse_overrides(settings)
        resolve_recipe(entry, dataset.problem.task, file=recipe, overrides=overrides)
    from zoo.training.callbacks import ProgressBar

    bar = ProgressBar(progress_console(ctx))
    if resume is not None:
        run = api.resume(resume, data=data, device=device, callbacks=[bar])
    else:
        run = api.train(
            str(model),
            dataset,
            output=output,
            recipe=recipe,
            settings=overrides,
            weights=weights,
            device=device,
            callbacks=[bar],
            **parse_overrides(options),
        )
    if as_json:
        print_json({"schema": 1, "run": str(run.path), **run.document()})
    else:
        _report(run)


def _report(run: Run) -> None:
    from zoo.registry import installed

    record = run.record
    task = installed().task(record.problem.task)
    reached = score(record.metrics[task.metric], task.unit)
    trivial = record.baseline["metrics"].get(task.metric)
    beside = f"; {record.baseline['name']}: {score(trivial, task.unit)}" if trivial is not None else ""
    click.echo(f"{record.model} on {record.data['name']}: test {task.metric} {reached}{beside}")
    click.echo(f"trained {record.steps:,} steps in {record.seconds:.0f} s on {record.device}")
    click.echo(f"run  {run.path}")
