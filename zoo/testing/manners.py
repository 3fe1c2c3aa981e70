"""Checks of what importing a plugin does to a process, each made in a fresh one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from zoo.registry import TOOK, Plugin, Registry
from zoo.testing.check import ConformanceError

PROBE = """
import json, sys
path, plugin, builders = json.loads(sys.argv[1])
sys.path[:] = path
from zoo.registry import Registry, discover
registry = Registry([found for found in discover() if found.name == plugin], report=lambda line: None)
registry.call_hooks()
found = registry.plugins[plugin]
torch = "torch" in sys.modules
for builder in builders:
    registry.resolve(found, builder)
print(json.dumps({"state": found.state, "reason": found.reason, "remarks": found.remarks, "torch": torch}))
"""


def check_import(registry: Registry, plugin: Plugin) -> None:
    """Its module and hooks need no torch and little time, print nothing and leave the process as it was."""
    told = _probe(plugin, [])
    if all(remark.startswith(TOOK) for remark in told["remarks"]):  # once more: the machine may be busy
        told = _probe(plugin, []) if told["remarks"] else told
    faults = list(told["remarks"])
    if told["torch"] and not any("torch" in fault for fault in faults):
        faults.append("has torch imported with it, for which every command waits")
    if told["state"] != "active":
        faults.insert(0, f"is set aside in a fresh process: {told['reason']}")
    if faults:
        raise ConformanceError(
            f"{plugin.name} {'; '.join(faults)}; keep what needs torch in the modules of the builders, and "
            "change nothing when imported"
        )


def check_side_effects(registry: Registry, plugin: Plugin) -> None:
    """The modules of its builders print nothing and leave the process as it was."""
    models = [model for model in registry.models.values() if model.plugin is plugin]
    builders = list(dict.fromkeys(model.spec.builder for model in models))
    before = _probe(plugin, [])["remarks"]
    faults = [remark for remark in _probe(plugin, builders)["remarks"] if remark not in before]
    if faults := [fault for fault in faults if not fault.startswith(TOOK)]:
        raise ConformanceError(
            f"{plugin.name}: importing the modules of its builders {'; '.join(faults)}; change nothing when "
            "imported"
        )


def _probe(plugin: Plugin, builders: list[str]) -> dict[str, Any]:
    """What the registry notices in a fresh process that loads only this plugin, and these builders."""
    arguments = json.dumps([sys.path, plugin.name, builders])
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ZOO_PLUGINS", "ZOO_STRICT", "PYTHONWARNINGS")
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE, arguments], capture_output=True, text=True, check=False, env=variables
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ConformanceError(f"{plugin.name}: a fresh process cannot load it: {last}") from None
    return found
