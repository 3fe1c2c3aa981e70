"""What the core itself brings, through the same hooks as any plugin."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.manifests import read_datasets, read_devices, read_evidence, read_records
from zoo.specs import DatasetSpec, DeviceSpec, Evidence, TaskSpec


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """The six tasks."""
    return read_records("zoo", "tasks/tasks.toml", "task", TaskSpec)


@hookimpl
def zoo_datasets() -> list[DatasetSpec]:
    """The embedded samples."""
    return read_datasets("zoo", "data/samples/datasets.toml")


@hookimpl
def zoo_devices() -> list[DeviceSpec]:
    """The device table."""
    return read_devices("zoo", "recommender/devices.toml")


@hookimpl
def zoo_evidence() -> list[Evidence]:
    """What was measured with the zoo's own models on the embedded samples."""
    return read_evidence("zoo", "recommender/evidence.json")
