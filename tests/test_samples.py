"""The embedded sample data sets: what they promise, and that it comes out the same each time."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from datetime import date
from functools import cache
from importlib import import_module
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.data.dataset import COLUMNS, SPLITS, Dataset
from zoo.data.samples import cbf, control, dates, mackey_glass, snippets, stdlib
from zoo.data.samples._draws import generator, permutation, uniform
from zoo.errors import DataError
from zoo.manifests import read_datasets

SPECS = {spec.name: spec for spec in read_datasets("zoo", "data/samples/datasets.toml")}
SIZES = {
    "digits": (1297, 200, 300),
    "snippets": (24000, 1200, 1800),
    "dates": (8000, 500, 1000),
    "cbf": (30, 60, 900),
    "control": (300, 60, 300),
    "mackey-glass": (2000, 400, 600),
}
FINGERPRINTS = {  # of those that do not depend on the interpreter
    "digits": "a8b20abcae2b13f9",
    "dates": "52d3a6ca4caa8c1c",
    "cbf": "9d49fb95d086e433",
    "control": "c3a141ae331c5aaf",
    "mackey-glass": "0db60405578124e9",
}
BALANCED = ("snippets", "cbf", "control")
every_sample = pytest.mark.parametrize("name", SPECS)


@cache
def sample(name: str) -> Dataset:
    module, function = SPECS[name].loader.split(":")
    return getattr(import_module(module), function)()


def rows(dataset: Dataset, split: str) -> list[object]:
    """What a model is shown of each sample, in a form that can be compared."""
    column = dataset.splits[split][COLUMNS[dataset.problem.task][0]]
    return [row.tobytes() for row in column] if isinstance(column, np.ndarray) else list(column)


# -- all of them ------------------------------------------------------------------------------


@every_sample
def test_the_manifest_says_what_load_returns(name: str) -> None:
    spec, dataset = SPECS[name], sample(name)
    samples = spec.problem.samples or dataset.problem.samples
    assert spec.problem.replace(samples=samples) == dataset.problem
    assert (spec.name, spec.license) == (dataset.name, dataset.license)
    assert spec.summary
    assert spec.source


def test_only_what_depends_on_the_interpreter_leaves_its_samples_open() -> None:
    assert [name for name, spec in SPECS.items() if spec.problem.samples is None] == ["stdlib"]


def test_another_process_loads_the_same_bytes_without_torch() -> None:
    code = """
import sys
from importlib import import_module
for loader in sys.argv[1:]:
    module, function = loader.split(":")
    print(getattr(import_module(module), function)().fingerprint())
print("torch" in sys.modules)
"""
    command = [sys.executable, "-c", code, *(spec.loader for spec in SPECS.values())]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}  # sets come in an order of their own
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [*(sample(name).fingerprint() for name in SPECS), "False"]


@pytest.mark.parametrize(("name", "start"), FINGERPRINTS.items())
def test_the_bytes_are_those_that_results_were_measured_on(name: str, start: str) -> None:
    assert sample(name).fingerprint().startswith(start)


@every_sample
def test_no_sample_is_met_twice_across_splits(name: str) -> None:
    dataset = sample(name)
    shown = {split: set(rows(dataset, split)) for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert not shown[one] & shown[other]


@every_sample
def test_each_split_has_the_columns_of_its_task(name: str) -> None:
    dataset = sample(name)
    for split in SPLITS:
        columns = dataset.splits[split]
        assert set(columns) == set(COLUMNS[dataset.problem.task])
        assert {len(column) for column in columns.values()} == {dataset.size(split)}
        for column, values in columns.items():
            if column in ("images", "labels", "series"):
                assert isinstance(values, np.ndarray)
                assert values.dtype == {"images": np.uint8, "labels": np.int64, "series": np.float32}[column]
            else:
                assert all(isinstance(value, str) for value in values)


@pytest.mark.parametrize("name", SIZES)
def test_splits_have_the_sizes_they_claim(name: str) -> None:
    assert tuple(sample(name).size(split) for split in SPLITS) == SIZES[name]


@pytest.mark.parametrize("name", BALANCED)
def test_classes_are_equally_frequent(name: str) -> None:
    dataset = sample(name)
    for split in SPLITS:
        counts = np.bincount(dataset.splits[split]["labels"], minlength=dataset.problem.output.count)
        assert set(counts) == {dataset.size(split) // dataset.problem.output.count}


@pytest.mark.parametrize("name", ["digits", *BALANCED])
def test_samples_are_not_sorted_by_class(name: str) -> None:
    labels = sample(name).splits["test"]["labels"]
    changes = (labels[1:] != labels[:-1]).mean()
    assert changes > 0.5 * (1 - 1 / sample(name).problem.output.count)


def test_a_permutation_has_every_number_once() -> None:
    assert sorted(permutation(generator(5), 1000)) == list(range(1000))
    assert list(permutation(generator(5), 1000)) != list(permutation(generator(6), 1000))


def test_uniform_draws_fill_their_range_evenly() -> None:
    values = uniform(generator(5), -3, 3, (60_000,))
    assert values.min() >= -3
    assert values.max() < 3
    counts, _ = np.histogram(values, bins=6, range=(-3, 3))
    assert np.abs(counts - 10_000).max() < 500  # five standard deviations


# -- digits -----------------------------------------------------------------------------------


def test_digits_keep_every_image_at_full_contrast() -> None:
    splits = sample("digits").splits
    images = np.concatenate([splits[split]["images"] for split in SPLITS])
    assert images.shape == (1797, 1, 8, 8)
    assert set(np.unique(images)) == {round(ink * 255 / 16) for ink in range(17)}


def test_digits_are_stratified() -> None:
    splits = sample("digits").splits
    assert set(np.bincount(splits["validation"]["labels"])) == {20}
    assert set(np.bincount(splits["test"]["labels"])) == {30}


# -- text -------------------------------------------------------------------------------------


def test_the_library_is_split_by_file_at_about_80_10_10() -> None:
    sources = stdlib.read_sources()
    paths = [path for split in SPLITS for path in sources[split]]
    assert len(paths) == len(set(paths))
    assert all(stdlib.split_of(path) == split for split in SPLITS for path in sources[split])
    sizes = np.array([sum(len(text.encode()) for text in sources[split].values()) for split in SPLITS])
    np.testing.assert_allclose(sizes / sizes.sum(), [0.8, 0.1, 0.1], atol=0.04)


def test_the_library_leaves_out_tests_packages_and_what_tells_of_the_machine() -> None:
    paths = [path for files in stdlib.read_sources().values() for path in files]
    assert "json/decoder.py" in paths
    assert "ast.py" in paths
    folders = {folder for path in paths for folder in path.split("/")[:-1]}
    assert not folders & {"test", "tests", "site-packages", "idlelib", "lib2to3", "turtledemo", "__pycache__"}
    assert not [path for path in paths if re.search(r"(^|/)(_sysconfigdata|config-|sitecustomize)", path)]


def test_library_texts_are_whole_files_with_plain_line_ends() -> None:
    texts = [text for split in SPLITS for text in sample("stdlib").splits[split]["text"]]
    assert len(texts) == len(set(texts))
    assert all(texts)
    assert not any("\r" in text for text in texts)
    assert ast.get_docstring(ast.parse(next(text for text in texts if "def literal_eval" in text)))


def test_library_samples_are_the_windows_of_the_training_files() -> None:
    dataset = sample("stdlib")
    size = sum(len(text.encode()) for text in dataset.splits["train"]["text"])
    assert dataset.problem.samples == size // 256


def test_an_interpreter_without_sources_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdlib.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(DataError, match="no standard-library sources"):
        stdlib.load()


SOURCE = '''
"""Says how a module begins.

    And how it goes on."""
# a comment of its own line
total = greet("a plain string", f"one with {fields} in it")  # a comment beside code
text = """three lines, the next
# of which is no comment
at all"""

class Greeter:
    async def greet(self, name: str, *, loudly: bool=False) -> None:
        "Greets somebody by name."
        while name and loudly:
            self.lines.append(name.upper())
        if x: pass
'''


def test_snippets_are_found_by_kind_without_what_gives_them_away() -> None:
    assert sorted(snippets.find_snippets(SOURCE)) == [
        ("call", "self.lines.append(name.upper())"),
        ("comment", "a comment of its own line"),
        ("condition", "name and loudly"),
        ("docstring", "And how it goes on."),
        ("docstring", "Greets somebody by name."),
        ("docstring", "Says how a module begins."),
        ("signature", "greet(self, name: str, *, loudly: bool=False)"),
        ("string", "a plain string"),
        ("string", "three lines, the next # of which is no comment at all"),
    ]


def test_a_long_docstring_is_cut_after_a_word_and_anything_else_left_out() -> None:
    words = "words and " * 20
    found = list(
        snippets.find_snippets(f'def function():\n    """{words}"""\n    return "{words}"\n# {words}')
    )
    assert found == [("docstring", ("words and " * 13)[:125].strip())]


def test_snippets_fit_their_length_and_keep_no_marks() -> None:
    dataset = sample("snippets")
    for split in SPLITS:
        texts, labels = dataset.splits[split]["text"], dataset.splits[split]["labels"]
        sizes = [len(text.encode()) for text in texts]
        assert min(sizes) >= 12
        assert max(sizes) <= 128
        assert len(texts) == len(set(texts))
        assert not any("\n" in text or text != text.strip() for text in texts)
        kinds = [dataset.labels[label] for label in labels]
        signatures = [text for text, kind in zip(texts, kinds, strict=True) if kind == "signature"]
        assert not any(text.startswith(("def ", "async ")) for text in signatures)


def test_snippets_come_from_the_files_of_their_split() -> None:
    sources = stdlib.read_sources()
    elsewhere = " ".join(text for split in ("train", "validation") for text in sources[split].values())
    dataset = sample("snippets")
    comments = [
        text
        for text, label in zip(*dataset.splits["test"].values(), strict=True)
        if dataset.labels[label] == "comment"
    ]
    own = " ".join(" ".join(sources["test"].values()).split())
    assert comments
    assert all(comment in own for comment in comments)
    assert not any(f"\n# {comment}\n" in elsewhere for comment in comments)


# -- dates ------------------------------------------------------------------------------------


def test_every_target_is_a_date_of_its_own() -> None:
    splits = sample("dates").splits
    targets = [date.fromisoformat(target) for split in SPLITS for target in splits[split]["target"]]
    assert len(targets) == len(set(targets)) == 9500
    assert min(targets).year >= 1900
    assert max(targets).year <= 2099
    assert all(len(target) == 10 for split in SPLITS for target in splits[split]["target"])


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{nth} of {month} {year}", "3rd of May 1987"),
        ("{month} {d}, {year}", "May 3, 1987"),
        ("{weekday} {d} {month} {year}", "Sunday 3 May 1987"),
        ("{day}, {dd} {mon} {year}", "Sun, 03 May 1987"),
        ("{month} the {ordinal}, {year}", "May the third, 1987"),
        ("{d}. {roman}. {year}", "3. V. 1987"),
        ("{dd}.{mm}.{yy}", "03.05.87"),
        ("{m}/{d}/{year}", "5/3/1987"),
        ("{mon} {d} '{yy}", "May 3 '87"),
        ("{year}{mm}{dd}", "19870503"),
    ],
)
def test_a_format_writes_the_known_text(template: str, text: str) -> None:
    assert template in dates.LONG_FORMATS + dates.SHORT_FORMATS
    assert template.format_map(dates._words(date(1987, 5, 3))) == text


DAYS_IN_WORDS = [
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth"),
    *("eighteenth", "nineteenth", "twentieth", "twenty-first", "twenty-second", "twenty-third"),
    *("twenty-fourth", "twenty-fifth", "twenty-sixth", "twenty-seventh", "twenty-eighth"),
    *("twenty-ninth", "thirtieth", "thirty-first"),
]


def test_ordinals_are_those_of_english() -> None:
    words = [dates._words(date(2024, 1, day)) for day in range(1, 32)]
    assert " ".join(word["nth"] for word in words) == (
        "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th 13th 14th 15th 16th 17th 18th 19th 20th "
        "21st 22nd 23rd 24th 25th 26th 27th 28th 29th 30th 31st"
    )
    assert [word["ordinal"] for word in words] == DAYS_IN_WORDS


def test_sources_are_short_ascii_in_at_least_twenty_formats_and_three_cases() -> None:
    assert len({*dates.LONG_FORMATS, *dates.SHORT_FORMATS}) >= 20
    sources = [source for split in SPLITS for source in sample("dates").splits[split]["source"]]
    assert len(sources) == len(set(sources))
    assert all(source.isascii() and len(source) <= 40 for source in sources)
    worded = [source for source in sources if re.search("[a-z]{3}", source, re.IGNORECASE)]
    for case, share in ((str.islower, 0.2), (str.isupper, 0.2)):
        assert np.mean([case(source) for source in worded]) == pytest.approx(share, abs=0.03)


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
ROMANS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def read(text: str) -> tuple[date, int | None]:
    """A date read by rules that know nothing of the formats, and the weekday (0: Monday) it names."""
    text = text.lower()
    words = re.findall("[a-z]+(?:-[a-z]+)?", text)
    weekdays = [WEEKDAYS.index(word[:3]) for word in words if word[:3] in WEEKDAYS]
    months = [MONTHS.index(word[:3]) + 1 for word in words if word[:3] in MONTHS]
    months = months or [ROMANS.index(word) + 1 for word in words if word in ROMANS]
    days = [DAYS_IN_WORDS.index(word) + 1 for word in words if word in DAYS_IN_WORDS]
    if re.fullmatch("[0-9]{8}", text):
        text = f"{text[:4]}/{text[4:6]}/{text[6:]}"
    numbers = re.findall("[0-9]+", text)
    year = numbers.pop(0 if len(numbers[0]) == 4 else -1)
    if not months:  # it comes first in American dates and after a leading year, which is gone by now
        months = [int(numbers.pop(0 if "/" in text or text.startswith(year) else 1))]
    days = days or [int(numbers[0])]
    century = 0 if len(year) == 4 else 1900 if int(year) >= 69 else 2000
    return date(century + int(year), months[0], days[0]), weekdays[0] if weekdays else None


def test_every_source_reads_as_its_target_and_names_the_right_weekday() -> None:
    weekdays = 0
    for split in SPLITS:
        columns = sample("dates").splits[split]
        for source, target in zip(columns["source"], columns["target"], strict=True):
            day, weekday = read(source)
            assert day == date.fromisoformat(target), source
            if weekday is not None:
                weekdays += 1
                assert weekday == day.weekday(), source
    assert weekdays > 500


# -- series -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "length"), [("cbf", 128), ("control", 60)])
def test_every_series_is_standardised(name: str, length: int) -> None:
    for split in SPLITS:
        series = sample(name).splits[split]["series"]
        assert series.shape[1:] == (length, 1)
        np.testing.assert_allclose(series.mean(axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(series.std(axis=1), 1, atol=1e-5)


def drawn(module: object, name: str, count: int = 3000) -> NDArray[np.float64]:
    return module.draw(generator(7), name, count)  # type: ignore[attr-defined]


def test_cylinder_bell_and_funnel_have_their_shapes() -> None:
    cylinder, bell, funnel = (drawn(cbf, name).mean(axis=0) for name in cbf.CLASSES)  # [128] each
    for mean in (cylinder, bell, funnel):
        assert np.abs(mean[:15]).max() < 0.15  # no event begins before t = 16
    assert cylinder[31:47].mean() == pytest.approx(6, abs=0.1)  # begun by 32, not over before 48
    assert bell[31:47].mean() < 0.5 * funnel[31:47].mean()
    np.testing.assert_allclose(bell + funnel, cylinder, atol=0.5)  # what one lacks the other has


def test_events_are_noisy_by_one() -> None:
    assert drawn(cbf, "funnel")[:, :15].std() == pytest.approx(1, abs=0.02)


def test_control_charts_do_what_their_names_say() -> None:
    time = np.arange(1, 61)
    charts = {name: drawn(control, name) for name in control.CLASSES}  # [3000, 60] each
    slopes = {name: np.polyfit(time, chart.T, 1)[0] for name, chart in charts.items()}
    rises = {name: chart[:, 40:].mean(axis=1) - chart[:, :20].mean(axis=1) for name, chart in charts.items()}

    assert np.abs(charts["normal"] - 30).max() <= 6
    assert charts["normal"].std() == pytest.approx(6 / np.sqrt(3), rel=0.02)
    assert slopes["increasing"].min() > 0
    assert slopes["increasing"].mean() == pytest.approx(0.35, abs=0.01)
    assert slopes["decreasing"].max() < 0
    assert slopes["decreasing"].mean() == pytest.approx(-0.35, abs=0.01)
    assert rises["upward shift"].min() > 0
    assert rises["upward shift"].mean() == pytest.approx(13.75, abs=0.3)
    assert rises["downward shift"].max() < 0
    assert rises["downward shift"].mean() == pytest.approx(-13.75, abs=0.3)


def test_cyclic_charts_have_periods_of_10_to_15() -> None:
    charts = drawn(control, "cyclic") - 30
    spectrum = np.abs(np.fft.rfft(charts, n=960))  # zero-padded, for a fine grid of periods
    periods = 960 / spectrum.argmax(axis=1)
    assert np.percentile(periods, 1) > 9.5
    assert np.percentile(periods, 99) < 15.8
    assert charts.max() > 15


def whole_series() -> NDArray[np.float64]:
    splits = sample("mackey-glass").splits
    return np.concatenate([splits[split]["series"][:, 0] for split in SPLITS]).astype(np.float64)


def test_mackey_glass_satisfies_its_equation() -> None:
    x = whole_series()
    weights = np.array([-1 / 60, 3 / 20, -3 / 4, 0, 3 / 4, -3 / 20, 1 / 60])  # slope from 7 points
    slope = np.convolve(x, weights[::-1], "valid")  # of x[3:-3]
    now, delayed = x[20:-3], x[3:-20]
    right = 0.2 * delayed / (1 + delayed**10) - 0.1 * now
    np.testing.assert_allclose(slope[17:], right, atol=2e-4)
    assert np.abs(right).max() > 0.05


def test_mackey_glass_is_solved_to_fourth_order() -> None:
    exact = mackey_glass.solve(200, 80)
    coarse, fine = (np.abs(mackey_glass.solve(200, steps) - exact).max() for steps in (5, 10))
    assert fine < 1e-8
    assert coarse / fine == pytest.approx(16, rel=0.1)


def test_mackey_glass_splits_follow_one_another_in_time() -> None:
    solution = mackey_glass.solve(mackey_glass.TRANSIENT + 3000)[mackey_glass.TRANSIENT :]
    np.testing.assert_allclose(whole_series(), solution, rtol=1e-6)


def test_mackey_glass_has_its_season_and_counts_its_windows() -> None:
    dataset = sample("mackey-glass")
    train = dataset.splits["train"]["series"]
    assert train.shape == (2000, 1)
    spectrum = np.abs(np.fft.rfft(train[:, 0] - train.mean()))
    assert dataset.season == round(len(train) / spectrum.argmax())
    windows = np.lib.stride_tricks.sliding_window_view(train[:, 0], 96 + 24)
    assert dataset.problem.samples == len(windows)
