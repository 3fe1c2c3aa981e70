"""Dates as people write them, to be written as ISO 8601."""

from __future__ import annotations

from datetime import date

from numpy.random import Generator

from zoo.data.dataset import Dataset
from zoo.data.samples._draws import generator, permutation
from zoo.specs import Problem, TokenInput, TokenOutput

SIZES = {"train": 8000, "validation": 500, "test": 1000}
FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
PIVOT = 1969  # two digits stand for one of the hundred years from here on, as in POSIX

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ROMANS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth"),
    *("eighteenth", "nineteenth", "twentieth", "twenty-first", "twenty-second", "twenty-third"),
    *("twenty-fourth", "twenty-fifth", "twenty-sixth", "twenty-seventh", "twenty-eighth"),
    *("twenty-ninth", "thirtieth", "thirty-first"),
)

LONG_FORMATS = (
    "{d} {month} {year}",
    "{month} {d}, {year}",
    "{month} {nth}, {year}",
    "{nth} {month} {year}",
    "{nth} of {month} {year}",
    "the {nth} of {month}, {year}",
    "{month} the {nth}, {year}",
    "{ordinal} of {month} {year}",
    "{month} the {ordinal}, {year}",
    "{weekday} {d} {month} {year}",
    "{weekday}, {month} {d}, {year}",
    "{weekday} the {nth} of {month} {year}",
    "{year} {month} {d}",
    "{year}, {nth} of {month}",
    "{d} {mon} {year}",
    "{mon} {d}, {year}",
    "{mon} {nth} {year}",
    "{year} {mon} {dd}",
    "{dd}-{mon}-{year}",
    "{dd}{mon}{year}",
    "{day}, {dd} {mon} {year}",
    "{day} {mon} {d} {year}",
    "{day}. {d} {month} {year}",
    "{d}. {roman}. {year}",
    "{d}-{roman}-{year}",
    "{dd}.{mm}.{year}",
    "{d}.{m}.{year}",
    "{mm}/{dd}/{year}",
    "{m}/{d}/{year}",
    "{year}/{mm}/{dd}",
    "{year}.{m}.{d}",
    "{year}{mm}{dd}",
)
SHORT_FORMATS = (
    "{d} {month} '{yy}",
    "{mon} {d} '{yy}",
    "{nth} of {month}, '{yy}",
    "{dd}-{mon}-{yy}",
    "{dd}.{mm}.{yy}",
    "{m}/{d}/{yy}",
)


def load() -> Dataset:
    """8,000, 500 and 1,000 pairs to train, validate and test; no date is met twice.

    Sources are ASCII of at most 40 bytes, targets `YYYY-MM-DD`, from 1900 to 2099. No source can
    be read in two ways: dots go from the smaller to the larger unit (3.5.1987 is in May) or begin
    with four digits of a year, slashes likewise or are American (5/3/1987 is in May), and the
    `SHORT_FORMATS`, with two digits for the year, are for 1969 to 2068 alone.
    """
    rng = generator(3)
    order = permutation(rng, LAST.toordinal() - FIRST.toordinal() + 1)
    days = iter([date.fromordinal(FIRST.toordinal() + int(offset)) for offset in order])
    splits = {}
    for split, size in SIZES.items():
        chosen = [next(days) for _ in range(size)]
        splits[split] = {
            "source": [write(day, rng) for day in chosen],
            "target": [day.isoformat() for day in chosen],
        }
    return Dataset(
        name="dates",
        problem=Problem(
            task="seq2seq",
            input=TokenInput(vocab_size=259, length=40),
            output=TokenOutput(vocab_size=259, length=12),
            samples=SIZES["train"],
        ),
        splits=splits,
        license="Apache-2.0",
    )


def write(day: date, rng: Generator) -> str:
    """`day` in one of the formats, all equally likely; a fifth in lower case, a fifth in capitals."""
    formats = LONG_FORMATS + SHORT_FORMATS if PIVOT <= day.year < PIVOT + 100 else LONG_FORMATS
    text = formats[rng.integers(len(formats))].format_map(_words(day))
    return (str, str, str, str.lower, str.upper)[rng.integers(5)](text)


def _words(day: date) -> dict[str, str]:
    """What the formats' fields stand for, in English whatever the locale."""
    month, weekday = MONTHS[day.month - 1], WEEKDAYS[day.weekday()]
    ending = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return {
        "d": f"{day.day}",
        "dd": f"{day.day:02}",
        "nth": f"{day.day}{ending}",
        "ordinal": ORDINALS[day.day - 1],
        "m": f"{day.month}",
        "mm": f"{day.month:02}",
        "month": month,
        "mon": month[:3],
        "roman": ROMANS[day.month - 1],
        "year": f"{day.year}",
        "yy": f"{day.year % 100:02}",
        "weekday": weekday,
        "day": weekday[:3],
    }
