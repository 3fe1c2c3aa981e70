"""Finding the device to plan for: by name, by count, or the one that is here."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import psutil
import pytest

import zoo
from zoo.recommender import detect, find_device, processor
from zoo.recommender.cost import Plan
from zoo.recommender.devices import match_name
from zoo.registry import Registry

MiB, GiB = 2**20, 2**30


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry([])


@pytest.fixture(autouse=True)
def _no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def _install_driver(folder: Path, *lines: str, status: int = 0) -> None:
    """An nvidia-smi that prints these lines."""
    script = folder / "nvidia-smi"
    printed = "".join(f"print({line!r})\n" for line in lines)
    script.write_text(f"#!{sys.executable}\n{printed}raise SystemExit({status})\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def test_the_table_has_every_kind_of_device_and_names_its_sources(registry: Registry) -> None:
    assert len(registry.devices) >= 50
    assert {spec.kind for spec in registry.devices.values()} >= {"cuda", "rocm", "mps", "tpu", "cpu"}
    assert all(spec.source and spec.title for spec in registry.devices.values())


def test_figures_of_the_table_stand_in_the_order_that_hardware_has(registry: Registry) -> None:
    for spec in registry.devices.values():
        flops = spec.peak_flops
        if "bf16" in flops and "fp32" in flops:
            assert 1 < flops["bf16"] / flops["fp32"] < 20, spec.name
        if spec.kind == "cuda" and spec.memory_bytes and spec.bandwidth_bytes:
            assert 8 * GiB <= spec.memory_bytes <= 192 * GiB, spec.name
            assert 2e11 < spec.bandwidth_bytes < 1e13, spec.name
        if spec.kind == "cuda" and flops:
            assert 2 < max(flops.values()) / (spec.bandwidth_bytes or 1) < 1200, spec.name


def test_a_device_is_found_by_its_name(registry: Registry) -> None:
    device = find_device(registry, "rtx-4090")
    assert device.spec.memory_bytes == 24 * GiB
    assert device.count == 1
    assert device.free_bytes is None


@pytest.mark.parametrize("text", ["RTX 4090", "rtx_4090", "4090", "RTX-4090"])
def test_a_device_is_found_by_what_people_call_it(registry: Registry, text: str) -> None:
    assert find_device(registry, text).spec.name == "rtx-4090"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("rtx3090ti", "rtx-3090-ti"),
        ("1080ti", "gtx-1080-ti"),
        ("Tesla T4", "t4"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("8 x h100-sxm", "h100-sxm"),
        ("AMD Instinct MI300X", "mi300x"),
        ("M2 Max", "apple-m2-max"),
    ],
)
def test_a_name_is_understood_as_drivers_and_shops_write_it(registry: Registry, text: str, name: str) -> None:
    assert find_device(registry, text).spec.name == name


def test_a_count_stands_before_the_name(registry: Registry) -> None:
    device = find_device(registry, "4xt4")
    assert (device.count, device.spec.name) == (4, "t4")
    assert device.title.startswith("4 x ")


def test_a_count_of_none_is_a_fault(registry: Registry) -> None:
    with pytest.raises(zoo.SpecError, match="'0xt4': the count must be at least 1"):
        find_device(registry, "0xt4")


def test_a_mistyped_name_gets_the_closest(registry: Registry) -> None:
    with pytest.raises(zoo.UnknownNameError, match=r"no device named 'rtx-4900'.*rtx-4090") as caught:
        find_device(registry, "rtx-4900")
    assert "rtx-4090" in caught.value.close
    assert "\n" not in str(caught.value)


def test_part_of_several_names_is_ambiguous(registry: Registry) -> None:
    with pytest.raises(zoo.UnknownNameError, match="'pro' is ambiguous") as caught:
        find_device(registry, "pro")
    assert {"apple-m4-pro", "rtx-pro-6000"} <= set(caught.value.close)


def test_a_gpu_of_several_boards_is_planned_for_as_the_least_of_them(registry: Registry) -> None:
    assert find_device(registry, "h100").spec.name == "h100-pcie"
    assert find_device(registry, "4xa100") == zoo.Device(spec=registry.devices["a100-40gb"], count=4)
    assert find_device(registry, "h100 sxm").spec.name == "h100-sxm"


def test_a_class_of_cpu_has_the_cores_of_its_name(registry: Registry) -> None:
    assert find_device(registry, "server-cpu-32").cores == 32


def test_cpu_is_the_processor_here(registry: Registry) -> None:
    device = find_device(registry, "cpu")
    assert device.spec.kind == "cpu"
    assert device.cores
    assert 1 <= device.cores <= (psutil.cpu_count() or 1)
    assert device.spec.memory_bytes
    assert device.free_bytes is not None
    assert 0 < device.free_bytes <= device.spec.memory_bytes <= psutil.virtual_memory().total
    assert device.spec.peak_flops["fp32"] > 1e9


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has a GPU of its own")
def test_without_a_driver_auto_is_the_processor(registry: Registry) -> None:
    assert find_device(registry, "auto").spec.kind == "cpu"
    assert detect().spec.kind == "cpu"


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has a GPU of its own")
def test_asking_for_a_kind_that_is_not_here_is_a_fault(registry: Registry) -> None:
    with pytest.raises(zoo.UnknownNameError, match="'cuda' is not available here"):
        find_device(registry, "cuda")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a script that can be run")
def test_auto_is_the_first_gpu_with_what_is_free_on_it(registry: Registry, tmp_path: Path) -> None:
    _install_driver(
        tmp_path,
        "0, GPU-aa, NVIDIA GeForce RTX 3090, 24576, 20000",
        "1, GPU-bb, Tesla T4, 15360, 15000",
    )
    device = find_device(registry, "auto")
    assert (device.spec.name, device.free_bytes) == ("rtx-3090", 20000 * MiB)
    assert find_device(registry, "cuda") == device


@pytest.mark.skipif(sys.platform == "win32", reason="needs a script that can be run")
@pytest.mark.parametrize(
    ("visible", "name"), [("1", "t4"), ("GPU-bb", "t4"), ("1,0", "t4"), ("0", "rtx-3090")]
)
def test_hidden_gpus_are_not_taken(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str, name: str
) -> None:
    _install_driver(
        tmp_path,
        "0, GPU-aa, NVIDIA GeForce RTX 3090, 24576, 20000",
        "1, GPU-bb, Tesla T4, 15360, 15000",
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_device(registry, "auto").spec.name == name


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs a script, and no other GPU")
def test_with_every_gpu_hidden_or_a_broken_driver_auto_is_the_processor(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_driver(tmp_path, "0, GPU-aa, Tesla T4, 15360, 15000")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert find_device(registry, "auto").spec.kind == "cpu"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    _install_driver(tmp_path, "NVIDIA-SMI has failed", status=9)
    assert find_device(registry, "auto").spec.kind == "cpu"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a script that can be run")
def test_a_gpu_that_the_table_lacks_keeps_its_own_name_and_memory(registry: Registry, tmp_path: Path) -> None:
    _install_driver(tmp_path, "0, GPU-aa, NVIDIA GeForce RTX 4090 Laptop GPU, 16376, 16000")
    spec = find_device(registry, "auto").spec
    assert (spec.name, spec.memory_bytes) == ("nvidia-geforce-rtx-4090-laptop-gpu", 16376 * MiB)
    assert not spec.peak_flops


@pytest.mark.parametrize(
    ("driver", "mebibytes", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", 81920, "a100-80gb"),
        ("NVIDIA A100 80GB PCIe", 81920, "a100-pcie-80gb"),
        ("NVIDIA A100-PCIE-40GB", 40960, "a100-40gb"),
        ("NVIDIA H100 80GB HBM3", 81559, "h100-sxm"),
        ("NVIDIA H100 PCIe", 81559, "h100-pcie"),
        ("NVIDIA H200", 143771, "h200"),
        ("Tesla V100-SXM2-16GB", 16160, "v100"),
        ("Tesla V100-SXM2-32GB", 32510, "v100-32gb"),
        ("Tesla V100-PCIE-32GB", 32510, "v100-pcie-32gb"),
        ("Tesla P100-PCIE-16GB", 16280, "p100"),
        ("Tesla T4", 15360, "t4"),
        ("NVIDIA L4", 23034, "l4"),
        ("NVIDIA L40S", 46068, "l40s"),
        ("NVIDIA A10G", 23028, "a10g"),
        ("NVIDIA RTX A6000", 49140, "rtx-a6000"),
        ("NVIDIA RTX 6000 Ada Generation", 49140, "rtx-6000-ada"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", 16376, "rtx-4070-ti-super"),
        ("NVIDIA GeForce RTX 4070", 12282, "rtx-4070"),
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "rtx-4060-ti-16gb"),
        ("NVIDIA GeForce RTX 4060 Ti", 8188, "rtx-4060-ti-8gb"),
        ("NVIDIA GeForce GTX 1080 Ti", 11264, "gtx-1080-ti"),
        ("NVIDIA GeForce RTX 3080 Laptop GPU", 8192, None),
        ("NVIDIA GeForce RTX 2080 Ti with Max-Q Design", 11264, None),
        ("NVIDIA GeForce RTX 3080", 12288, None),  # the later one of 12 GB is another card
        ("Quadro K620", 2048, None),
    ],
)
def test_drivers_names_are_matched(registry: Registry, driver: str, mebibytes: int, name: str | None) -> None:
    found = match_name(registry.devices, driver, mebibytes * MiB)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("flags", "precisions", "ratio"),
    [
        ("fpu avx2", {"fp32"}, 1),
        ("fpu avx2 avx512f", {"fp32"}, 2),
        ("fpu avx2 avx512f avx512_bf16", {"fp32", "bf16"}, 2),
        ("fpu avx2 avx512f avx512_bf16 amx_bf16", {"fp32", "bf16"}, 2),
    ],
)
def test_a_processor_computes_as_wide_as_its_units(
    flags: str, precisions: set[str], ratio: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = tmp_path / "cpuinfo"
    monkeypatch.setattr("zoo.recommender.processor.CPUINFO", listing)
    without = detect().spec.peak_flops["fp32"]
    listing.write_text(f"flags\t: {flags}\n")
    peaks = detect().spec.peak_flops
    assert set(peaks) == precisions
    assert peaks["fp32"] == pytest.approx(ratio * without)
    assert peaks.get("bf16", peaks["fp32"] * 2) >= 2 * peaks["fp32"]


def test_a_processor_that_computes_in_half_precision_is_planned_for_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = tmp_path / "cpuinfo"
    monkeypatch.setattr("zoo.recommender.processor.CPUINFO", listing)
    assert Plan(zoo.Recipe(), detect()).precision == "fp32"
    listing.write_text("flags\t: avx512f avx512_bf16\n")
    assert Plan(zoo.Recipe(), detect()).precision == "bf16"
    assert Plan(zoo.Recipe(), detect(), exact=True).precision == "fp32"  # as forecasts are trained
    assert Plan(zoo.Recipe(precision="fp32"), detect()).precision == "fp32"


# -- what Linux tells in files ----------------------------------------------------------------


@pytest.fixture(name="linux")
def _linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the system's files; there are none yet."""
    for name in ("CPUINFO", "MEMINFO", "CORES", "GROUP"):
        monkeypatch.setattr(f"zoo.recommender.processor.{name}", tmp_path / name)
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content + "\n")


def test_threads_of_one_core_are_one(linux: Path) -> None:
    siblings = {0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"}
    _write(linux, {f"CORES/cpu{n}/topology/core_cpus_list": text for n, text in siblings.items()})
    assert processor._physical_cores() == 2


def test_a_container_has_the_memory_that_it_is_granted(linux: Path) -> None:
    _write(linux, {"MEMINFO": "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    600 kB"})
    assert processor.machine_memory() == (1_024_000, 614_400)
    _write(linux, {"GROUP/memory.max": "500000", "GROUP/memory.current": "100000"})
    device = processor.find_processor()
    assert (device.spec.memory_bytes, device.free_bytes) == (500_000, 400_000)
    _write(linux, {"GROUP/memory.max": "max"})
    assert processor.find_processor().spec.memory_bytes == 1_024_000


@pytest.mark.parametrize(
    ("files", "hertz"),
    [
        ({}, processor.DEFAULT_HERTZ),
        ({"CPUINFO": "cpu MHz\t\t: 3000.000\ncpu MHz\t\t: 1000.000"}, 2e9),
        ({"CORES/cpufreq/policy0/scaling_max_freq": "3500000", "CPUINFO": "cpu MHz\t: 800.0"}, 3.5e9),
        (
            {"CORES/cpufreq/policy0/scaling_max_freq": "0", "CPUINFO": "cpu MHz\t: unknown"},
            processor.DEFAULT_HERTZ,
        ),
        ({"CPUINFO": "cpu MHz\t\t: 0.000"}, processor.DEFAULT_HERTZ),
    ],
    ids=("nothing", "running", "limit", "odd", "nought"),
)
def test_a_processor_is_as_fast_as_it_is_let_be(files: dict[str, str], hertz: float, linux: Path) -> None:
    _write(linux, files)
    assert processor._hertz() == pytest.approx(hertz)
    assert processor.find_processor().spec.peak_flops["fp32"] > 0


@pytest.mark.parametrize("odd", [b"MemTotal:\nMemAvailable: 3 kB\n", b"\xff\xfe", b""])
def test_where_files_say_nothing_psutil_does(odd: bytes, linux: Path) -> None:
    (linux / "MEMINFO").write_bytes(odd)
    (linux / "CPUINFO").write_bytes(odd)
    assert processor.machine_memory()[0] == psutil.virtual_memory().total
    assert processor._physical_cores() == (psutil.cpu_count(logical=False) or psutil.cpu_count())
    assert processor.find_processor().spec.peak_flops["fp32"] > 0
