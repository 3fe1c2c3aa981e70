"""Every kind of source, written as a user would have it, read and trained on as `zoo train` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

import zoo
from zoo import api
from zoo.data.dataset import SPLITS, Dataset
from zoo.data.roles import parse_columns
from zoo.data.sources import FILES

COUNT = 24  # samples, half of each class
NAMES = ("ham", "spam")
LABELS = [NAMES[number % 2] for number in range(COUNT)]
TEXTS = [f"{label} number {number}" for number, label in enumerate(LABELS)]
BOOK = "".join(f"line {number} of a book\n" for number in range(200))
RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(COUNT, 16)).astype(np.float32)
PIXELS = RNG.integers(256, size=(COUNT, 8, 8, 3), dtype=np.uint8)
WALK = RNG.normal(size=(120, 2)).cumsum(axis=0)
MODELS = {  # that train a step in a moment
    "image-classification": "cnn/lenet5",
    "text-classification": "cnn/textcnn",
    "language-modeling": "lstm/language_model",
    "seq2seq": "lstm/seq2seq",
    "series-classification": "cnn/fcn",
    "forecasting": "cnn/tcn",
}
SMALL = {"lstm/language_model": {"length": 16}, "lstm/seq2seq": {}}
Write = Callable[[Path], Path | str]


def write_lines(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_csv(path: Path, columns: dict[str, Any], separator: str = ",") -> Path:
    rows = zip(*columns.values(), strict=True)
    return write_lines(path, [separator.join(columns), *(separator.join(map(str, row)) for row in rows)])


def write_jsonl(path: Path, columns: dict[str, Any]) -> Path:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return write_lines(path, [json.dumps(row) for row in rows])


def write_images(root: Path, pixels: np.ndarray = PIXELS, labels: list[str] | None = None) -> Path:
    """`root/LABEL/NUMBER.png`, or loose files without labels."""
    for number, image in enumerate(pixels):
        path = root / labels[number] / f"{number}.png" if labels else root / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return root


def class_folders(root: Path) -> Path:
    return write_images(root / "pets", labels=LABELS)


def split_folders(root: Path) -> Path:
    for split, rows in {"train": slice(0, 16), "val": slice(16, 20), "test": slice(20, 24)}.items():
        write_images(root / "pets" / split, PIXELS[rows], LABELS[rows])
    return root / "pets"


def images_beside_csv(root: Path) -> Path:
    write_images(root / "pets" / "photos")
    files = [f"photos/{number}.png" for number in range(COUNT)]
    write_csv(root / "pets" / "labels.csv", {"path": files, "label": LABELS})
    return root / "pets"


def images_in_jsonl(root: Path) -> Path:
    write_images(root / "photos")
    files = [f"photos/{number}.png" for number in range(COUNT)]
    return write_jsonl(root / "pets.jsonl", {"file_name": files, "species": LABELS})


def images_by_split_column(root: Path) -> Path:
    write_images(root)
    splits = ["train"] * 16 + ["dev"] * 4 + ["test"] * 4
    files = [f"{number}.png" for number in range(COUNT)]
    return write_csv(root / "pets.csv", {"image": files, "label": LABELS, "split": splits})


def pixels_npz(root: Path) -> Path:
    parts = {"train": slice(0, 16), "val": slice(16, 20), "test": slice(20, 24)}
    numbers = np.arange(COUNT)[:, None] % 2  # as MedMNIST has them
    arrays = {f"{split}_images": PIXELS[rows] for split, rows in parts.items()}
    arrays |= {f"{split}_labels": numbers[rows] for split, rows in parts.items()}
    np.savez(root / "pets.npz", **arrays)
    return root / "pets.npz"


def keras_npz(root: Path) -> Path:
    grey, numbers = PIXELS[..., 0], np.arange(COUNT) % 2
    np.savez(root / "d.npz", x_train=grey[:18], y_train=numbers[:18], x_test=grey[18:], y_test=numbers[18:])
    return root / "d.npz"


def text_folders(root: Path) -> Path:
    for split, rows in {"train": slice(0, 16), "test": slice(16, 24)}.items():
        for number, (text, label) in enumerate(zip(TEXTS[rows], LABELS[rows], strict=True)):
            write_lines(root / "mail" / split / label / f"{number}.txt", [text])
    return root / "mail"


def documents(root: Path) -> Path:
    for number in range(COUNT):
        write_lines(root / "books" / f"{number}.txt", [BOOK[:400]])
    return root / "books"


def parquet(root: Path) -> Path:
    pyarrow.parquet.write_table(pa.table({"text": TEXTS, "label": LABELS}), root / "mail.parquet")
    return root / "mail.parquet"


def arrow(root: Path, stream: bool = False) -> Path:
    table = pa.table({"text": TEXTS, "label": pa.array(LABELS).dictionary_encode()})
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(root / "mail.arrow"), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table)
    return root / "mail.arrow"


def ucr(root: Path) -> Path:
    for part, rows in {"TRAIN": slice(0, 16), "TEST": slice(16, 24)}.items():
        lines = ["\t".join([str(number % 2 + 1), *map(str, SERIES[number])]) for number in range(COUNT)[rows]]
        write_lines(root / "Waves" / f"Waves_{part}.tsv", lines)
    return root / "Waves"


def uea(root: Path) -> Path:
    head = ["# a comment", "@problemName Waves", "@timeStamps false", "@univariate false", "@dimensions 2"]
    for part, rows in {"TRAIN": slice(0, 16), "TEST": slice(16, 24)}.items():
        lines = [*head, "@classLabel true ham spam", "@data"]
        for row, label in zip(SERIES[rows], LABELS[rows], strict=True):
            channels = (",".join(map(str, row)), ",".join(map(str, -row)))
            lines.append(":".join([*channels, label]))
        write_lines(root / "Waves" / f"Waves_{part}.ts", lines)
    return root / "Waves" / "Waves_TRAIN.ts"


def wide_series(root: Path) -> Path:
    columns = {f"t{step}": SERIES[:, step] for step in range(16)}
    columns["label"] = [NAMES.index(label) for label in LABELS]
    return write_csv(root / "waves.csv", columns)


def long_series(root: Path) -> Path:
    rows = [(number, step) for step in reversed(range(16)) for number in range(COUNT)]
    columns = {
        "series_id": [number for number, _ in rows],
        "step": [step for _, step in rows],
        "value": [SERIES[number, step] for number, step in rows],
        "label": [LABELS[number] for number, _ in rows],
    }
    return write_csv(root / "waves.csv", columns)


def listed_series(root: Path) -> Path:
    return write_jsonl(root / "waves.jsonl", {"series": SERIES.tolist(), "label": LABELS})


def series_npy(root: Path) -> Path:
    (root / "waves").mkdir()
    np.save(root / "waves" / "x.npy", SERIES[:, :, None])
    np.save(root / "waves" / "y.npy", np.array(LABELS))
    return root / "waves"


def hours(root: Path) -> Path:
    times = [f"2024-01-{1 + hour // 24:02} {hour % 24:02}:00:00" for hour in range(len(WALK))]
    return write_csv(root / "load.csv", {"date": times, "north": WALK[:, 0], "south": WALK[:, 1]})


def long_walks(root: Path) -> Path:
    rows = [(step, number) for step in range(len(WALK)) for number in range(2)]
    columns = {
        "unique_id": [f"walk {number}" for _, number in rows],
        "ds": [step for step, _ in rows],
        "y": [WALK[step, number] for step, number in rows],
    }
    return write_csv(root / "walks.csv", columns)


def walk_npy(root: Path) -> Path:
    np.save(root / "walk.npy", WALK)
    return root / "walk.npy"


def saved(root: Path) -> Path:
    import datasets

    datasets.disable_progress_bars()
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=list(NAMES)))
    columns = {"text": TEXTS, "label": [NAMES.index(label) for label in LABELS]}
    whole = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(whole.train_test_split(8, seed=0)).save_to_disk(str(root / "mail"))
    return root / "mail"


def saved_images(root: Path) -> Path:
    import datasets

    datasets.disable_progress_bars()
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=list(NAMES)))
    columns = {"image": list(map(Image.fromarray, PIXELS)), "label": [NAMES.index(name) for name in LABELS]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(root / "pets"))
    return root / "pets"


PAIRS = {"source": [f"{number}" for number in range(COUNT)], "target": TEXTS}
MAIL = {"text": TEXTS, "label": LABELS}
SOURCES: dict[str, tuple[Write, str]] = {
    "class folders of images": (class_folders, "image-classification"),
    "class folders under splits": (split_folders, "image-classification"),
    "a folder of images beside a CSV": (images_beside_csv, "image-classification"),
    "JSON lines that name images": (images_in_jsonl, "image-classification"),
    "a CSV of images with a column for the split": (images_by_split_column, "image-classification"),
    "npz of images by split": (pixels_npz, "image-classification"),
    "npz of grey images as Keras has them": (keras_npz, "image-classification"),
    "saved data set of images": (saved_images, "image-classification"),
    "CSV of texts": (lambda root: write_csv(root / "m.csv", MAIL), "text-classification"),
    "TSV of texts": (lambda root: write_csv(root / "m.tsv", MAIL, "\t"), "text-classification"),
    "JSON lines of texts": (lambda root: write_jsonl(root / "m.jsonl", MAIL), "text-classification"),
    "Parquet of texts": (parquet, "text-classification"),
    "Arrow file of texts": (arrow, "text-classification"),
    "Arrow stream of texts": (lambda root: arrow(root, stream=True), "text-classification"),
    "class folders of texts": (text_folders, "text-classification"),
    "saved data set of texts": (saved, "text-classification"),
    "CSV of pairs": (lambda root: write_csv(root / "p.csv", PAIRS), "seq2seq"),
    "JSON lines of pairs": (lambda root: write_jsonl(root / "p.jsonl", PAIRS), "seq2seq"),
    "a text file": (lambda root: write_lines(root / "book.txt", [BOOK]), "language-modeling"),
    "a folder of texts": (documents, "language-modeling"),
    "CSV of documents": (lambda root: write_csv(root / "d.csv", {"text": TEXTS}), "language-modeling"),
    "wide CSV of series": (wide_series, "series-classification"),
    "long CSV of series": (long_series, "series-classification"),
    "JSON lines of series": (listed_series, "series-classification"),
    "npy of series": (series_npy, "series-classification"),
    "UCR archive": (ucr, "series-classification"),
    "UEA archive": (uea, "series-classification"),
    "wide CSV of a forecast": (hours, "forecasting"),
    "long CSV of a forecast": (long_walks, "forecasting"),
    "npy of a forecast": (walk_npy, "forecasting"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_read_and_trained_on(tmp_path: Path, name: str) -> None:
    write, task = SOURCES[name]
    source = str(write(tmp_path))
    model = MODELS[task]
    settings = {"steps": 2, "batch_size": 4, **SMALL.get(model, {})}
    dataset = zoo.load_dataset(source)
    assert dataset.problem.task == task
    run = zoo.train(model, source, output=tmp_path / "run", settings=settings, device="cpu")
    assert run.record.state == "finished"
    assert run.record.data["fingerprint"] == dataset.fingerprint()
    assert run.record.data["split"]


def test_every_format_of_a_file_is_tried_above() -> None:
    tried = {".csv", ".tsv", ".jsonl", ".parquet", ".arrow", ".txt", ".npy", ".npz", ".ts"}
    assert FILES.keys() - tried == {".ndjson", ".json", ".md"}  # other names for the same


# -- what is read is what was written ---------------------------------------------------------


def samples(dataset: Dataset, column: str) -> Iterator[tuple[Any, str]]:
    for split in SPLITS:
        columns = dataset.splits[split]
        for value, label in zip(columns[column], columns["labels"], strict=True):
            yield value, dataset.labels[int(label)]


@pytest.mark.parametrize("name", [name for name, (_, task) in SOURCES.items() if task.startswith("text")])
def test_texts_keep_their_labels(tmp_path: Path, name: str) -> None:
    found = {
        (text.strip(), label)
        for text, label in samples(zoo.load_dataset(str(SOURCES[name][0](tmp_path))), "text")
    }
    assert found == set(zip(TEXTS, LABELS, strict=True))


@pytest.mark.parametrize("name", [name for name, (_, task) in SOURCES.items() if task.startswith("image")])
def test_images_keep_their_labels(tmp_path: Path, name: str) -> None:
    dataset = zoo.load_dataset(str(SOURCES[name][0](tmp_path)))
    names = dict(zip(dataset.labels, NAMES, strict=True))
    grey = dataset.problem.input.channels == 1  # type: ignore[union-attr]
    written = PIXELS[..., :1] if grey else PIXELS
    expected = {
        (image.transpose(2, 0, 1).tobytes(), label) for image, label in zip(written, LABELS, strict=True)
    }
    assert {(image.tobytes(), names[label]) for image, label in samples(dataset, "images")} == expected


@pytest.mark.parametrize("name", [name for name, (_, task) in SOURCES.items() if task.startswith("series")])
def test_series_keep_their_labels(tmp_path: Path, name: str) -> None:
    dataset = zoo.load_dataset(str(SOURCES[name][0](tmp_path)))
    names = dict(zip(dataset.labels, NAMES, strict=True))
    found = sorted((series[:, 0].tolist(), names[label]) for series, label in samples(dataset, "series"))
    expected = sorted((row.tolist(), label) for row, label in zip(SERIES, LABELS, strict=True))
    np.testing.assert_allclose([row for row, _ in found], [row for row, _ in expected], rtol=1e-6)
    assert [label for _, label in found] == [label for _, label in expected]


@pytest.mark.parametrize("name", [name for name, (_, task) in SOURCES.items() if task == "forecasting"])
def test_a_forecast_is_split_in_time_and_sees_what_came_before(tmp_path: Path, name: str) -> None:
    dataset = zoo.load_dataset(str(SOURCES[name][0](tmp_path)))
    history = dataset.problem.input.length  # type: ignore[union-attr]
    parts = [np.asarray(dataset.splits[split]["series"]) for split in SPLITS]
    np.testing.assert_allclose(parts[0], WALK[:84], rtol=1e-5)
    np.testing.assert_allclose(parts[1], WALK[84 - history : 102], rtol=1e-5)
    np.testing.assert_allclose(parts[2], WALK[102 - history :], rtol=1e-5)


def test_a_forecast_sees_and_gives_as_many_steps_as_the_user_says(tmp_path: Path) -> None:
    source = str(hours(tmp_path))
    dataset = zoo.load_dataset(source, history=30, horizon=5)
    assert (dataset.problem.input.length, dataset.problem.output.length) == (30, 5)  # type: ignore[union-attr]
    run = zoo.train("cnn/tcn", dataset, output=tmp_path / "run", settings={"steps": 1}, device="cpu")
    assert run.record.problem == dataset.problem
    assert api.data_of(run.path).problem == dataset.problem
    command = zoo.recommend(data=dataset, device="cpu").recommendations[0].command
    assert command.endswith(f"--data {source} --history 30 --horizon 5")


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ({"horizon": 50}, "has 18 steps to test on; a horizon of 50 is too long"),
        ({"history": 82, "horizon": 6}, "84 steps to train on; a history of 82 before a horizon of 6"),
    ],
)
def test_a_forecast_longer_than_its_series_is_one_line(
    tmp_path: Path, steps: dict[str, int], told: str
) -> None:
    with pytest.raises(zoo.DataError, match=told):
        zoo.load_dataset(str(hours(tmp_path)), **steps)


def test_texts_have_no_horizon(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "mail.csv", {"text": TEXTS, "label": LABELS})
    with pytest.raises(zoo.DataError, match="--history and --horizon are for forecasting, not for text-clas"):
        zoo.load_dataset(str(source), horizon=3)


def test_hours_have_a_season_of_a_day(tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(hours(tmp_path)))
    assert dataset.season == 24
    assert dataset.reading
    assert any("a season is taken to have 24 steps" in line for line in dataset.reading.told)


def test_given_splits_stay_as_they_are(tmp_path: Path) -> None:
    for write in (split_folders, images_by_split_column, pixels_npz):
        (tmp_path / write.__name__).mkdir()
        dataset = zoo.load_dataset(str(write(tmp_path / write.__name__)))
        assert [dataset.size(split) for split in SPLITS] == [16, 4, 4]
        assert dataset.reading
        assert dataset.reading.split == "as given"


# -- which column is what ---------------------------------------------------------------------


def test_columns_are_what_the_user_says(tmp_path: Path) -> None:
    write_images(tmp_path)
    files = [f"{number}.png" for number in range(COUNT)]
    table = {"id": range(COUNT), "photo": files, "species": LABELS, "sex": ["m", "f", "f"] * 8}
    write_csv(tmp_path / "pets.csv", table)
    columns = parse_columns(["image=photo,label=species"])
    dataset = zoo.load_dataset(str(tmp_path / "pets.csv"), columns=columns)
    assert dataset.labels == NAMES
    other = zoo.load_dataset(str(tmp_path / "pets.csv"), columns={"image": "photo", "label": "sex"})
    assert other.labels == ("f", "m")
    with pytest.raises(
        zoo.DataError, match=r"has the columns id, photo, species, sex; expected text and label"
    ):
        zoo.load_dataset(str(tmp_path / "pets.csv"))


def test_pixels_may_be_fractions_and_channels_first(tmp_path: Path) -> None:
    numbers = np.arange(COUNT) % 2
    np.savez(tmp_path / "grey.npz", x=PIXELS[..., 0] / 255.0, y=numbers)
    grey = zoo.load_dataset(str(tmp_path / "grey.npz"), task="image-classification")
    assert {image.tobytes() for image, _ in samples(grey, "images")} == {
        image.tobytes() for image in PIXELS[..., 0]
    }
    np.savez(tmp_path / "colour.npz", images=PIXELS.transpose(0, 3, 1, 2).astype(np.float32), labels=numbers)
    colour = zoo.load_dataset(str(tmp_path / "colour.npz"))
    assert colour.problem.input == zoo.ImageInput(channels=3, height=8, width=8)
    np.savez(tmp_path / "normal.npz", images=PIXELS - 300.0, labels=numbers)
    with pytest.raises(zoo.DataError, match=r"pixels between -300 and -45; expected 0 to 255, or 0 to 1"):
        zoo.load_dataset(str(tmp_path / "normal.npz"))


def test_what_was_guessed_is_said(tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(images_in_jsonl(tmp_path)))
    assert dataset.reading
    assert dataset.reading.told[0] == (
        "image-classification, with image=file_name, label=species "
        "(guessed; say otherwise with --columns and --task)"
    )


def test_a_task_may_be_chosen(tmp_path: Path) -> None:
    source = str(write_csv(tmp_path / "mail.csv", MAIL))
    assert zoo.load_dataset(source, task="language-modeling").problem.task == "language-modeling"
    iris = {"label": LABELS, "width": SERIES[:, 0], "height": SERIES[:, 1]}
    table = str(write_csv(tmp_path / "iris.csv", iris))
    with pytest.raises(zoo.DataError, match="are steps of series, say --task series-classification"):
        zoo.load_dataset(table)
    chosen = zoo.load_dataset(table, task="series-classification")
    assert chosen.problem.input == zoo.SeriesInput(channels=1, length=2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": {"label": "labl"}}, "no column 'labl' for label; did you mean 'label'?"),
        (
            {"columns": {"text": "a", "label": "b"}},
            "no column 'a' for text; it has: text, label; no column 'b'",
        ),
        ({"task": "seq2seq"}, "which of them is the source? say --columns source=NAME"),
        ({"task": "detection"}, "files cannot be read for task 'detection'; known: image-classification"),
        ({"group_by": "owner"}, "no column 'owner' for group"),
        ({"task": "forecasting"}, "which of them is the value?"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    source = str(write_csv(tmp_path / "mail.csv", MAIL))
    with pytest.raises(zoo.DataError) as caught:
        zoo.load_dataset(source, **options)
    assert told in str(caught.value)


def test_every_fault_of_the_columns_is_told_at_once() -> None:
    with pytest.raises(zoo.SpecError) as caught:
        parse_columns(["image", "lable=x,text=t"])
    assert str(caught.value) == (
        "--columns: 2 faults: 'image' is not of the form role=column; "
        "unknown role 'lable'; did you mean 'label'?"
    )


def test_a_data_set_by_name_has_no_columns_and_one_task() -> None:
    with pytest.raises(zoo.DataError, match="is for image-classification, not for seq2seq"):
        zoo.load_dataset("digits", task="seq2seq")
    with pytest.raises(zoo.DataError, match="is read in one way only; leave out --columns"):
        zoo.load_dataset("digits", group_by="writer")


# -- groups -----------------------------------------------------------------------------------


def test_rows_of_a_group_stay_together(tmp_path: Path) -> None:
    owners = [f"owner {number // 3}" for number in range(60)]
    texts = [f"{owner}: {number}" for number, owner in enumerate(owners)]
    mail = {"text": texts, "label": [NAMES[number % 2] for number in range(60)], "owner": owners}
    dataset = zoo.load_dataset(str(write_csv(tmp_path / "mail.csv", mail)), group_by="owner")
    found = {split: {text.split(":")[0] for text in dataset.splits[split]["text"]} for split in SPLITS}
    assert found["train"] | found["validation"] | found["test"] == set(owners)
    assert not found["train"] & found["test"]
    assert not found["train"] & found["validation"]
    assert not found["validation"] & found["test"]
    assert sum(map(dataset.size, SPLITS)) == 60
    assert dataset.reading
    assert "whole groups" in dataset.reading.split


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    mail = {**MAIL, "owner": ["ann", "bob"] * 12}
    with pytest.raises(zoo.DataError, match="has 2 groups; at least 3 are needed to keep them whole"):
        zoo.load_dataset(str(write_csv(tmp_path / "mail.csv", mail)), group_by="owner")


# -- the hub ----------------------------------------------------------------------------------

ROWS = [f"{text},{label}" for text, label in zip(TEXTS, LABELS, strict=True)]
HUB_FILES = {"README.md": "# mail\n", "train.csv": "\n".join(["text,label", *ROWS]) + "\n"}
REPO = "/api/datasets/owner/mail"


@pytest.fixture
def mail_on_the_hub() -> Iterator[hub.Server]:
    """As much of the hub as `datasets` asks for: one data set, `owner/mail`."""
    files = {f"/datasets/owner/mail/resolve/*/{name}": text.encode() for name, text in HUB_FILES.items()}
    entries = [{"type": "file", "path": n, "size": len(c), "oid": hub.COMMIT} for n, c in HUB_FILES.items()]
    repository = json.dumps({"id": "owner/mail", "sha": hub.COMMIT, "siblings": []}).encode()
    files |= {
        REPO: repository,
        f"{REPO}/revision/main": repository,
        f"{REPO}/revision/{hub.COMMIT}": repository,
    }
    files[f"{REPO}/tree/{hub.COMMIT}"] = json.dumps(entries).encode()
    with hub.serving(files) as server:
        yield server


def test_a_data_set_on_the_hub_is_fetched_once_and_read_offline(mail_on_the_hub: hub.Server) -> None:
    asked = mail_on_the_hub.asked
    here = {"HF_ENDPOINT": mail_on_the_hub.url, "HF_HUB_OFFLINE": "0", "ZOO_OFFLINE": "0"}

    def inspected(name: str, **settings: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "zoo", "data", "inspect", name, "--json"]
        environment = {**os.environ, **here, **settings}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    first = inspected("hf://owner/mail")
    assert first.stderr == ""
    document = json.loads(first.stdout)
    assert document["kind"] == "hub data set"
    assert document["classes"]["ham"] == {"train": 8, "validation": 2, "test": 2}
    assert any(request.path.endswith("train.csv") for request in asked)
    asked.clear()
    again = inspected("hf://owner/mail", ZOO_OFFLINE="1")
    assert (again.stdout, again.stderr, asked) == (first.stdout, "", [])
    strange = inspected("hf://owner/absent")
    assert strange.returncode == 1
    assert strange.stderr.startswith("zoo: 'hf://owner/absent' cannot be had: ")
    assert strange.stderr.count("\n") == 1


def test_the_hub_is_out_of_reach_offline() -> None:
    with pytest.raises(zoo.DataError, match="'hf://owner/name' cannot be had: this process is offline"):
        zoo.load_dataset("hf://owner/name")


def test_a_name_on_the_hub_has_an_owner() -> None:
    with pytest.raises(zoo.DataError, match="names no data set; expected hf://OWNER/NAME"):
        zoo.load_dataset("hf://name")


# -- a run knows how its data was read --------------------------------------------------------


def test_a_run_is_judged_and_continued_on_data_read_as_it_was(tmp_path: Path) -> None:
    table = {
        "review": TEXTS,
        "stars": LABELS,
        "text": ["other"] * COUNT,
        "who": [n // 2 for n in range(COUNT)],
    }
    source = str(write_csv(tmp_path / "mail.csv", table))
    columns = {"text": "review", "label": "stars"}
    dataset = zoo.load_dataset(source, columns=columns, group_by="who")
    run = zoo.train("cnn/textcnn", dataset, output=tmp_path / "run", settings={"steps": 1}, device="cpu")
    again = api.data_of(run.path)
    assert again.fingerprint() == dataset.fingerprint()
    assert zoo.evaluate(run.path, again).samples == dataset.size("test")


def test_an_interrupted_run_goes_on_with_data_read_as_it_was(tmp_path: Path) -> None:
    class Stop:
        def __getattr__(self, name: str) -> Any:
            return lambda *told: None

        def step(self, step: Any) -> None:
            raise KeyboardInterrupt

    table = {"review": TEXTS, "stars": LABELS}
    dataset = zoo.load_dataset(
        str(write_csv(tmp_path / "mail.csv", table)), columns={"text": "review", "label": "stars"}
    )
    with pytest.raises(KeyboardInterrupt):
        zoo.train(
            "cnn/textcnn",
            dataset,
            output=tmp_path / "run",
            settings={"steps": 2},
            device="cpu",
            callbacks=[Stop()],
        )
    assert zoo.resume(tmp_path / "run", device="cpu").record.state == "finished"


def test_a_number_for_each_row_is_no_series_and_no_step(tmp_path: Path) -> None:
    walk = {"id": range(len(WALK)), "time": range(len(WALK)), "value": WALK[:, 0]}
    dataset = zoo.load_dataset(str(write_csv(tmp_path / "walk.csv", walk)))
    assert np.asarray(dataset.splits["train"]["series"]).shape == (84, 1)
    waves = {"id": range(COUNT), **{f"t{step}": SERIES[:, step] for step in range(16)}, "label": LABELS}
    wide = zoo.load_dataset(str(write_csv(tmp_path / "waves.csv", waves)))
    assert wide.problem.input == zoo.SeriesInput(channels=1, length=16)
