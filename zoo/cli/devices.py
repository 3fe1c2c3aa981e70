"""`zoo devices`: what the recommender can plan for."""

from __future__ import annotations

import os
from functools import partial

import click

from zoo.cli.output import device_option, json_option, print_json, print_table
from zoo.registry import installed
from zoo.specs import to_builtins
from zoo.units import format_bytes

IDLE = 1.0  # processes that want to run, up to which a machine has nothing to do


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def devices(ctx: click.Context, as_json: bool) -> None:
    """List the devices that can be planned for, and the one that is here."""
    if ctx.invoked_subcommand is None:
        _list(as_json)


@devices.command()
@device_option
@json_option
@click.pass_context
def calibrate(ctx: click.Context, device: str, as_json: bool) -> None:
    """Time this machine, in two to four minutes, for what is told of times from now on."""
    from zoo.recommender import find_device
    from zoo.recommender.calibration import read_calibrations, write_calibration
    from zoo.training.calibrating import calibrate as time_here

    registry = installed()
    read_calibrations()  # a damaged file is told of before the time is spent
    here = find_device(registry, device)
    quiet = bool(ctx.find_root().obj.get("quiet"))
    if not quiet and hasattr(os, "getloadavg") and os.getloadavg()[0] > IDLE:
        click.echo("warning: the machine does other work, so times will be told too long", err=True)
    found = time_here(registry, device=device, tell=str if quiet else partial(click.echo, err=True))
    write_calibration(here.spec.name, found)
    if as_json:
        print_json({"schema": 1, "device": to_builtins(here), "calibration": to_builtins(found)})
        return
    families = list(dict.fromkeys(name for rates in found.rates.values() for name in rates.flops))
    rows = [
        (precision, *(f"{rates.flops_of(name) / 1e9:,.1f}" for name in families))
        for precision, rates in found.rates.items()
    ]
    click.echo(f"{here.title}: billions of operations a second in training, by the family of models")
    print_table(("precision", *families), rows, right=families)
    click.echo(f"a step costs {1000 * found.step_seconds:.2f} ms besides; kept for 'zoo recommend'")


def _list(as_json: bool) -> None:
    from zoo.recommender import find_device

    registry = installed()
    here = find_device(registry, "auto")
    if as_json:
        known = [to_builtins(spec) for spec in registry.devices.values()]
        print_json({"schema": 1, "here": to_builtins(here), "devices": known})
        return
    rows = [
        (
            spec.name,
            spec.title,
            format_bytes(spec.memory_bytes) if spec.memory_bytes else "",
            f"{spec.bandwidth_bytes / 1e9:,.0f} GB/s" if spec.bandwidth_bytes else "",
            *(
                f"{spec.peak_flops[p] / 1e12:,.1f}" if p in spec.peak_flops else ""
                for p in ("fp32", "bf16", "fp16")
            ),
        )
        for spec in registry.devices.values()
    ]
    numbers = ("memory", "bandwidth", "fp32 TFLOPS", "bf16 TFLOPS", "fp16 TFLOPS")
    print_table(("name", "device", *numbers), rows, right=numbers)
    free = f", {format_bytes(here.free_bytes)} free" if here.free_bytes else ""
    click.echo(f"here: {here.title}{free}")
