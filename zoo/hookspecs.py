"""Every hook a plugin may implement, on one screen.

A plugin is a module named by an entry point of group `zoo`. It must not import torch: hooks are
called by `zoo list`, which stays instant. They are called at most once a process, in the order of
the entry points' names, and may return any iterable. A hook that raises, or returns something
else, has its plugin set aside (see `zoo plugins`); the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from zoo.specs import DatasetSpec, DeviceSpec, Evidence, ModelSpec, TaskSpec, WeightsSpec

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@hookspec
def zoo_models() -> Iterable[ModelSpec]:
    """The plugin's architectures; called whenever models are listed, recommended, trained or loaded."""
    return ()


@hookspec
def zoo_weights() -> Iterable[WeightsSpec]:
    """Weights for models of any plugin; called together with `zoo_models`."""
    return ()


@hookspec
def zoo_tasks() -> Iterable[TaskSpec]:
    """New kinds of problem; called when a task's name is looked up."""
    return ()


@hookspec
def zoo_datasets() -> Iterable[DatasetSpec]:
    """Data sets usable as `--data NAME`; called when a data set's name is looked up."""
    return ()


@hookspec
def zoo_devices() -> Iterable[DeviceSpec]:
    """Devices that the recommender can plan for; called when it plans."""
    return ()


@hookspec
def zoo_evidence() -> Iterable[Evidence]:
    """Measured results that the recommender may learn from; called when it ranks."""
    return ()


@hookspec
def zoo_callbacks(run: Any) -> Iterable[Any]:
    """Observers (`zoo.training.Callback`) of the training run `run`; called once before its first step."""
    return ()


@hookspec
def zoo_commands() -> Iterable[click.Command]:
    """Commands added to `zoo`; called when the command line is parsed."""
    return ()
