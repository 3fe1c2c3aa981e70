"""Every hook a plugin may implement, on one screen.

A plugin is a module named by an entry point of group `zoo`; its hooks are functions marked with
`@zoo.hookimpl`. What holds for all of them:

- They run in `zoo list` too, which stays instant: neither the module nor a hook may import torch, except
  `zoo_callbacks`. What takes time belongs to the functions that records name by a string, or to a file.
- A hook is called at most once a process, but for `zoo_callbacks`, in the order of the plugins' names. It may
  return any iterable, or be a generator, and may leave out arguments that it does not use.
- The environment, seeds, the default dtype and stdout are left alone: changes are put back, prints kept
  from stdout, and both are remarked on.
- A hook that raises, or returns something else, has its plugin set aside (see `zoo plugins`); the others go
  on. Names are never overwritten: of two plugins that bring the same one, the later is set aside.
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
    """The plugin's architectures, under names of its own; other plugins may have the same names.

    Called when models are first listed, looked up by name, recommended, trained or loaded. Nothing may be
    assumed but that the module has been imported: other plugins may not be there yet. Builders are imported
    when a model is built, recipes read when one is trained.
    """
    return ()


@hookspec
def zoo_weights() -> Iterable[WeightsSpec]:
    """Weights for models of any plugin, this one's or another's, by the model's full name.

    Called right after `zoo_models` of all plugins. The model may not be installed: its weights then wait for
    it. Files are fetched and checked when weights are loaded.
    """
    return ()


@hookspec
def zoo_tasks() -> Iterable[TaskSpec]:
    """New kinds of problem, each naming an object that is a `zoo.tasks.base.Task`.

    Called when a task is first looked up: by training, `--task`, the recommender. Models of any plugin may
    name such a task. The object is imported when a model is trained, evaluated or asked to predict.
    """
    return ()


@hookspec
def zoo_datasets() -> Iterable[DatasetSpec]:
    """Data sets usable as `--data NAME`, each naming a function that gives a `zoo.Dataset`.

    Called when data is first looked up by name. The function is called when the data is read; where the
    record's problem tells `samples`, a recommendation does not call it.
    """
    return ()


@hookspec
def zoo_devices() -> Iterable[DeviceSpec]:
    """Devices that `zoo recommend --device NAME` can plan for.

    Called when the recommender first plans, and by `zoo devices`. The device need not be in this machine.
    """
    return ()


@hookspec
def zoo_evidence() -> Iterable[Evidence]:
    """Measured results, of models of any plugin, that the recommender may learn from.

    Called when the recommender first ranks. The models need not be installed.
    """
    return ()


@hookspec
def zoo_callbacks(run: Any) -> Iterable[Any]:
    """Observers (`zoo.training.Callback`) of the training run `run`, a `zoo.Run`.

    Called once for each run, before its first step and again when it goes on: torch is imported, the run's
    folder exists, its record is complete but for results. Not called for the short trials of a probe. Import
    `zoo.training` inside the hook.
    """
    return ()


@hookspec
def zoo_commands() -> Iterable[click.Command]:
    """Commands added to `zoo`, which cannot have the name of one of its own.

    Called when `zoo` is asked for help, or for a command that is none of its own. Import what a command needs
    when it is run. What it raises unforeseen is told with the plugin's name.
    """
    return ()
