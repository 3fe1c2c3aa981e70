"""Which device is planned for: one of the table's by name, or the one that is here."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Collection, Iterable, Mapping

from zoo.errors import SpecError, UnknownNameError, unknown
from zoo.recommender.processor import find_processor, machine_memory
from zoo.registry import Registry
from zoo.specs import Device, DeviceSpec

MiB = 2**20
METAL_SHARE = 0.75  # of a Mac's memory, which is about what Metal lets its GPU have
PATIENCE_SECONDS = 5.0  # with a driver that hangs
MEMORY_GAP = 0.15  # between what a driver reports and what the maker states
_BOARDS = {"sxm2": "sxm", "sxm4": "sxm", "sxm5": "sxm", "hbm3": "sxm"}  # how nvidia-smi names SXM boards
_SLOWER = {"laptop", "mobile", "q", "mig", "d"}  # parts that share a faster one's name ("q" is of Max-Q)
_VARIANTS = {"ti", "super", "ada", "pro"}
_BRANDS = {"gtx", "rtx", "apple", "tpu"}  # what people leave out of a name
# and what they add
_MAKERS = {"nvidia", "geforce", "tesla", "amd", "radeon", "instinct", "google", "generation"}
_BOARD = re.compile(r"sxm|pcie|nvl|\d+gb")  # words that tell the boards of one GPU apart
_DETAILS = ("sxm", r"\d+gb", r"sxm|\d+gb")  # of boards, left out where no device of the table has them


def find_device(registry: Registry, text: str) -> Device:
    """The device that `auto`, `cpu`, `NAME` or `COUNTxNAME` means; `cuda` and `mps` mean the one here.

    A part of a name, such as `4090`, will do while it fits one device; of several boards of one GPU, `h100`
    means that with the least memory, so that what fits will fit any. Raises `UnknownNameError` with the
    closest names.
    """
    if text == "auto":
        return detect(registry)
    if text == "cpu":
        return find_processor()
    if text in ("cuda", "mps"):
        here = detect(registry)
        if here.spec.kind != text:
            raise UnknownNameError(f"device {text!r} is not available here; name one: zoo devices")
        return here
    match = re.fullmatch(r"(\d+) ?x ?(.+)", text.strip().lower())
    count, name = (int(match[1]), match[2]) if match else (1, text)
    if count < 1:
        raise SpecError("device", [f"{text!r}: the count must be at least 1"])
    spec = _named(registry.devices, name)
    cores = re.search(r"-(\d+)$", spec.name) if spec.kind == "cpu" else None
    return Device(spec=spec, count=count, cores=int(cores[1]) if cores else None)


def detect(registry: Registry | None = None) -> Device:
    """The device that a training here would take, with the memory that is free on it.

    That is the first visible NVIDIA GPU, else a Mac's own GPU, else the processor. Without a
    `registry` nothing is known of a GPU but its name and memory.
    """
    known: Mapping[str, DeviceSpec] = registry.devices if registry and _has_gpu() else {}
    return _nvidia(known) or _apple(known) or find_processor()


def match_name(devices: Mapping[str, DeviceSpec], name: str, memory_bytes: int) -> DeviceSpec | None:
    """The table's device that a driver calls `name`, such as `NVIDIA A100-SXM4-80GB`.

    Every word of the device's own name must be there. Where several fit, the most words win, then
    the nearest memory; laptop parts and slices of a GPU are no match.
    """
    words = {_BOARDS.get(word, word) for word in _words(name)}
    best, most = None, (0, 0)
    for spec in devices.values():
        own = set(_words(spec.name))
        needed = {word for word in own if not re.fullmatch(r"\d+gb", word)}
        gap = abs(memory_bytes - (spec.memory_bytes or 0))
        if needed <= words and gap < MEMORY_GAP * memory_bytes and not (words - own) & (_SLOWER | _VARIANTS):
            best, most = max((best, most), (spec, (len(words & own), -gap)), key=lambda entry: entry[1])
    return best


# -- names ------------------------------------------------------------------------------------


def _named(devices: Mapping[str, DeviceSpec], name: str) -> DeviceSpec:
    slug = "-".join(_words(name))
    if slug in devices:
        return devices[slug]
    asked = {_BOARDS.get(word, word) for word in _words(_spaced(name))} - _MAKERS
    for details in ("", *_DETAILS):
        parts = {word for word in asked if not re.fullmatch(details, word)}
        fitting = [spec for spec in devices.values() if parts and parts <= set(_words(spec.name))]
        if fitting:
            break
    exact = [spec for spec in fitting if set(_words(spec.name)) - parts <= _BRANDS]
    if len(fitting) == 1 or len(exact) == 1:
        return (exact or fitting)[0]
    if len({tuple(w for w in _words(spec.name) if not _BOARD.fullmatch(w)) for spec in fitting}) == 1:
        return min(fitting, key=lambda spec: (spec.memory_bytes or 0, spec.bandwidth_bytes or 0))
    if fitting:
        names = [spec.name for spec in fitting]
        shown = ", ".join(names[:6])
        raise UnknownNameError(f"device {name!r} is ambiguous: say one of {shown}", close=names)
    raise unknown("device", name, ["auto", "cpu", *devices])


def _spaced(name: str) -> str:
    """A name such as `rtx4090` or `3080ti` in words."""
    return re.sub(r"(?<=\d)(?=(?:ti|super)\b)|(?<=gtx|rtx)(?=\d)", " ", name.lower())


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_/-]+", name.lower()) if word]


def _slug(name: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", name.lower())) or "gpu"


# -- what is here -----------------------------------------------------------------------------


def _has_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None or _is_apple()


def _nvidia(known: Mapping[str, DeviceSpec]) -> Device | None:
    """The first GPU that this process may use, as nvidia-smi lists it."""
    rows = list(_visible(_ask_nvidia()))
    if not rows:
        return None
    _, _, name, total, free = rows[0]
    memory = int(total) * MiB if total.isdigit() else None
    spec = match_name(known, name, memory) if memory else None
    if spec is None:
        spec = DeviceSpec(name=_slug(name), kind="cuda", memory_bytes=memory, title=name, source="nvidia-smi")
    return Device(spec=spec, free_bytes=int(free) * MiB if free.isdigit() else None)


def _ask_nvidia() -> list[list[str]]:
    """Index, identity, name, MiB in all and MiB free of each GPU; none where there is no driver."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = "--query-gpu=index,uuid,name,memory.total,memory.free"
    answer = _run(command, query, "--format=csv,noheader,nounits")
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines()]
    return [row for row in rows if len(row) == 5]


def _visible(rows: Collection[list[str]]) -> Iterable[list[str]]:
    """The rows that `CUDA_VISIBLE_DEVICES` leaves, in its order."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        yield from rows
        return
    for identity in chosen.split(","):
        found = [row for row in rows if identity.strip() and _is_named(row, identity.strip())]
        if not found:  # as CUDA does, whatever follows a wrong one is not seen either
            return
        yield found[0]


def _is_named(row: list[str], identity: str) -> bool:
    return row[0] == identity or row[1].startswith(identity)


def _is_apple() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"


def _apple(known: Mapping[str, DeviceSpec]) -> Device | None:
    """A Mac's GPU, which shares the machine's memory."""
    if not _is_apple():
        return None
    name = _run("sysctl", "-n", "machdep.cpu.brand_string") or "Apple GPU"
    spec = known.get(_slug(name)) or DeviceSpec(name=_slug(name), kind="mps", title=name, source="sysctl")
    total, free = (round(METAL_SHARE * amount) for amount in machine_memory())
    return Device(spec=spec.replace(memory_bytes=total), free_bytes=free)


def _run(*command: str) -> str:
    """What a command prints; nothing where it fails or hangs."""
    import subprocess  # slow to import, and seldom needed

    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
