"""A plugin-based model zoo: `import zoo` is all that a user or a plugin's author needs.

Every public name is resolved on first use, so importing this package does no work and never
imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.api import (
        compare,
        evaluate,
        info,
        inspect,
        list_models,
        load,
        predict,
        recommend,
        resume,
        train,
    )
    from zoo.data import Dataset, load_dataset
    from zoo.errors import (
        DataError,
        PluginError,
        RunError,
        SpecError,
        TrainingError,
        UnknownNameError,
        WeightsError,
        ZooError,
    )
    from zoo.explanation import Explanation, explain
    from zoo.exporting import Export, export
    from zoo.hookspecs import hookimpl
    from zoo.limits import Limits
    from zoo.manifests import read_datasets, read_devices, read_evidence, read_models, read_weights
    from zoo.publishing import add_weights, pack_weights
    from zoo.pushing import push_weights
    from zoo.recommender import Recommendation
    from zoo.registry import Registry, installed
    from zoo.reproduction import Reproduction, reproduce
    from zoo.runs import Run
    from zoo.specs import (
        Budget,
        Classes,
        DatasetSpec,
        Device,
        DeviceSpec,
        Estimate,
        Evidence,
        Facts,
        ImageInput,
        ImagePreprocess,
        ModelSpec,
        Problem,
        Recipe,
        SeriesInput,
        SeriesOutput,
        SeriesPreprocess,
        SizedFacts,
        TaskSpec,
        TextPreprocess,
        TokenInput,
        TokenOutput,
        Vector,
        WeightsSpec,
    )
    from zoo.tasks.generation import Stepper
    from zoo.training import Callback, Step
    from zoo.weights import LoadReport

__version__ = "0.1.0"

_HOMES = {
    "zoo.api": "compare evaluate info inspect list_models load predict recommend resume train",
    "zoo.data": "Dataset load_dataset",
    "zoo.errors": "DataError PluginError RunError SpecError TrainingError UnknownNameError WeightsError "
    "ZooError",
    "zoo.explanation": "Explanation explain",
    "zoo.exporting": "Export export",
    "zoo.hookspecs": "hookimpl",
    "zoo.limits": "Limits",
    "zoo.manifests": "read_datasets read_devices read_evidence read_models read_weights",
    "zoo.publishing": "add_weights pack_weights",
    "zoo.pushing": "push_weights",
    "zoo.recommender": "Recommendation",
    "zoo.registry": "Registry installed",
    "zoo.reproduction": "Reproduction reproduce",
    "zoo.runs": "Run",
    "zoo.specs": "Budget Classes DatasetSpec Device DeviceSpec Estimate Evidence Facts ImageInput "
    "ImagePreprocess ModelSpec Problem Recipe SeriesInput SeriesOutput SeriesPreprocess SizedFacts "
    "TaskSpec TextPreprocess TokenInput TokenOutput Vector WeightsSpec",
    "zoo.tasks.generation": "Stepper",
    "zoo.training": "Callback Step",
    "zoo.weights": "LoadReport",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Budget",
    "Callback",
    "Classes",
    "DataError",
    "Dataset",
    "DatasetSpec",
    "Device",
    "DeviceSpec",
    "Estimate",
    "Evidence",
    "Explanation",
    "Export",
    "Facts",
    "ImageInput",
    "ImagePreprocess",
    "Limits",
    "LoadReport",
    "ModelSpec",
    "PluginError",
    "Problem",
    "Recipe",
    "Recommendation",
    "Registry",
    "Reproduction",
    "Run",
    "RunError",
    "SeriesInput",
    "SeriesOutput",
    "SeriesPreprocess",
    "SizedFacts",
    "SpecError",
    "Step",
    "Stepper",
    "TaskSpec",
    "TextPreprocess",
    "TokenInput",
    "TokenOutput",
    "TrainingError",
    "UnknownNameError",
    "Vector",
    "WeightsError",
    "WeightsSpec",
    "ZooError",
    "add_weights",
    "compare",
    "evaluate",
    "explain",
    "export",
    "hookimpl",
    "info",
    "inspect",
    "installed",
    "list_models",
    "load",
    "load_dataset",
    "pack_weights",
    "predict",
    "push_weights",
    "read_datasets",
    "read_devices",
    "read_evidence",
    "read_models",
    "read_weights",
    "recommend",
    "reproduce",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
