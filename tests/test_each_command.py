"""Each command on each task, with the weights that are shipped: what is printed is what the library says."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys import document, run

import zoo
import zoo_weights
from zoo.registry import installed
from zoo.units import format_metric

Capture = pytest.CaptureFixture[str]
SHIPPED = {spec.name: spec for spec in zoo_weights.zoo_weights()}
CPU = ("--device", "cpu")
SPLITS = {"train": 60, "validation": 20, "test": 20}  # rows of each in the files of a user


@dataclass(frozen=True)
class Case:
    """A task with shipped weights, the data that they know, and how a short training goes."""

    weights: str
    data: str
    settings: dict[str, Any]

    @property
    def model(self) -> str:
        return self.weights.rpartition(".")[0]


QUICK = {
    "image-classification": Case("cnn/lenet5.digits", "digits", {"steps": 4, "batch_size": 20}),
    "series-classification": Case("cnn/fcn.control", "control", {"steps": 4, "batch_size": 20}),
    "forecasting": Case("lstm/forecaster.mackey-glass", "mackey-glass", {"steps": 4, "batch_size": 8}),
}
SLOW = {
    "text-classification": Case("cnn/textcnn.snippets", "snippets", {"steps": 4, "batch_size": 20}),
    "language-modeling": Case("transformer/gpt.stdlib", "stdlib", {"steps": 2, "batch_size": 2}),
    "seq2seq": Case("lstm/seq2seq.dates", "dates", {"steps": 2, "batch_size": 8}),
}
CASES = {**QUICK, **SLOW}
TASKS = [pytest.param(task, marks=() if task in QUICK else pytest.mark.slow) for task in CASES]
each_task = pytest.mark.parametrize("task", TASKS)


def test_no_task_is_left_out() -> None:
    assert set(CASES) == set(installed().tasks)


# -- the files of a user ------------------------------------------------------------------------


def rows_of(task: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Rows from all over each split: its name, the row and the columns' values."""
    dataset = zoo.load_dataset(CASES[task].data)
    for split, count in SPLITS.items():
        columns = dataset.splits[split]
        for row in np.linspace(0, dataset.size(split) - 1, count).astype(int).tolist():
            values = {name: columns[name][row] for name in columns}
            if "labels" in values:
                values["label"] = dataset.labels[int(values["labels"])]
            yield split, row, values


def written(task: str, folder: Path) -> Path:
    """The data as a user has it, in files of the kind that is usual for the task."""
    if task == "image-classification":
        for split, row, values in rows_of(task):
            path = folder / "images" / split / values["label"] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(values["images"])[0].astype(np.uint8)).save(path)
        return folder / "images"
    if task == "forecasting":
        series = np.asarray(zoo.load_dataset(CASES[task].data).splits["train"]["series"])[:700, 0]
        lines = [f"{step},{value!r}" for step, value in enumerate(series.tolist())]
        (folder / "series.csv").write_text("\n".join(["time,value", *lines]) + "\n")
        return folder / "series.csv"
    if task == "language-modeling":
        texts = zoo.load_dataset(CASES[task].data).splits["test"]["text"]
        (folder / "book.txt").write_text("".join(texts)[:60_000])
        return folder / "book.txt"
    if task == "series-classification":
        lines = [
            json.dumps({"series": np.asarray(values["series"])[:, 0].tolist(), "label": values["label"]})
            for _, _, values in rows_of(task)
        ]
        (folder / "series.jsonl").write_text("\n".join(lines) + "\n")
        return folder / "series.jsonl"
    names = ("source", "target") if task == "seq2seq" else ("text", "label")
    with (folder / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*names, "split"])
        table.writerows([*(values[name] for name in names), split] for split, _, values in rows_of(task))
    return folder / "table.csv"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture
def files(task: str, folder: Path) -> Path:
    """The data in files, written once."""
    place = folder / task
    if not place.is_dir():
        place.mkdir()
        (place / "where").write_text(str(written(task, place)))
    return Path((place / "where").read_text())


@pytest.fixture
def finished(task: str, files: Path) -> zoo.Run:
    """A short training on these files, done once."""
    place, case = files.parent / "run", CASES[task]
    if not place.is_dir():
        zoo.train(case.model, str(files), output=place, settings=case.settings, device="cpu")
    return zoo.Run.open(place)


# -- evaluate -----------------------------------------------------------------------------------


@each_task
def test_evaluate_tells_what_the_library_measures(task: str, capsys: Capture) -> None:
    case, spec = CASES[task], installed().task(task)
    told = document(capsys, "evaluate", case.weights, "--data", case.data, *CPU)
    found = zoo.evaluate(case.weights, case.data)
    assert (told["model"], told["task"], told["data"]) == (case.weights, task, case.data)
    assert told["samples"] == found.samples
    assert told["metrics"].keys() == found.metrics.keys()
    for name, metric in told["metrics"].items():
        assert metric == pytest.approx(vars(found.metrics[name]))
        assert metric["low"] <= metric["value"] <= metric["high"]
    reached, trivial = told["metrics"][spec.metric]["value"], told["baseline"]["metrics"][spec.metric]
    assert reached == pytest.approx(SHIPPED[case.weights].metrics[spec.metric], rel=0.02)
    assert reached > trivial if spec.maximize else reached < trivial
    assert len(told["worst"]) == 10
    if task.endswith("classification"):
        matrix = np.array(told["confusion"]["matrix"])
        assert matrix.sum() == told["samples"]
        assert matrix.trace() / matrix.sum() == pytest.approx(told["metrics"]["accuracy"]["value"])
        assert told["confusion"]["labels"] == list(SHIPPED[case.weights].labels)
        calibration = told["calibration"]
        shares = [each["count"] / told["samples"] for each in calibration["bins"]]
        gaps = [abs(each["confidence"] - each["accuracy"]) for each in calibration["bins"]]
        assert calibration["ece"] == pytest.approx(float(np.dot(shares, gaps)), abs=1e-5)


@each_task
def test_evaluate_reads_the_files_of_a_user(task: str, files: Path, capsys: Capture) -> None:
    case, spec = CASES[task], installed().task(task)
    status, out, err = run(capsys, "evaluate", case.weights, "--data", str(files), *CPU)
    assert status == 0, err
    found = zoo.evaluate(case.weights, str(files))
    value, trivial = found.metrics[spec.metric].value, found.baseline.metrics[spec.metric]
    assert format_metric(value, spec.unit) in out
    assert f"{case.weights} on {found.samples:,} samples of " in out
    assert value > trivial if spec.maximize else value < trivial
    if task.endswith("classification"):
        assert f"expected calibration error {found.classes.calibration.error:.1%}" in out  # type: ignore[union-attr]


def test_answers_to_files_are_counted_as_they_are_predicted(folder: Path, capsys: Capture) -> None:
    (folder / "counted").mkdir()
    images = written("image-classification", folder / "counted")
    told = document(capsys, "evaluate", "cnn/lenet5.digits", "--data", str(images), *CPU)
    paths = sorted((images / "test").rglob("*.png"))
    answers = [record["label"] for record in zoo.predict("cnn/lenet5.digits", paths)]
    right = sum(answer == path.parent.name for answer, path in zip(answers, paths, strict=True))
    assert told["metrics"]["accuracy"]["value"] == pytest.approx(right / len(paths))
    assert told["samples"] == len(paths) == SPLITS["test"]


# -- predict ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task",
    [*(name for name in QUICK if name != "forecasting"), pytest.param("seq2seq", marks=pytest.mark.slow)],
)
def test_predict_is_right_about_a_data_set_as_often_as_evaluate_says(
    task: str, tmp_path: Path, capsys: Capture
) -> None:
    case, spec = CASES[task], installed().task(task)
    out = tmp_path / "answers.jsonl"
    status, told, _ = run(capsys, "predict", case.weights, "--data", case.data, "--out", str(out), *CPU)
    columns = zoo.load_dataset(case.data)
    test = columns.splits["test"]
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert (status, told) == (0, f"written: {out}, {len(records):,} predictions\n")
    assert [record["row"] for record in records] == list(range(1, len(records) + 1))
    true = list(test["target"]) if task == "seq2seq" else [columns.labels[row] for row in test["labels"]]
    answers = [record["text" if task == "seq2seq" else "label"] for record in records]
    share = np.mean([answer == right for answer, right in zip(answers, true, strict=True)])
    assert share == pytest.approx(zoo.evaluate(case.weights, case.data).metrics[spec.metric].value, abs=2e-3)


def test_predict_goes_on_with_a_split_of_a_series(capsys: Capture) -> None:
    case = CASES["forecasting"]
    options = ("--data", case.data, "--split", "validation", "--json", *CPU)
    status, out, _ = run(capsys, "predict", case.weights, *options)
    (record,) = map(json.loads, out.splitlines())
    series = np.asarray(zoo.load_dataset(case.data).splits["validation"]["series"])[:, 0]
    (expected,) = zoo.predict(case.weights, " ".join(map(str, series.tolist())))
    assert (status, record["item"]) == (0, "mackey-glass (validation)")
    np.testing.assert_allclose(record["forecast"], expected["forecast"], rtol=1e-5)


@pytest.mark.slow
def test_predict_writes_on_as_the_library_does(capsys: Capture) -> None:
    weights, options = CASES["language-modeling"].weights, ("--length", "12", "--seed", "3", "--json", *CPU)
    status, out, _ = run(capsys, "predict", weights, "def main", *options)
    (record,) = map(json.loads, out.splitlines())
    (expected,) = zoo.predict(weights, "def main", length=12, seed=3)
    assert (status, record["prompt"], record["text"]) == (0, "def main", expected["text"])


@pytest.mark.slow
def test_predict_reads_the_texts_of_a_split(capsys: Capture) -> None:
    case = CASES["text-classification"]
    texts = zoo.load_dataset(case.data).splits["validation"]["text"]
    options = ("--data", case.data, "--split", "validation", "--json", *CPU)
    status, out, _ = run(capsys, "predict", case.weights, *options)
    records = [json.loads(line) for line in out.splitlines()]
    assert (status, len(records)) == (0, len(texts))
    expected = zoo.predict(case.weights, list(texts[:50]))
    assert [record["label"] for record in records[:50]] == [record["label"] for record in expected]


def test_a_split_is_of_a_data_set_by_name(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "t.csv").write_text("text\nimport os\n")
    asked = ("predict", "cnn/textcnn.snippets", "--data")
    status, out, err = run(capsys, *asked, str(tmp_path / "t.csv"), "--split", "test", *CPU)
    assert (status, out) == (1, "")
    assert "is no data set by name, so it has no split 'test'; leave that out" in err
    status, _, err = run(capsys, "predict", "cnn/lenet5.digits", "--data", "digits", "--split", "tests", *CPU)
    assert err == "zoo: data 'digits' has no split 'tests'; it has: train, validation, test\n"
    status, _, err = run(capsys, *asked, "digits", *CPU)
    assert err == (
        "zoo: cnn/textcnn.snippets does text-classification; data 'digits' is for image-classification\n"
    )


# -- explain ------------------------------------------------------------------------------------


@each_task
def test_explain_tells_what_the_library_finds(task: str, tmp_path: Path, capsys: Capture) -> None:
    case = CASES[task]
    item = str(tmp_path / ("item.png" if task == "image-classification" else "item.txt"))
    if task == "language-modeling":
        item = "import o"
    else:
        assert run(capsys, "datasets", "sample", case.data, "--output", item)[0] == 0
    if task in ("text-classification", "seq2seq"):
        item = Path(item).read_text()
    if task == "forecasting":
        series = np.asarray(zoo.load_dataset(case.data).splits["test"]["series"])[:, 0]
        item = " ".join(map(str, series.tolist()))
    told = document(capsys, "explain", case.weights, item, *CPU)
    found = zoo.explain(case.weights, item)
    assert (told["task"], told["answer"]) == (task, found.answer)
    np.testing.assert_allclose(told["relevance"], found.relevance, atol=1e-4)
    assert -1 <= told["sanity"]["correlation"] <= 1
    assert np.abs(told["relevance"]).max() > 0
    if task.endswith("classification"):
        (record,) = zoo.predict(case.weights, item)
        assert told["answer"] == f"{record['label']} ({record['probability']:.1%})"


# -- export -------------------------------------------------------------------------------------


@each_task
def test_export_measures_what_bf16_changes(task: str, tmp_path: Path, capsys: Capture) -> None:
    case, spec = CASES[task], installed().task(task)
    output = tmp_path / "less.safetensors"
    options = ("--format", "safetensors", "--precision", "bf16", "--output", str(output))
    told = document(capsys, "export", case.weights, *options)
    before, after = told["before"], told["after"]
    assert before["bytes"] == SHIPPED[case.weights].bytes
    assert after["bytes"] == told["bytes"] == output.stat().st_size < 0.56 * before["bytes"]
    assert (before["metric"], after["metric"]) == (spec.metric, spec.metric)
    assert after["value"] == pytest.approx(before["value"], rel=0.03)
    assert min(before["milliseconds"], after["milliseconds"]) > 0
    if before["scored"] < 1000:
        assert before["value"] == pytest.approx(
            zoo.evaluate(case.weights, case.data).metrics[spec.metric].value
        )
    again = zoo.evaluate(zoo.load(case.model, weights=str(output)), case.data)
    if after["scored"] < 1000:
        assert again.metrics[spec.metric].value == pytest.approx(after["value"])


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=() if task.startswith("image") else pytest.mark.slow) for task in CASES]
)
def test_export_measures_what_int8_changes(task: str, tmp_path: Path, capsys: Capture) -> None:
    case = CASES[task]
    output = tmp_path / "less.onnx"
    told = document(capsys, "export", case.weights, "--precision", "int8", "--output", str(output))
    before, after = told["before"], told["after"]
    assert after["bytes"] == output.stat().st_size < 0.6 * before["bytes"]
    assert after["value"] == pytest.approx(before["value"], rel=0.15)
    assert 0 < told["difference"] < 0.5
    assert told["tolerance"] is None


# -- diagnose and runs --------------------------------------------------------------------------


@each_task
def test_runs_show_tells_what_the_training_reached(task: str, finished: zoo.Run, capsys: Capture) -> None:
    spec = installed().task(task)
    told = document(capsys, "runs", "show", str(finished.path))
    assert told["metrics"] == pytest.approx(dict(finished.metrics))
    assert told["history"] == finished.history
    assert told["problem"]["task"] == task
    status, out, _ = run(capsys, "runs", "show", str(finished.path))
    assert status == 0
    assert format_metric(finished.metrics[spec.metric], spec.unit) in out


@each_task
def test_a_run_is_judged_on_its_own_data(task: str, finished: zoo.Run, capsys: Capture) -> None:
    told = document(capsys, "evaluate", str(finished.path), *CPU)
    assert {name: metric["value"] for name, metric in told["metrics"].items()} == pytest.approx(
        dict(finished.metrics), rel=1e-3, abs=1e-4
    )


@each_task
def test_diagnose_measures_the_run_as_its_training_did(task: str, finished: zoo.Run, capsys: Capture) -> None:
    spec = installed().task(task)
    told = document(capsys, "diagnose", str(finished.path), *CPU)
    assert told["metric"] == spec.metric
    assert told["metrics"].keys() == SPLITS.keys()
    assert told["metrics"]["test"]["value"] == pytest.approx(
        finished.metrics[spec.metric], rel=1e-3, abs=1e-4
    )
    assert "underfitting" in told["checks"]
    assert all(finding["command"].startswith("zoo ") for finding in told["findings"])


@each_task
def test_the_report_holds_the_metric_and_goes_with_the_run(
    task: str, finished: zoo.Run, tmp_path: Path, capsys: Capture
) -> None:
    spec = installed().task(task)
    copy = tmp_path / "run"
    shutil.copytree(finished.path, copy)
    page = copy / "report.html"
    status, _, err = run(capsys, "runs", "report", str(copy), "--output", str(page), *CPU)
    assert (status, err) == (0, f"{page}: the report\n")
    assert format_metric(finished.metrics[spec.metric], spec.unit) in page.read_text()
    (copy / "notes.html").write_text("<p>mine</p>")
    status, _, err = run(capsys, "runs", "remove", "--yes", str(copy))
    assert status == 1
    assert "holds 'notes.html'" in err
    (copy / "notes.html").unlink()
    assert run(capsys, "runs", "remove", "--yes", str(copy))[0] == 0
    assert not copy.exists()


def test_a_report_asks_about_each_sample_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo import evaluation
    from zoo.report import write_report

    settings = {"steps": 2, "batch_size": 8}
    made = zoo.train("cnn/fcn", "cbf", output=tmp_path / "run", settings=settings, device="cpu")
    asked: list[int] = []
    plain = evaluation._answers

    def counted(model: Any, split: Any, *others: Any) -> Any:
        for output, batch in plain(model, split, *others):
            asked.append(len(output))
            yield output, batch

    monkeypatch.setattr(evaluation, "_answers", counted)
    write_report(made, tmp_path / "report.html")
    data = zoo.load_dataset("cbf")
    assert sum(asked) == sum(data.size(split) for split in SPLITS)


# -- what a user may get wrong, from the shell ----------------------------------------------------


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """A run folder without its weights."""
    made = zoo.train("cnn/fcn", "cbf", output=tmp_path / "half", settings={"steps": 2}, device="cpu")
    (made.path / "model.safetensors").unlink()
    return made.path


def one_line(capsys: Capture, *arguments: str) -> str:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("zoo: ")
    assert err.count("\n") == 1
    return err


def test_half_a_run_folder_is_one_line_to_every_command(half: Path, tmp_path: Path, capsys: Capture) -> None:
    item, page = "1 2 3", str(tmp_path / "report.html")
    for words in (
        ("evaluate", str(half), *CPU),
        ("predict", str(half), item, *CPU),
        ("explain", str(half), item, *CPU),
        ("export", str(half), "--output", str(tmp_path / "model.onnx")),
        ("runs", "report", str(half), "--output", page, *CPU),
    ):
        assert f"{str(half)!r} has no weights yet; go on with: zoo train --resume {half}" in one_line(
            capsys, *words
        )
    assert run(capsys, "runs", "show", str(half))[0] == 0
    status, _, err = run(capsys, "diagnose", str(half), *CPU)
    assert (status, err) == (0, "diagnose: only its course was judged: it has no weights yet\n")
    (half / "run.json").write_text('{"model": "cnn/f')
    for command in (("evaluate",), ("export",), ("diagnose",), ("runs", "show")):
        assert f"{str(half / 'run.json')!r} is damaged" in one_line(capsys, *command, str(half))
    assert sorted(path.name for path in tmp_path.glob("*.*")) == []


def test_a_model_without_weights_is_one_line_to_every_command(tmp_path: Path, capsys: Capture) -> None:
    for words in (
        ("evaluate", "cnn/lenet5", "--data", "digits", *CPU),
        ("predict", "cnn/lenet5", "digit.png", *CPU),
        ("explain", "cnn/lenet5", "digit.png", *CPU),
        ("export", "cnn/lenet5", "--output", str(tmp_path / "model.onnx")),
    ):
        assert "cnn/lenet5 has no weights loaded; say cnn/lenet5.TAG" in one_line(capsys, *words)
    assert "has no run.json, so it is no run folder" in one_line(capsys, "diagnose", str(tmp_path))


def test_data_of_another_task_is_one_line_to_every_command(tmp_path: Path, capsys: Capture) -> None:
    for words in (
        ("evaluate", "cnn/lenet5.digits", "--data", "cbf", *CPU),
        ("predict", "cnn/lenet5.digits", "--data", "cbf", *CPU),
        ("export", "cnn/lenet5.digits", "--data", "cbf", "--output", str(tmp_path / "model.onnx")),
    ):
        assert "does image-classification; data 'cbf' is for series-classification" in one_line(
            capsys, *words
        )


def test_missing_columns_are_one_line(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "t.csv").write_text("alpha,beta\n" + "1,x\n2,y\n" * 10)
    table = str(tmp_path / "t.csv")
    told = one_line(
        capsys, "evaluate", "cnn/textcnn.snippets", "--data", table, "--columns", "text=gone", *CPU
    )
    assert "no column 'gone' for text" in told
    told = one_line(capsys, "predict", "cnn/lenet5.digits", "--data", table, *CPU)
    assert "has the columns alpha, beta; which of them is the image" in told


def test_an_unreadable_image_among_a_thousand_is_named_and_the_rest_is_done(
    tmp_path: Path, capsys: Capture
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("L", (8, 8), 90).save(images / "0000.png")
    for number in range(1, 1000):
        shutil.copyfile(images / "0000.png", images / f"{number:04}.png")
    (images / "0500.png").write_bytes(b"no image")
    out = tmp_path / "answers.csv"
    status, _, err = run(capsys, "predict", "cnn/lenet5.digits", str(images), "--out", str(out), *CPU)
    assert status == 1
    assert err.splitlines() == [
        f"zoo: '{images / '0500.png'}' cannot be read as an image: it is no image",
        "zoo: 1 of 1,000 items cannot be read; the others are done",
    ]
    with out.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 999
