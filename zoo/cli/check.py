"""`zoo plugins check`: the conformance kit on an installed plugin."""

from __future__ import annotations

import sys

import click

from zoo.testing.session import run_checks


@click.command()
@click.argument("name")
@click.option("--models", default="*", metavar="GLOB", help="Only models that match, such as 'resnet*'.")
@click.option("-k", "checks", multiple=True, metavar="CHECK", help="Only this check, such as gradients.")
@click.pass_context
def check(ctx: click.Context, name: str, models: str, checks: tuple[str, ...]) -> None:
    """Check that a plugin and its models keep to zoo's contract; needs pytest.

    One test for each model and check. The exit status is 1 where one fails. What is known to fail stands in
    conformance.toml in the plugin's package.
    """
    quiet = bool(ctx.find_root().obj.get("quiet"))
    if not run_checks(name, models=models, checks=checks or ("*",), quiet=quiet):
        sys.exit(1)
