"""`zoo runs`: what was trained, listed, shown, compared and removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from toys import document, run

import zoo
from zoo.histories import LEVELS, spark
from zoo.locks import held
from zoo.runs import Run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """The same training with two learning rates."""
    folder = tmp_path_factory.mktemp("runs")
    first, second = (
        zoo.train(
            "cnn/fcn",
            "cbf",
            output=folder / name,
            device="cpu",
            settings={"steps": 6, "batch_size": 8, "lr": lr},
        )
        for name, lr in (("slow", 1e-5), ("fast", 1e-2))
    )
    return first, second


def test_runs_are_listed_with_what_they_reached(capsys: Capture, two: tuple[Run, Run]) -> None:
    folder = two[0].path.parent
    status, out, _ = run(capsys, "runs", "list", str(folder))
    assert status == 0
    header, *rows = out.splitlines()
    assert header.split() == ["run", "model", "data", "samples", "state", "steps", "time", "test"]
    assert [row.split()[:6] for row in rows] == [
        [str(each.path), "cnn/fcn", "cbf", "30", "finished", "6"] for each in two
    ]
    assert f"accuracy {100 * two[1].metrics['accuracy']:.1f}%" in rows[1]


def test_the_list_is_filtered_and_the_best_comes_last(capsys: Capture, two: tuple[Run, Run]) -> None:
    folder = str(two[0].path.parent)
    assert document(capsys, "runs", "list", folder, "--model", "lstm/*")["runs"] == []
    assert document(capsys, "runs", "list", folder, "--state", "interrupted")["runs"] == []
    found = document(capsys, "runs", "list", folder, "--data", "cbf", "--sort", "metric")["runs"]
    values = [each["metrics"]["accuracy"] for each in found]
    assert len(values) == 2
    assert values == sorted(values)


def test_half_a_run_folder_is_named_and_the_others_are_listed(capsys: Capture, two: tuple[Run, Run]) -> None:
    broken = two[0].path.parent / "broken"
    broken.mkdir()
    (broken / "run.json").write_text('{"model": "cnn/f')
    try:
        status, out, err = run(capsys, "runs", "list", str(broken.parent))
    finally:
        (broken / "run.json").unlink()
        broken.rmdir()
    assert status == 0
    assert len(out.splitlines()) == 3
    assert f"warning: '{broken / 'run.json'}' is damaged" in err


def test_a_run_is_shown_with_its_curve_and_what_its_recipe_changes(
    capsys: Capture, two: tuple[Run, Run]
) -> None:
    status, out, _ = run(capsys, "runs", "show", str(two[1].path))
    assert status == 0
    assert out.startswith("cnn/fcn on cbf: finished")
    assert "lr = 0.01\n" in out
    assert "weight_decay" not in out
    losses = [row["loss"] for row in two[1].history]
    assert f"{losses[0]:.4g} {spark(losses)} {losses[-1]:.4g}" in out
    whole = document(capsys, "runs", "show", str(two[1].path))
    assert whole["history"] == two[1].history


def test_only_what_differs_is_compared(capsys: Capture, tmp_path: Path, two: tuple[Run, Run]) -> None:
    paths = [str(each.path) for each in two]
    found = document(capsys, "runs", "compare", *paths)
    assert found["differences"] == {"lr": [1e-05, 0.01]}
    picture = tmp_path / "curves.png"
    status, out, _ = run(capsys, "runs", "compare", *paths, "--plot", str(picture))
    assert status == 0
    assert [line.split() for line in out.splitlines() if line.startswith("lr ")] == [["lr", "1e-05", "0.01"]]
    with Image.open(picture) as image:
        assert image.size == (990, 352)
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 20
    status, _, err = run(capsys, "runs", "compare", *paths, "--plot", str(picture))
    assert (status, err) == (1, f"zoo: '{picture}' exists already; choose another file\n")


def test_runs_of_two_tasks_cannot_be_compared(capsys: Capture, tmp_path: Path, two: tuple[Run, Run]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    record = json.loads((two[0].path / "run.json").read_text())
    record["problem"]["task"] = "image-classification"
    (other / "run.json").write_text(json.dumps(record))
    status, _, err = run(capsys, "runs", "compare", str(two[0].path), str(other))
    assert status == 1
    assert err == f"zoo: '{other}' does image-classification, the first series-classification\n"


def test_a_run_is_removed_whole(capsys: Capture, tmp_path: Path) -> None:
    made = zoo.train("cnn/fcn", "cbf", output=tmp_path / "run", device="cpu", settings={"steps": 2})
    with held(made.path / "last" / ".lock"):
        status, _, err = run(capsys, "runs", "remove", "--yes", str(made.path))
    assert (status, err) == (1, f"zoo: '{made.path}' is being trained by another process; let it end\n")
    (made.path / "notes.txt").write_text("mine")
    status, _, err = run(capsys, "runs", "remove", "--yes", str(made.path))
    assert status == 1
    assert "holds 'notes.txt', which no training wrote; move that first" in err
    (made.path / "notes.txt").unlink()
    status, out, _ = run(capsys, "runs", "remove", "--yes", str(made.path))
    assert status == 0
    assert out.startswith(f"{made.path}: removed, ")
    assert not made.path.exists()


def test_what_is_no_run_is_never_removed(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    status, _, err = run(capsys, "runs", "remove", "--yes", str(tmp_path / "photos"))
    assert (status, err) == (1, f"zoo: '{tmp_path / 'photos'}' has no run.json, so it is no run folder\n")
    assert (tmp_path / "photos").is_dir()


def test_a_curve_in_a_line_goes_from_the_lowest_bar_to_the_highest() -> None:
    assert spark([0.0, 1.0, 2.0, 7.0]) == f"{LEVELS[0]}{LEVELS[1]}{LEVELS[2]}{LEVELS[7]}"
    assert spark([3.0, 3.0]) == LEVELS[0] * 2
    assert len(spark(list(range(1000)))) == 40
    assert spark([]) == ""
