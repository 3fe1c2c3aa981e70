"""`zoo runs report`: one page that holds all of a run, asks nothing of anybody and trusts no name."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys import run

import zoo
from zoo.data.samples.digits import load
from zoo.report import write_report
from zoo.report.charts import chart
from zoo.units import format_metric

Capture = pytest.CaptureFixture[str]
VOID = {"meta", "img", "br", "line", "polyline"}
FETCHED = re.compile(r"""(?:src|href|action)\s*=\s*["']?([^"'\s>]+)|url\(\s*["']?([^)]+)|(@import)""")


class Page(HTMLParser):
    """A page taken apart; raises `AssertionError` where its tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str, kind: str | None = None) -> int:
        return sum(name == tag and (kind is None or kind == each.get("class")) for name, each in self.tags)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    """A digits run whose class 3 has a name that a page must not believe."""
    folder = tmp_path_factory.mktemp("runs")
    for split, columns in load().splits.items():
        for row in range(120):
            digit = str(int(columns["labels"][row]))
            place = folder / "data" / split / ("<script>alert(1)" if digit == "3" else digit)
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(columns["images"][row])[0].astype(np.uint8)).save(place / f"{row}.png")
    settings = {"epochs": 3, "image_size": 16, "batch_size": 20}
    return zoo.train(
        "cnn/lenet5", str(folder / "data"), output=folder / "run", settings=settings, device="cpu"
    )


@pytest.fixture(scope="module")
def page(finished: zoo.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(finished, path)
    return path


def test_the_page_holds_all_of_the_run(page: Path, finished: zoo.Run) -> None:
    told = Page(page.read_text())
    record = finished.record
    value = format_metric(record.metrics["accuracy"], "fraction")
    assert f"test accuracy {value} 80% interval" in told.text
    assert "majority class" in told.text
    for heading in ("Diagnosis", "Results", "Curves", "Confusion", "Worst test samples", "Resources"):
        assert heading in told.text
    assert "image_size = 16" in told.text
    assert record.versions["torch"] in told.text
    assert str(record.data["fingerprint"]) in told.text  # of the receipt
    assert told.count("polyline", "course") == 2
    points = [each["points"] for tag, each in told.tags if tag == "polyline" and each["class"] == "course"]
    assert [len(str(line).split()) for line in points] == [3, 3]
    assert told.count("img") == 12


def test_the_matrix_counts_every_test_sample(page: Path, finished: zoo.Run) -> None:
    body = page.read_text().split('<table class="confusion">')[1].split("</table>")[0]
    counts = [int(count) for count in re.findall(r'<td[^>]*style="[^"]*">(\d*)</td>', body) if count]
    right = [int(count) for count in re.findall(r'<td class="right"[^>]*>(\d*)</td>', body) if count]
    assert sum(counts) == 120
    assert sum(right) / 120 == pytest.approx(finished.metrics["accuracy"])


def test_nothing_is_fetched_and_nothing_runs(page: Path) -> None:
    text = page.read_text()
    bare = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    fetched = ["".join(groups) for groups in FETCHED.findall(bare)]
    assert len(fetched) == 12
    assert all(address.startswith("data:image/png;base64,") for address in fetched)
    assert "default-src 'none'" in text
    told = Page(text)
    assert told.count("script") == told.count("link") == told.count("iframe") == 0


def test_a_label_that_is_a_script_is_only_a_name(page: Path) -> None:
    text = page.read_text()
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text


def test_it_is_written_once_and_whole(capsys: Capture, tmp_path: Path, finished: zoo.Run) -> None:
    path = tmp_path / "report.html"
    arguments = ("runs", "report", str(finished.path), "-o", str(path), "--device", "cpu")
    status, out, err = run(capsys, *arguments)
    assert (status, out, err) == (0, "", f"{path}: the report\n")
    before = path.read_bytes()
    status, _, err = run(capsys, *arguments)
    assert (status, err) == (1, f"zoo: '{path}' exists already; choose another -o\n")
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*partial"))


def test_a_run_without_its_data_has_a_page_that_says_so(tmp_path: Path, finished: zoo.Run) -> None:
    moved = zoo.Run(tmp_path / "run", finished.record)
    shutil.copytree(finished.path, moved.path)
    moved.save(finished.record.replace(source=str(tmp_path / "gone")))
    write_report(moved.path, tmp_path / "report.html")
    told = Page((tmp_path / "report.html").read_text())
    assert "so nothing is shown that must be asked of it" in told.text
    assert "Confusion" not in told.text
    assert told.count("polyline", "course") == 2


def test_a_run_that_is_not_finished_is_refused(capsys: Capture, tmp_path: Path, finished: zoo.Run) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    zoo.Run(tmp_path / "run", finished.record).save(finished.record.replace(state="interrupted"))
    status, _, err = run(capsys, "runs", "report", str(tmp_path / "run"), "-o", str(tmp_path / "a.html"))
    assert status == 1
    assert "is not finished; go on with it: zoo train --resume" in err
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize(
    ("model", "data", "settings"),
    [
        ("cnn/fcn", "cbf", {"steps": 4, "batch_size": 8}),
        ("cnn/tcn", "mackey-glass", {"steps": 4}),
        ("lstm/seq2seq", "dates", {"steps": 2, "batch_size": 4}),
    ],
)
def test_the_other_tasks_have_pages_too(
    tmp_path: Path, model: str, data: str, settings: dict[str, Any]
) -> None:
    made = zoo.train(model, data, output=tmp_path / "run", settings=settings, device="cpu")
    write_report(made, tmp_path / "report.html")
    told = Page((tmp_path / "report.html").read_text())
    assert told.text.count("sample ") >= 12
    if data == "mackey-glass":
        assert told.count("polyline", "said") == told.count("polyline", "came") == 12
    elif data == "cbf":
        assert told.count("polyline", "channel-0") == 12
    else:
        assert "true: " in told.text


def test_a_chart_is_logarithmic_where_losses_are_far_apart() -> None:
    drawn = chart("loss", [1, 2, 3], [10.0, 1.0, 0.1], written="{:g}".format)
    heights = [float(point.split(",")[1]) for point in drawn.lines[0].points.split()]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.11)
    plain = chart("loss", [1, 2, 3], [3.0, 2.0, 1.0], written="{:g}".format, level=2.0)
    assert [line.name for line in plain.lines] == ["course", "level"]
    assert {tick.label for tick in plain.up} >= {"1", "2", "3"}


# -- in a browser -----------------------------------------------------------------------------


class Asked(SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for."""

    paths: list[str]

    def do_GET(self) -> None:
        self.paths.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium here: apt-get install chromium")
    return str(found)


@pytest.fixture
def server(page: Path) -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Asked,), {"paths": []})
    serving = ThreadingHTTPServer(("127.0.0.1", 0), lambda *each: handler(*each, directory=str(page.parent)))
    serving.paths = handler.paths  # type: ignore[attr-defined]
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_asks_for_the_page_alone_and_draws_it(
    browser: str, server: ThreadingHTTPServer, tmp_path: Path, page: Path, width: int
) -> None:
    shot = tmp_path / "shot.png"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},2400",
        f"--screenshot={shot}",
        f"http://127.0.0.1:{server.server_port}/{page.name}",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(shot) as picture:
        assert picture.width == width
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 50
    asked = set(server.paths)  # type: ignore[attr-defined]
    assert f"/{page.name}" in asked
    assert asked <= {f"/{page.name}", "/favicon.ico"}
