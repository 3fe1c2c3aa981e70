"""Sizes, times and counts as people write and read them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from zoo.errors import SpecError
from zoo.units import (
    format_bytes,
    format_count,
    format_metric,
    format_seconds,
    parse_bytes,
    parse_count,
    parse_seconds,
)

Parse = Callable[[str], float]
Write = Callable[[float], str]
NONSENSE = ("", " ", "GB", "-1", "8 apples", "1.2.3", ".", "1,000", "1e3", "nan", "inf", "9" * 400)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8GB", 8 * 10**9),
        ("8g", 8 * 10**9),
        ("512 MB", 512 * 10**6),
        ("1.5 kB", 1500),
        ("2TB", 2 * 10**12),
        ("6GiB", 6 * 2**30),
        (" 1 kib ", 1024),
        ("0.5MiB", 2**19),
        ("123", 123),
        ("123B", 123),
    ],
)
def test_a_size_may_be_decimal_or_binary(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("45s", 45), ("30m", 1800), ("1.5h", 5400), ("2 D", 172_800), (".5s", 0.5)],
)
def test_a_time_is_in_seconds_unless_it_says_otherwise(text: str, expected: float) -> None:
    assert parse_seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5000", 5000), ("5k", 5000), ("25M", 25 * 10**6), ("1.5B", 15 * 10**8), ("1t", 10**12)],
)
def test_a_count_takes_the_letters_of_the_field(text: str, expected: int) -> None:
    assert parse_count(text) == expected


@pytest.mark.parametrize("parse", [parse_bytes, parse_seconds, parse_count])
@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_quoted_in_one_line(parse: Parse, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parse", "text", "example"),
    [(parse_bytes, "8 apples", "8GB"), (parse_seconds, "2 weeks", "30m"), (parse_count, "many", "25M")],
)
def test_nonsense_is_answered_with_an_example(parse: Parse, text: str, example: str) -> None:
    with pytest.raises(SpecError, match=example):
        parse(text)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (99_940, "99.9 kB"),
        (99_970, "100 kB"),
        (843_200_000, "843 MB"),
        (2_900_000_000, "2.9 GB"),
        (999_600_000, "1.0 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_a_size_is_written_with_two_or_three_digits(count: float, expected: str) -> None:
    assert format_bytes(count) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(10, "10"), (61_706, "61.7k"), (25_557_032, "25.6M"), (1.5e9, "1.5B")]
)
def test_a_count_is_written_with_two_or_three_digits(count: float, expected: str) -> None:
    assert format_count(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (42, "42 s"),
        (59.4, "59 s"),
        (59.7, "1 m"),
        (540, "9 m"),
        (3569, "59 m"),
        (3599, "1.0 h"),
        (12_600, "3.5 h"),
        (35_900, "10 h"),
        (86_399, "1.0 d"),
        (20 * 86_400, "20 d"),
    ],
)
def test_a_time_is_written_in_its_largest_fitting_unit(seconds: float, expected: str) -> None:
    assert format_seconds(seconds) == expected


@pytest.mark.parametrize(
    ("parse", "write", "error"),
    [
        (parse_bytes, format_bytes, 0.05),
        (parse_count, format_count, 0.05),
        (parse_seconds, format_seconds, 0.34),
    ],
)
def test_what_is_written_can_be_read_again(parse: Parse, write: Write, error: float) -> None:
    for power in range(1, 40):
        value = round(1.9**power)
        assert parse(write(value)) == pytest.approx(value, rel=error)


def test_a_metric_is_written_in_per_cent_where_it_is_a_fraction() -> None:
    assert format_metric(0.98666, "fraction") == "98.7%"
    assert format_metric(1.234567, "number") == "1.235"
