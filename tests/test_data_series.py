"""Series and arrays of unequal length, with gaps, or with nothing in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datafiles import reading_of, refused

import zoo
from zoo.tasks.series import encode_series, fit_series

# -- bad series -------------------------------------------------------------------------------


def write_series(path: Path, series: list[Any]) -> Path:
    rows = [{"series": values, "label": "ab"[number % 2]} for number, values in enumerate(series)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_series_of_unequal_length_are_padded_after_they_are_standardised(tmp_path: Path) -> None:
    lengths = [5 + number for number in range(12)]
    series = [[float(step) for step in range(length)] for length in lengths]
    dataset = zoo.load_dataset(str(write_series(tmp_path / "s.jsonl", series)))
    assert dataset.problem.input == zoo.SeriesInput(channels=1, length=16)
    assert dataset.reading
    assert "series of 5 to 16 steps; the shorter ones are padded at their end" in dataset.reading.told
    preprocess = fit_series(dataset, zoo.Recipe(normalize="sample"))
    for columns in dataset.splits.values():
        encoded = encode_series(np.asarray(columns["series"]), preprocess)  # [N, T, C]
        for raw, row in zip(np.asarray(columns["series"]), encoded, strict=True):
            length = int((~np.isnan(raw)).sum())
            assert float(row[:length].mean()) == pytest.approx(0, abs=1e-6)
            assert float(row[:length].std(correction=0)) == pytest.approx(1, abs=1e-5)
            assert (row[length:] == 0).all()
    trained = fit_series(dataset, zoo.Recipe(normalize="train"))
    values = np.asarray(dataset.splits["train"]["series"])
    assert trained.mean[0] == pytest.approx(np.nanmean(values), rel=1e-6)


def test_gaps_in_a_series_are_filled_and_a_series_of_gaps_is_skipped(tmp_path: Path) -> None:
    series: list[Any] = [[1.0, None, 3.0, 4.0] for _ in range(10)] + [[None] * 4, [None, 2.0, 3.0, None]]
    dataset = zoo.load_dataset(str(write_series(tmp_path / "s.jsonl", series)))
    found = {tuple(values[:, 0]) for columns in dataset.splits.values() for values in columns["series"]}
    assert found == {(1.0, 2.0, 3.0, 4.0), (2.0, 2.0, 3.0, 3.0)}
    assert dataset.reading
    assert (
        "11 series have gaps, which were filled on the line between their neighbours" in dataset.reading.told
    )
    assert dataset.reading.warnings == (
        "skipped 1 of 12 samples: row 11: it holds no numbers, or none in one of its channels",
    )


def test_an_array_of_series_ends_where_every_channel_does(tmp_path: Path) -> None:
    values = np.arange(12 * 6 * 2, dtype=np.float64).reshape(12, 6, 2)
    values[0, 4:] = np.nan  # two steps shorter
    values[1, 5, 0] = np.nan  # a gap in one channel
    np.savez(tmp_path / "s.npz", x=values, y=np.arange(12) % 2)
    dataset = zoo.load_dataset(str(tmp_path / "s.npz"))
    found = {tuple(series[:, 1]): series for part in dataset.splits.values() for series in part["series"]}
    short = next(series for key, series in found.items() if key[0] == 1.0)
    assert np.isnan(short[4:]).all()
    assert np.isfinite(short[:4]).all()
    gap = next(series for key, series in found.items() if key[0] == 13.0)
    assert gap[5].tolist() == [20.0, 23.0]  # the last value again, and the one that is known


def test_constant_series_are_standardised_to_zero(tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(write_series(tmp_path / "s.jsonl", [[3.0] * 8] * 12)))
    assert dataset.reading
    assert "12 series never change, such as row 1" in dataset.reading.told
    preprocess = fit_series(dataset, zoo.Recipe(normalize="sample"))
    assert not encode_series(np.asarray(dataset.splits["train"]["series"]), preprocess).any()


def test_series_of_other_shapes_are_refused(tmp_path: Path) -> None:
    uneven = [[[1.0, 2.0], [3.0, 4.0]]] * 6 + [[[1.0], [2.0]]] * 6
    assert "series of [1, 2] channels; give all as many" in refused(
        write_series(tmp_path / "a.jsonl", uneven)
    )
    words = [[1.0, 2.0]] * 11 + [["a", "b"]]
    told = refused(write_series(tmp_path / "b.jsonl", words))
    assert told == "column 'series' holds no list of numbers in row 12"


def write_walk(path: Path, count: int = 60, value: Callable[[int], Any] = lambda step: step % 7) -> Path:
    rows = [f"{step},{value(step)},{step % 5}" for step in range(count)]
    path.write_text("\n".join(["time,first,second", *rows]) + "\n")
    return path


def test_gaps_in_a_forecast_are_filled_and_a_still_channel_is_named(tmp_path: Path) -> None:
    gaps = zoo.load_dataset(str(write_walk(tmp_path / "a.csv", value=lambda n: "" if n == 3 else n)))
    assert np.asarray(gaps.splits["train"]["series"])[:6, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert gaps.reading
    assert "1 steps have gaps, which were filled on the line between their neighbours" in gaps.reading.told
    still = write_walk(tmp_path / "b.csv", value=lambda _: 3)
    assert reading_of(still).warnings == ("1 of 2 channels never change while training, such as 'first'",)
    run = zoo.train("cnn/tcn", str(still), output=tmp_path / "run", settings={"steps": 1}, device="cpu")
    assert np.isfinite(list(run.metrics.values())).all()


def test_series_with_nothing_to_forecast_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "still.npy", np.ones(100))
    assert "never changes while it trains; there is nothing to forecast" in refused(tmp_path / "still.npy")
    assert "holds 12 time steps; at least 20 are needed" in refused(write_walk(tmp_path / "short.csv", 12))
    twice = write_walk(tmp_path / "twice.csv")
    twice.write_text(twice.read_text() + "59,1,1\n")
    assert "has a time twice in 'time'; where it holds several series" in refused(twice)
    dates = tmp_path / "dates.csv"
    dates.write_text("date,value\n" + "".join(f"3rd of May {n},{n}\n" for n in range(30)))
    assert "holds '3rd of May 0', which is neither a number nor a date" in refused(dates)


def test_rows_out_of_order_are_put_in_time(tmp_path: Path) -> None:
    file = write_walk(tmp_path / "a.csv")
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *reversed(rows)]) + "\n")
    dataset = zoo.load_dataset(str(file))
    assert np.asarray(dataset.splits["train"]["series"])[:5, 1].tolist() == [0, 1, 2, 3, 4]
    assert dataset.reading
    assert "rows were put in the order of 'time'" in dataset.reading.told


# -- arrays ----------------------------------------------------------------------------------------


def test_arrays_of_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], dtype=object))
    assert "holds Python objects, which are never unpickled" in refused(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object))
    assert "holds Python objects, which are never unpickled" in refused(tmp_path / "x.npy")


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    for name in ("y.npz", "y.npy"):
        (tmp_path / name).write_bytes(b"PK neither")
        assert "cannot be read as an a" in refused(tmp_path / name)
    np.save(tmp_path / "z.npy", np.arange(1000.0))
    (tmp_path / "z.npy").write_bytes((tmp_path / "z.npy").read_bytes()[:200])  # cut short
    assert "z.npy' cannot be read as an array: mmap length is greater" in refused(tmp_path / "z.npy")
