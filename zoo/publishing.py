"""From a finished run to weights that a pip package brings: the file, its record, a golden output."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import msgspec

from zoo.errors import RunError, SpecError, WeightsError
from zoo.golden import golden_output
from zoo.paths import whole_at
from zoo.quarantine import MAJOR, MINOR
from zoo.registry import installed
from zoo.runs import Run, write_whole
from zoo.specs import WeightsSpec, to_builtins
from zoo.weights.sources import sha256

RECORDS = "weights.json"


def add_weights(
    run: Run,
    package: Path,
    *,
    tag: str,
    license: str = "Apache-2.0",
    data_license: str | None = None,
    repeats: Sequence[Run] = (),
) -> WeightsSpec:
    """Copies a finished run's weights into the folder of an import package, and records them there.

    The file is `PLUGIN/MODEL.TAG.safetensors`; its record in `weights.json`, which takes the place of one
    of the same name, has the sha256, the metrics, how it was trained, and what the model answers to
    fixed samples. `repeats` are finished runs that differ in nothing but the seed: how far apart they are
    is the measure by which `zoo weights reproduce` judges. A hook `zoo_weights` that returns
    `zoo.read_weights(__package__, "weights.json")` brings it to users. Raises `RunError` for a run that is
    not finished or no repeat, `SpecError` for a tag that is none.
    """
    from zoo import api

    run.check_finished()
    record = run.record
    file = f"{record.model}.{tag}.safetensors"
    spec = api.weights_of_run(run).replace(
        tag=tag,
        source=f"package://{package.name}/{file}",
        sha256=sha256(run.weights_path),
        bytes=run.weights_path.stat().st_size,
        license=license,
        **({} if data_license is None else {"data_license": data_license}),
    )
    module = api.load(run.path)
    task = installed().task_implementation(record.problem.task)
    output = golden_output(module, task, record.problem, record.preprocess)
    spec = spec.replace(golden={"output": output}, repeats=_repeats(run, repeats))
    _copy(run.weights_path, package / file)
    records = {f"{old['model']}.{old['tag']}": old for old in _read(package)} | {spec.name: to_builtins(spec)}
    ordered = {"weights": [records[name] for name in sorted(records)]}
    write_whole(package / RECORDS, msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
    return spec


def pack_weights(
    run: Run,
    folder: Path,
    *,
    name: str,
    tag: str,
    license: str = "Apache-2.0",
    data_license: str | None = None,
) -> WeightsSpec:
    """Writes a whole pip project that brings a run's weights and nothing else: `pip install FOLDER`.

    `name` is the plugin's; the project is called `zoo-NAME`. Raises `RunError` where `folder` exists,
    `SpecError` for names that are none; then nothing was written.
    """
    if folder.exists():
        raise RunError(f"{str(folder)!r} exists already; choose another folder")
    package = f"zoo_{name.replace('-', '_')}"
    if not package.isidentifier() or package != package.lower():
        raise SpecError("weights", [f"name = {name!r}: expected lower-case letters, digits, - and _"])
    values = {
        "project": package.replace("_", "-"),
        "package": package,
        "name": name,
        "core": f"torch-zoo>={MAJOR}.{MINOR},<{MAJOR}.{MINOR + 1}",
        "license": license,
        "weights": f"{run.record.model}.{tag}",
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".zoo-") as made:
            whole = Path(made, "project")
            spec = _write_project(run, whole, values, tag, data_license)
            whole.rename(folder)
    except OSError as error:
        raise RunError(f"{str(folder)!r} cannot be written: {error.strerror}") from None
    return spec


def _write_project(
    run: Run, folder: Path, values: dict[str, str], tag: str, data_license: str | None
) -> WeightsSpec:
    templates = resources.files("zoo") / "templates" / "weights"
    package = folder / values["package"]
    package.mkdir(parents=True)
    spec = add_weights(run, package, tag=tag, license=values["license"], data_license=data_license)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in spec.metrics.items())
    told = values | {
        "metrics": figures,
        "dataset": spec.dataset,
        "data_license": spec.data_license or "not stated",
    }
    for entry in templates.iterdir():
        target = (
            package / "__init__.py" if entry.name == "hooks.in" else folder / entry.name.removesuffix(".in")
        )
        target.write_text(Template(entry.read_text(encoding="utf-8")).substitute(told), encoding="utf-8")
    return spec


def _repeats(run: Run, others: Sequence[Run]) -> tuple[dict[str, float], ...]:
    """What a training reached from each seed; raises `RunError` for a run that is not the same training."""
    for other in others:
        same = other.record.replace(recipe=other.record.recipe.replace(seed=run.record.recipe.seed))
        told = [(r.state, r.model, r.options, r.recipe, r.data) for r in (run.record, same)]
        if told[0] != told[1] or other.record.recipe.seed == run.record.recipe.seed:
            raise RunError(f"{str(other.path)!r} is not {str(run.path)!r} with another seed; leave it out")
    return tuple(dict(each.metrics) for each in (run, *others)) if others else ()


def _read(package: Path) -> list[dict[str, Any]]:
    path = package / RECORDS
    try:
        return list(msgspec.json.decode(path.read_bytes())["weights"]) if path.exists() else []
    except (OSError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); mend or remove it") from None


def _copy(source: Path, target: Path) -> None:
    """Copies in one go, so that an interrupted copy leaves nothing under the target's name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with whole_at(target) as partial:
            shutil.copyfile(source, partial)
    except OSError as error:
        raise RunError(f"{str(target)!r} cannot be written: {error.strerror}") from None
