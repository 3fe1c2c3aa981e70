"""`zoo lock` and `zoo sync`: the same plugins, weights and recipes on another machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from zoo import lockfile
from zoo.cli.output import json_option, print_json
from zoo.errors import ZooError
from zoo.lockfile import Difference, Lock
from zoo.registry import installed
from zoo.specs import to_builtins

file_option = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=lockfile.FILE,
    show_default=True,
    help="The lock file.",
)


@click.command()
@file_option
@click.option("--update", is_flag=True, help="Write anew a lock file that says something else.")
def lock(path: Path, update: bool) -> None:
    """Write down the installed plugins, their recipes, and the weights at hand, with their hashes."""
    now = lockfile.take_lock(installed())
    known = lockfile.read_lock(path) if path.exists() else None
    if known == now:
        click.echo(f"{path} is up to date")
        return
    if known is not None:
        changes = lockfile.describe_changes(known, now)
        click.echo("\n".join(changes), err=True)
        if not update:
            raise ZooError(f"{path} differs in {len(changes)} places; write it anew with: zoo lock --update")
    lockfile.write_lock(path, now)
    counts = (
        f"{len(now.distribution)} plugin distributions, {len(now.weights)} weights, {len(now.recipe)} recipes"
    )
    click.echo(f"{path} written: {counts}")


@click.command()
@file_option
@click.option("--check", is_flag=True, help="Change nothing; exit status 1 where something differs.")
@click.option("--inexact", is_flag=True, help="Leave plugins installed that are not locked.")
@click.option("--no-pip", is_flag=True, help="Leave the distributions as they are.")
@json_option
def sync(path: Path, check: bool, inexact: bool, no_pip: bool, as_json: bool) -> None:
    """Make this environment match a lock file, and say what differs.

    Distributions are installed and removed by pip, weights are fetched. Exit status 1 where something
    remains that cannot be mended, such as a recipe that has changed.
    """
    wanted = lockfile.read_lock(path)
    differences = lockfile.compare_distributions(wanted, exact=not inexact)
    if differences and not check and not no_pip:
        _say(differences)
        lockfile.install_locked(wanted, differences)
        sys.exit(_again(path, inexact=inexact, as_json=as_json))
    faults: list[str] = []
    if not differences:  # what other versions bring would differ for that reason alone
        differences, faults = _compare_contents(wanted, fetch=not check)
    if as_json:
        print_json({"schema": 1, "differences": to_builtins(differences)})
    else:
        _say(differences)
        click.echo(f"{path}: {len(differences)} differences" if differences else f"{path}: all as locked")
    for fault in faults:
        click.echo(f"zoo: {fault}", err=True)
    if differences:
        sys.exit(1)


def _compare_contents(wanted: Lock, *, fetch: bool) -> tuple[list[Difference], list[str]]:
    registry = installed()
    differences = lockfile.compare_contents(wanted, lockfile.take_lock(registry))
    faults = lockfile.fetch_locked(registry, differences) if fetch else []
    if fetch and any(difference.kind == "weights" for difference in differences):
        differences = lockfile.compare_contents(wanted, lockfile.take_lock(registry))
    return differences, faults


def _again(path: Path, *, inexact: bool, as_json: bool) -> int:
    """The rest, in a process that sees what pip has changed; its exit status."""
    flags = [flag for flag, given in {"--inexact": inexact, "--json": as_json}.items() if given]
    command = [sys.executable, "-P", "-m", "zoo", "sync", "--no-pip", "--file", str(path), *flags]
    return subprocess.run(command, check=False).returncode


def _say(differences: list[Difference]) -> None:
    for difference in differences:
        click.echo(f"{difference} -> {difference.mend}", err=True)
