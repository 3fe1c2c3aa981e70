"""A model as `zoo list --json` has it."""

from __future__ import annotations

from typing import Any

from zoo.columns import top1
from zoo.registry import Model
from zoo.specs import to_builtins


def as_record(model: Model) -> dict[str, Any]:
    """All that programs are told of a model; what is not known is null."""
    spec = model.spec
    facts = spec.facts
    return {
        "name": model.name,
        "family": spec.family,
        "tasks": spec.tasks,
        "parameters": facts.parameters if facts else None,
        "macs": facts.macs if facts else None,
        "top1": top1(model),
        "license": spec.license,
        "summary": spec.summary,
        "paper": spec.paper,
        "group": spec.group,
        "recommend": spec.recommend,
        "plugin": model.plugin.name,
        "distribution": model.plugin.distribution,
        "facts": to_builtins(facts) if facts else None,
        "reference": to_builtins(spec.reference) if spec.reference else None,
        "weights": [
            {
                "tag": weights.tag,
                "license": weights.license,
                "data_license": weights.data_license,
                "bytes": weights.bytes,
                "metrics": weights.metrics,
                "dataset": weights.dataset,
            }
            for weights in model.weights
        ],
    }
