"""How fast networks train on a GPU: ours beside timm's way, nanoGPT's way, and loops by hand.

    python benchmarks/gpu.py [--smoke] [--cases NAME ...]

Each way has a process of its own and trains four epochs in bf16 on random data that lies on the device. The
first epoch warms up and compiles; of each other one is timed the stretch from the end of its first step to
the end of its last, so that evaluation and saving lie outside; the median counts. `defaults` is `zoo.train`
as the recipe and the trainer decide. MFU is the share of the device's peak in bf16, as zoo's table of
devices has it, that 6 N + 12 L H Q T operations a token come to (Chowdhery et al. 2022, appendix B). The
peak of memory is that of tensors on the device, its data included.

The results go into `benchmarks/results/gpu-DEVICE.json`. `--smoke` goes through the same code on the CPU
with tiny networks, and asks for compilation without doing it; it measures nothing and keeps nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from gpu_ways.job import Job, Result

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "timm", "torch-zoo")
OURS, COMPILED, DEFAULTS = "zoo", "zoo, compiled", "zoo, defaults"
MFU_AIM = 0.5


@dataclass(frozen=True)
class Way:
    """One way to train: a function in `gpu_ways`, compiled or not; `ours` is what is compared with it."""

    function: str  # "module:function"
    compile: bool = False
    ours: str = ""


OUR_WAYS = {
    OURS: Way("ours:train"),
    COMPILED: Way("ours:train", compile=True),
    DEFAULTS: Way("ours:train_by_defaults"),
}
TIMM_WAYS = {
    "timm": Way("images:train_by_timm", ours=OURS),
    "timm, compiled": Way("images:train_by_timm", compile=True, ours=COMPILED),
}
HAND_WAYS = {
    "by hand": Way("images:train_by_hand", ours=OURS),
    "by hand, compiled": Way("images:train_by_hand", compile=True, ours=COMPILED),
}
NANOGPT_WAYS = {
    "nanoGPT's way, GPT-2": Way("text:train_gpt2", compile=True, ours=COMPILED),
    "nanoGPT's way, ours": Way("text:train_ours_by_hand", compile=True, ours=COMPILED),
}


@dataclass(frozen=True)
class Case:
    """What is trained, and by whom; `tiny` differs in a smoke run, `aim` is the least ratio to the rivals."""

    job: Job
    tiny: Mapping[str, Any]
    rivals: Mapping[str, Way]
    aim: float | None = None

    @property
    def ways(self) -> dict[str, Way]:
        """Ours, then the others'."""
        return {**OUR_WAYS, **self.rivals}


_TINY = {"batch": 2, "steps": 2, "classes": 10}
CASES = {
    "resnet50": Case(
        Job(model="timm/resnet50", shape=(3, 224, 224), classes=1000, batch=256, steps=20, device="cuda"),
        {**_TINY, "model": "timm/test_resnet", "shape": (3, 32, 32)},
        TIMM_WAYS,
        aim=1.0,
    ),
    "ViT-S/16": Case(
        Job(
            model="timm/vit_small_patch16_224",
            shape=(3, 224, 224),
            classes=1000,
            batch=256,
            steps=20,
            device="cuda",
        ),
        _TINY,
        TIMM_WAYS,
        aim=1.0,
    ),
    "GPT-2 124M": Case(
        Job(
            model="transformer/gpt",
            shape=(1024,),
            classes=50_304,
            batch=16,
            steps=20,
            device="cuda",
            dim=768,
            depth=12,
            heads=12,
        ),
        {**_TINY, "shape": (16,), "classes": 300, "dim": 32, "depth": 2, "heads": 2},
        NANOGPT_WAYS,
    ),
    "digits, 28 x 28 x 1": Case(
        Job(model="cnn/convnet", shape=(1, 28, 28), classes=10, batch=256, steps=200, device="cuda"),
        _TINY,
        HAND_WAYS,
    ),
    "CIFAR, 32 x 32 x 3": Case(
        Job(model="cnn/convnet", shape=(3, 32, 32), classes=10, batch=256, steps=200, device="cuda"),
        _TINY,
        HAND_WAYS,
    ),
}
SMOKE_CASES = ("resnet50", "GPT-2 124M", "digits, 28 x 28 x 1")  # the others take the same ways


def main() -> None:
    """Prints the tables and keeps the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="the same code with tiny networks on the CPU")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _train(arguments.child)
        return
    import torch

    if not arguments.smoke and not torch.cuda.is_available():
        print("there is no CUDA device here; --smoke goes through the same code on the CPU")
        return
    device = "CPU, smoke run: the numbers mean nothing" if arguments.smoke else torch.cuda.get_device_name()
    versions = {name: version(name) for name in PACKAGES}
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    print(f"{device}; Python {platform.python_version()}, {told}")
    if arguments.smoke:
        rows = smoke()
    else:
        rows = [row for name in arguments.cases for row in _keep(name, device, versions)]
    if any("failed" in row for row in rows):
        sys.exit(1)


def _keep(name: str, device: str, versions: Mapping[str, str]) -> list[dict[str, Any]]:
    """A case's rows, which are in the device's file before the next case begins."""
    rows = [{**row, "versions": versions} for row in compare(name)]
    print(f"kept: {save(RESULTS, device, rows)}")
    return rows


def save(folder: Path, device: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes rows into the device's results, in place of those of the same cases that are there already."""
    slug = "-".join(re.findall(r"[a-z0-9]+", device.lower()))
    path = folder / f"gpu-{slug}.json"
    fresh = {row["case"] for row in rows}
    kept = json.loads(path.read_text())["rows"] if path.exists() else []
    record = {"schema": 1, "device": device, "rows": [*(r for r in kept if r["case"] not in fresh), *rows]}
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


# -- running ----------------------------------------------------------------------------------


def compare(name: str) -> list[dict[str, Any]]:
    """Each way of a case in turn; prints its table and returns its rows."""
    jobs = _jobs(name)
    found = [_run([(CASES[name].ways[way].function, job)])[0] for way, job in jobs.items()]
    return _tell(name, jobs, found)


def smoke() -> list[dict[str, Any]]:
    """As `compare`, with tiny networks, and in one process, since it is the imports that take their time."""
    jobs = {name: _jobs(name, smoke=True) for name in SMOKE_CASES}
    tasks = [(CASES[name].ways[way].function, job) for name in jobs for way, job in jobs[name].items()]
    found = iter(_run(tasks, smoke=True))
    return [row for name in jobs for row in _tell(name, jobs[name], list(islice(found, len(jobs[name]))))]


def _jobs(name: str, *, smoke: bool = False) -> dict[str, Job]:
    case = CASES[name]
    job = replace(case.job, **case.tiny, device="cpu") if smoke else case.job
    return {way: replace(job, compile=chosen.compile) for way, chosen in case.ways.items()}


def _run(tasks: Sequence[tuple[str, Job]], *, smoke: bool = False) -> list[Result | str]:
    """A process that trains; for each task its result, or why there is none."""
    environment = (
        {**os.environ, "TORCH_COMPILE_DISABLE": "1", "OMP_NUM_THREADS": "1"} if smoke else os.environ
    )
    given = [json.dumps([function, asdict(job)]) for function, job in tasks]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            (sys.executable, __file__, "--child", *given),
            check=False,
            capture_output=True,
            text=True,
            env={**environment, "ZOO_HOME": home},
        )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    found = [one.get("failed") or Result(**one) for one in told]
    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return [*found, *[reason] * (len(tasks) - len(found))]


def _train(tasks: Sequence[str]) -> None:
    """In a process of its own: a line for each task."""
    for task in tasks:
        function, given = json.loads(task)
        module, name = function.split(":")
        job = Job(**{**given, "shape": tuple(given["shape"])})
        with contextlib.redirect_stdout(sys.stderr):  # what a library says is no result
            found = _try(module, name, job)
        print(json.dumps(found), flush=True)


def _try(module: str, name: str, job: Job) -> dict[str, Any]:
    """One task's result, or its fault, which does not take the others along."""
    try:
        result: Result = getattr(import_module(f"gpu_ways.{module}"), name)(job)
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    return asdict(result)


# -- what came of it --------------------------------------------------------------------------


def flops_per_token(job: Job, parameters: int) -> int:
    """Operations of a training step for each token: those of the weights, and those of attention."""
    (length,) = job.shape
    return 6 * parameters + 12 * job.depth * job.dim * length  # H Q = dim


def peak_flops() -> float | None:
    """What the GPU here can do in a second in bf16, where zoo knows it."""
    import zoo
    from zoo.recommender import find_device

    return find_device(zoo.installed(), "cuda").spec.peak_flops.get("bf16")


def _tell(name: str, jobs: Mapping[str, Job], found: Sequence[Result | str]) -> list[dict[str, Any]]:
    rows = [_row(name, way, jobs[way], one) for way, one in zip(jobs, found, strict=True)]
    _report(name, jobs[OURS], rows)
    return rows


def _row(name: str, way: str, job: Job, found: Result | str) -> dict[str, Any]:
    row: dict[str, Any] = {"case": name, "way": way, "batch": job.batch, "shape": job.shape}
    if isinstance(found, str):
        return {**row, "failed": found}
    tokens = job.shape[0] if len(job.shape) == 1 else 1
    row |= asdict(found) | {"per_second": job.batch * tokens / found.seconds}
    peak = peak_flops() if job.device == "cuda" and len(job.shape) == 1 else None
    if peak:
        row["mfu"] = row["per_second"] * flops_per_token(job, found.parameters) / peak
    return row


def _report(name: str, job: Job, rows: Sequence[Mapping[str, Any]]) -> None:
    unit = "tokens" if len(job.shape) == 1 else "images"
    title = f"{name}, batch {job.batch}"
    print(f"\n{title:<28} {unit + '/s':>12} {'MFU':>6} {'peak memory':>12} {'parameters':>12}")
    for row in rows:
        if "failed" in row:
            print(f"{row['way']:<28} failed: {row['failed']}")
            continue
        mfu = f"{row['mfu']:.1%}" if "mfu" in row else ""
        memory = f"{row['peak_bytes'] / 2**30:.2f} GiB" if row["peak_bytes"] else "-"
        print(f"{row['way']:<28} {row['per_second']:>12,.0f} {mfu:>6} {memory:>12} {row['parameters']:>12,}")
    for line in _ratios(CASES[name], {row["way"]: row for row in rows}):
        print(line)


def _ratios(case: Case, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Ours to each rival, with the same switches, and what is aimed at."""
    for name, way in case.rivals.items():
        ours, theirs = (rows[key].get("per_second") for key in (way.ours, name))
        if ours and theirs:
            aim = f"  aim: at least {case.aim:.2f}" if case.aim else ""
            yield f"{f'{way.ours} to {name}':<44} {ours / theirs:>6.2f}{aim}"
    if case.rivals is NANOGPT_WAYS:
        yield f"{'MFU, aim on an H200-class GPU':<44} {MFU_AIM:>6.0%}"


if __name__ == "__main__":
    main()
