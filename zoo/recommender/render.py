"""A recommendation as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.recommender.answer import Choice, Recommendation
from zoo.recommender.reasons import format_limit, format_score
from zoo.specs import Classes, Device, Estimate, ImageInput, Problem, SeriesInput, SeriesOutput
from zoo.units import format_bytes, format_seconds

SHOWN = 5  # models that were ruled out
UNKNOWN = "?"
TIMES = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


Line = tuple[str, str]  # a label, and what is said under it
Cells = tuple[str, ...]


def head_lines(answer: Recommendation) -> list[Line]:
    """What is asked, and for which device."""
    return [
        ("data", f"{_describe(answer.problem)}; {answer.problem.task}"),
        ("device", f"{_describe_device(answer.device)}; {_timing(answer)}"),
    ]


def table(answer: Recommendation) -> tuple[Cells, list[Cells]]:
    """What is recommended: the names of the columns, and a row for each."""
    columns = ("#", "model", "weights", f"{answer.task.metric} (80%)", "memory", "time", "fits")
    return columns, [_row(answer, choice) for choice in answer.recommendations]


def tail_lines(answer: Recommendation) -> list[Line]:
    """Why, what was ruled out, what is tied, and what to run next."""
    lines = [(f"why {_rank(answer, c)}", "; ".join(c.reasons)) for c in answer.recommendations]
    lines += _under("ruled out", _ruled_out(answer))
    if answer.tied:
        probe = answer.probe_seconds and format_seconds(answer.probe_seconds).replace(" ", "")
        way_on = f"; to try them: --probe {probe}" if probe else ""
        lines.append(("tied", f"{_listed(_places(answer))} cannot be told apart by what is known{way_on}"))
    lines += _under("note", answer.notes)
    if answer.recommendations:
        lines.append(("run", answer.recommendations[0].command))
    return lines


def _under(label: str, texts: Sequence[str]) -> list[Line]:
    return [("" if row else label, text) for row, text in enumerate(texts)]


def _row(answer: Recommendation, choice: Choice) -> Cells:
    return (
        _rank(answer, choice),
        choice.model,
        choice.weights or "-",
        score_text(choice.score, answer.task.unit),
        space_text(choice.memory_bytes),
        seconds_text(choice.seconds),
        "baseline" if choice.role == "baseline" else choice.fits,
    )


def _describe(problem: Problem) -> str:
    source = problem.input
    if isinstance(source, ImageInput):
        kind, size = "images", f"{source.width}x{source.height}, {plural(source.channels, 'channel')}"
    elif isinstance(source, SeriesInput):
        kind, size = "series", f"{source.length:,} steps of {plural(source.channels, 'channel')}"
    else:
        kind, size = "texts", f"{source.length:,} tokens"
    count = f"{problem.samples:,} {kind}" if problem.samples is not None else f"{kind}, number not known"
    return f"{count}, {_describe_output(problem)}{size}"


def _describe_output(problem: Problem) -> str:
    if isinstance(problem.output, Classes):
        return f"{problem.output.count:,} classes, "
    return f"{problem.output.length:,} steps ahead, " if isinstance(problem.output, SeriesOutput) else ""


def _describe_device(device: Device) -> str:
    memory = device.spec.memory_bytes
    told = [device.title, *([format_bytes(memory)] if memory else [])]
    if device.free_bytes is not None:
        told.append(f"{format_bytes(device.free_bytes)} free")
    return ", ".join(told)


def _timing(answer: Recommendation) -> str:
    return f"timing calibrated {answer.calibrated}" if answer.calibrated else "timing not calibrated"


def _rank(answer: Recommendation, choice: Choice) -> str:
    """The place among the picks; a baseline that is none of them has a dash."""
    place = answer.recommendations.index(choice) + 1
    return str(place) if place <= answer.top else "-"


def score_text(estimate: Estimate | None, unit: str) -> str:
    """A score with its interval."""
    if estimate is None:
        return UNKNOWN
    ends = (estimate.low, estimate.high)
    shown = [f"{100 * end:.0f}" if unit == "fraction" else format_score(end, unit) for end in ends]
    if unit == "fraction" and shown[0] == shown[1]:
        shown = [format_score(end, unit) for end in ends]
    low, high = shown
    return f"{format_score(estimate.value, unit)} [{low}, {high}]"


def space_text(estimate: Estimate | None) -> str:
    """Memory with what it stays below nine times in ten."""
    if estimate is None:
        return UNKNOWN
    unit, scale = ("GB", 1e9) if estimate.value >= 1e9 else ("MB", 1e6)
    return f"{_digits(estimate.value / scale)} (<{_digits(estimate.high / scale)}) {unit}"


def seconds_text(estimate: Estimate | None) -> str:
    """A time with its interval."""
    if estimate is None:
        return UNKNOWN
    unit, scale = next(entry for entry in TIMES if estimate.value >= entry[1] or entry[0] == "s")
    value, low, high = (_digits(x / scale) for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} {unit} [{low}, {high}]"


def _digits(number: float) -> str:
    return f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"


def _ruled_out(answer: Recommendation) -> list[str]:
    shown = [
        f"{entry.model}: {entry.limit} {format_limit(entry.limit, entry.needed)}, "
        f"{format_limit(entry.limit, entry.available)} allowed"
        for entry in answer.rejected[:SHOWN]
    ]
    more = len(answer.rejected) - len(shown)
    return [*shown, f"and {more:,} more"] if more > 0 else shown


def _places(answer: Recommendation) -> list[str]:
    names = {choice.name: _rank(answer, choice) for choice in answer.recommendations}
    return [names[name] for name in answer.tied]


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def plural(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
