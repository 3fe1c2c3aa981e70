"""The processor of this machine and its memory.

Linux lists them in files, and reading these takes a tenth of the time that importing psutil does; elsewhere,
psutil knows.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

from zoo.specs import Device, DeviceSpec, Precision

CYCLE = 32  # fp32 operations a core does in a cycle: two 256-bit FMA units, as in the table's CPU classes
AMX_CYCLE = 512  # bf16 operations a cycle of a core with Intel's matrix unit: half of what it could
DEFAULT_HERTZ = 2.5e9
CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
CORES = Path("/sys/devices/system/cpu")
GROUP = Path("/sys/fs/cgroup")  # a container's limits


def find_processor() -> Device:
    """The processor here, with the cores and the memory that this process may use."""
    cores, hertz, cycles = _usable_cores(_physical_cores()), _hertz(), _cycles()
    (total, free), limit, used = machine_memory(), _group_bytes("memory.max"), _group_bytes("memory.current")
    if limit:
        total, free = min(total, limit), min(free, limit - (used or 0))
    spec = DeviceSpec(
        name="cpu",
        kind="cpu",
        memory_bytes=total,
        peak_flops={name: cores * hertz * cycle for name, cycle in cycles.items()},
        title=f"this machine's CPU, {cores} core{'s' if cores > 1 else ''}",
        source=f"{cores} cores x {hertz / 1e9:.1f} GHz x {cycles['fp32']} operations",
    )
    return Device(spec=spec, free_bytes=max(0, free), cores=cores)


def machine_memory() -> tuple[int, int]:
    """Bytes of the machine's memory, and of those what is free or can be made so."""
    listed = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _read(MEMINFO), re.MULTILINE))
    if "MemTotal" in listed and "MemAvailable" in listed:
        total, available = (1024 * int(listed[name]) for name in ("MemTotal", "MemAvailable"))
        return total, min(available, total)
    import psutil

    memory = psutil.virtual_memory()
    return memory.total, memory.available


def _physical_cores() -> int:
    """Cores, however many threads each of them runs."""
    siblings = {_read(path) for path in CORES.glob("cpu[0-9]*/topology/core_cpus_list")} - {""}
    if siblings:
        return len(siblings)
    import psutil

    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def _usable_cores(physical: int) -> int:
    """Those of the machine's cores that affinity and a container's quota leave to this process."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else physical
    quota, _, period = _read(GROUP / "cpu.max").partition(" ")
    granted = max(1, int(quota) // int(period)) if quota.isdigit() and period.isdigit() else physical
    return max(1, min(physical, allowed, granted))


def _hertz() -> float:
    """The most that cores may run at, else what they run at now, as a mean."""
    most = [_read(path) for path in CORES.glob("cpufreq/policy*/scaling_max_freq")]
    speeds = [1e3 * int(text) for text in most if text.isdigit() and int(text)]
    if not speeds:
        listed = re.findall(r"^cpu MHz\s*: ([\d.]+)$", _read(CPUINFO), re.MULTILINE)
        speeds = [1e6 * float(text) for text in listed if float(text)]
    if not speeds and sys.platform != "linux":
        import psutil

        with contextlib.suppress(OSError, NotImplementedError):
            frequency = psutil.cpu_freq()
            speeds = [1e6 * (frequency.max or frequency.current)] if frequency else []
    return sum(speeds) / len(speeds) if speeds else DEFAULT_HERTZ


def _cycles() -> dict[Precision, float]:
    """Operations of a core in a cycle, by the precision that it computes in itself: Linux lists its units.

    A unit of 512 bits is taken for two, as servers have them.
    """
    listed = set(_read(CPUINFO).split())
    wide = 2 * CYCLE if "avx512f" in listed else CYCLE
    if "amx_bf16" in listed:
        return {"fp32": wide, "bf16": AMX_CYCLE}
    return {"fp32": wide, "bf16": 2 * wide} if "avx512_bf16" in listed else {"fp32": wide}


def _group_bytes(name: str) -> int | None:
    text = _read(GROUP / name)
    return int(text) if text.isdigit() else None


def _read(path: Path) -> str:
    """What a file of the system's says; nothing where there is none."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
