"""What a shell completes: names that only the installed plugins know."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem


def model_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The models whose names begin so, with what they are."""
    from zoo.registry import installed

    os.environ["ZOO_QUIET"] = "1"  # what a plugin is remarked on for does not belong into a command line
    found = installed().models.values()
    return [
        CompletionItem(model.name, help=model.spec.summary)
        for model in found
        if model.name.startswith(incomplete)
    ]
