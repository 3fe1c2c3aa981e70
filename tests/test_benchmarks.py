"""The benchmarks of training: what they compare is the same, and what they print is what was found."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import zoo

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(name="train")
def import_train(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from _import("train", monkeypatch)


@pytest.fixture(name="gpu")
def import_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from _import("gpu", monkeypatch)


@pytest.fixture(name="language")
def import_language(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from _import("language", monkeypatch)


@pytest.fixture(name="ucr")
def import_ucr(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield from _import("ucr", monkeypatch)


def _import(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A script of the benchmarks' folder, found as when it is run, and forgotten again."""
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    yield __import__(name)
    for module in set(sys.modules) - before:
        if module.partition(".")[0] in (name, "train_rivals", "gpu_ways"):
            del sys.modules[module]


def _job(train: ModuleType, case: str, steps: int = 3) -> Any:
    return train.Job(case=case, warmup=1, steps=steps, threads=1, fused=False, start="")


# -- train.py ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["convnet, batch 32", "lstm, batch 32", "gpt, batch 8"])
def test_zoo_train_begins_and_goes_on_like_the_loop_by_hand(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Losses agree after the first step and the last: same weights, batches, optimizer and clipping."""
    from train_rivals import by_hand, job, ours
    from train_rivals.torch_side import build

    read: list[float] = []

    class Noting(job.Watch):
        def step(self, finish: Callable[[], float]) -> None:
            super().step(lambda: read.append(finish()))

    options = {**train.CASES[case].options, "dropout": 0.0}
    chosen = replace(train.CASES[case], options=options, batch=4)
    monkeypatch.setitem(train.CASES, case, chosen)
    for contestant in (ours, by_hand):
        monkeypatch.setattr(contestant, "Watch", Noting)
        result = contestant.train(_job(train, case))
        assert result.parameters == sum(parameter.numel() for parameter in build(chosen).parameters())
    assert read[:2] == pytest.approx(read[2:], rel=1e-4)
    assert read[0] != read[1]


def test_the_watch_times_the_steps_after_the_warm_up_alone(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train_rivals import job

    moments = iter([10.0, 16.0])
    monkeypatch.setattr(job, "perf_counter", lambda: next(moments))
    watch, finished = job.Watch(_job(train, "gpt, batch 8", steps=3)), []
    for number in range(4):
        watch.step(lambda number=number: finished.append(number))
    assert watch.seconds == 2.0
    assert finished == [0, 3]


def test_a_contestant_whose_package_is_missing_is_told_and_not_left_out(
    train: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train._python(("torch",), Path("nowhere")) == Path(sys.executable)
    assert train._python(("no_such_package_xyz",), Path("nowhere")) is None
    result = train.Result(seconds=0.01, parameters=5, start_loss=1.0, version="torch 1")
    row = {name: train.Found([result]) for name in train.CONTESTANTS}
    row[train.KERAS] = train.Found()
    train._take_turn(train.KERAS, None, [_job(train, "gpt, batch 8")], [row[train.KERAS]])
    train.report({"gpt, batch 8": row})
    assert "Keras                  not installed: make rivals\n" in capsys.readouterr().out


def test_ratios_are_those_of_medians_and_stand_beside_their_aims(
    train: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(*seconds: float, loss: float = 2.0, parameters: int = 5) -> Any:
        results = [
            train.Result(seconds=each, parameters=parameters, start_loss=loss, version="v")
            for each in seconds
        ]
        return train.Found(results)

    row = {name: found(0.010, 0.011, 0.030) for name in train.CONTESTANTS}
    row[train.BY_HAND], row[train.KERAS] = found(0.010), found(0.022, parameters=4)
    row["Lightning"] = found(0.012, loss=2.1)
    train.report({"convnet, batch 256": row})
    lines = capsys.readouterr().out.splitlines()
    assert f"{'ours':<22}    11.00 ms   10.00 ms   30.00 ms        1.10   1.03         2.00" in lines
    assert any(line.startswith("ours, defaults ") and line.endswith("2.00   1.50") for line in lines)
    assert "note: Keras has 4 parameters, the others 5" in lines
    assert "note: Lightning begins with a loss of 2.1000, not of 2.0000" in lines


def test_a_contestant_that_fails_is_told_with_its_reason(train: ModuleType) -> None:
    lines, told = train._run(Path(sys.executable), train.BY_HAND, [_job(train, "no such case")])
    assert lines == []
    assert told == "failed: KeyError: 'no such case'"


# -- gpu.py -----------------------------------------------------------------------------------


def test_the_operations_of_a_token_are_those_of_the_weights_and_of_attention(gpu: ModuleType) -> None:
    job = gpu.CASES["GPT-2 124M"].job
    assert gpu.flops_per_token(job, 124_000_000) == 6 * 124_000_000 + 12 * 12 * 12 * 64 * 1024


def test_gpt2_has_124_million_parameters_and_sees_no_later_token(gpu: ModuleType) -> None:
    from gpu_ways.gpt2 import GPT2

    with torch.device("meta"):
        whole = GPT2(50_257, 1024, 768, 12, 12)
    assert sum(parameter.numel() for parameter in whole.parameters()) == 124_337_664
    small, tokens = GPT2(11, 8, 16, 2, 2), torch.arange(8)[None]
    other = tokens.clone()
    other[0, -1] = 10
    assert torch.allclose(small(tokens)[0, :-1], small(other)[0, :-1])
    assert not torch.allclose(small(tokens)[0, -1], small(other)[0, -1])


def test_an_epoch_is_timed_from_its_first_step_and_the_first_epoch_is_not(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_ways import job

    moments = iter([0.0, 90.0, 100.0, 102.0, 200.0, 204.0, 300.0, 303.0])
    monkeypatch.setattr(job, "perf_counter", lambda: next(moments))
    watch = job.Watch(3)
    for _ in range(4 * 3):
        watch.step(lambda: None)
    assert watch.stretches == [45.0, 1.0, 2.0, 1.5]
    assert watch.seconds == 1.5


def test_results_are_kept_by_device_and_case(gpu: ModuleType, tmp_path: Path) -> None:
    folder, device = tmp_path / "results", "NVIDIA H200"
    gpu.save(folder, device, [{"case": "a", "way": "zoo"}, {"case": "b", "way": "zoo"}])
    path = gpu.save(folder, device, [{"case": "a", "way": "timm"}])
    assert path == folder / "gpu-nvidia-h200.json"
    kept = json.loads(path.read_text())
    assert kept["device"] == device
    assert kept["rows"] == [{"case": "b", "way": "zoo"}, {"case": "a", "way": "timm"}]


def test_what_fails_is_told_and_takes_nothing_else_along(gpu: ModuleType) -> None:
    job = replace(gpu.CASES["resnet50"].job, **gpu.CASES["resnet50"].tiny, device="cpu")
    wrong = replace(job, model="timm/no_such_network")
    found = gpu._run([("images:train_by_timm", wrong), ("images:train_by_timm", job)], smoke=True)
    assert found[0] == "RuntimeError: Unknown model (no_such_network)"
    assert found[1].seconds > 0
    assert found[1].peak_bytes == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without CUDA")
def test_without_cuda_it_says_so_in_one_line() -> None:
    done = subprocess.run(
        (sys.executable, FOLDER / "gpu.py"), check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "there is no CUDA device here; --smoke goes through the same code on the CPU\n"


# -- language.py ------------------------------------------------------------------------------


def _tiny(language: ModuleType, **settings: Any) -> dict[str, Any]:
    options = {"units": 4, "embedding": 4}
    return {"LSTM": language.Contestant(model="lstm/language_model", options=options, lr=1e-3, **settings)}


def test_a_finished_training_is_kept_and_one_of_other_settings_is_not(
    language: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = language._some(language.load_dataset(language.DATA), 1)

    def run(models: dict[str, Any]) -> Any:
        results = language.run(models, tmp_path, seeds=1, budget=2.0, paces={"LSTM": 1.0}, data=data)
        return results, capsys.readouterr().out

    (first,), told = run(_tiny(language))
    assert told.startswith("LSTM, seed 0: ")
    assert (first.steps, first.tokens) == (2, 2 * 16 * 256)
    assert first.carried == pytest.approx(first.bits_per_byte, rel=0.05)
    assert run(_tiny(language)) == ([first], "")
    (other,), told = run(_tiny(language, changes={"batch_size": 2}))
    assert told
    assert other.tokens == 2 * 2 * 256
    language.report([first, other])
    assert f"{first.parameters:,}" in capsys.readouterr().out


def test_models_that_are_compared_are_of_one_size(language: ModuleType) -> None:
    problem = language.load_dataset(language.DATA).problem
    sizes = {}
    for name, each in language.MODELS.items():
        model = zoo.load(each.model, problem=problem, **each.options)
        sizes[name] = sum(parameter.numel() for parameter in model.parameters())
    assert max(sizes.values()) < 1.005 * min(sizes.values())


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train.py", "gpu.py", "language.py"])
def test_the_smoke_run_goes_through_everything_and_keeps_nothing(script: str) -> None:
    results = FOLDER / "results"
    before = {path: path.read_bytes() for path in results.glob("*")}
    done = subprocess.run(
        (sys.executable, FOLDER / script, "--smoke"), check=False, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout
    assert {path: path.read_bytes() for path in results.glob("*")} == before


# -- ucr.py -----------------------------------------------------------------------------------


def test_published_accuracies_are_read_in_either_form_and_stand_beside_ours(
    ucr: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings = tmp_path / "trainings.csv"
    trainings.write_text(
        "classifier_name,dataset_name,accuracy\nfcn,CBF,0.75\nfcn,CBF,0.85\nfcn,Coffee,0.5\n"
    )
    networks = tmp_path / "networks.csv"
    networks.write_text("Dataset,LSTM-FCN,ResNet\nCBF,0.9,0.1\nsynthetic_control,0.7,0.1\n")
    lines = [
        ucr.Line(model=model, data=data, draw=1, accuracy=0.5, seconds=1.0)
        for model in ("cnn/fcn", "lstm/lstm_fcn", "cnn/minirocket")
        for data in ("cbf", "control")
    ]
    ucr._print(lines, ucr._published([trainings, networks]))
    rows = {tuple(line.split()[:2]): line.split()[7:] for line in capsys.readouterr().out.splitlines()[2:]}
    assert rows["cbf", "fcn"] == ["0.8000", "+-", "0.0707"]
    assert rows["control", "fcn"] == []
    assert rows["cbf", "lstm_fcn"] == ["0.9000"]
    assert rows["control", "lstm_fcn"] == ["0.7000"]
    assert rows["cbf", "minirocket"] == []
