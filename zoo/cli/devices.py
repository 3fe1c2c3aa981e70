"""`zoo devices`: what the recommender can plan for."""

from __future__ import annotations

import click

from zoo.cli.output import json_option, print_json, print_table
from zoo.registry import installed
from zoo.specs import to_builtins
from zoo.units import format_bytes


@click.command()
@json_option
def devices(as_json: bool) -> None:
    """List the devices that can be planned for, and the one that is here."""
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
