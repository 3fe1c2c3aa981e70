"""Explanations as pictures: red spoke for the answer, blue against it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zoo.explanation.tokens import Piece
from zoo.figures import png

if TYPE_CHECKING:
    from rich.text import Text

FOR, AGAINST = (214, 69, 65), (65, 131, 196)
FAINT = 0.08  # of the strongest relevance, under which nothing is coloured
COVER = 0.75  # of a picture under the strongest relevance
WIDTH, DPI = 100, 110  # characters of a text, pixels to the inch
CHANNELS = 8  # of a series that are drawn: those with the most relevance


def draw_image(image: NDArray[np.float32], relevance: NDArray[np.float32], title: str) -> bytes:
    """A PNG of an image `[C, H, W]` from 0 to 1, plain and under its relevance `[H, W]`."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(6.4, 3.5), dpi=DPI)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=0.02, top=0.84, wspace=0.04)
    pixels = image if len(image) == 3 else np.repeat(image[:1], 3, axis=0)
    plain = pixels.transpose(1, 2, 0)  # [H, W, 3]
    left.imshow(plain)
    right.imshow(plain.mean(axis=2), cmap="gray", vmin=-0.5, vmax=1.0)
    right.imshow(colours(relevance))
    left.set_title("as the model sees it", fontsize="medium")
    right.set_title(title, fontsize="medium")
    for axes in (left, right):
        axes.set_axis_off()
    return png(figure)


def draw_series(series: NDArray[np.float32], relevance: NDArray[np.float32], title: str) -> bytes:
    """A PNG of a series `[T, C]`, each step shaded by its relevance `[T, C]`."""
    from matplotlib.figure import Figure  # slow to import

    chosen = np.sort(np.argsort(-np.abs(relevance).sum(axis=0), kind="stable")[:CHANNELS])
    height = 0.9 + 1.6 * len(chosen)
    figure = Figure(figsize=(9.0, height), dpi=DPI)
    rows = figure.subplots(len(chosen), 1, squeeze=False, sharex=True)[:, 0]
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.5 / height, top=1 - 0.35 / height)
    strongest = float(np.abs(relevance).max()) or 1.0
    for channel, axes in zip(chosen, rows, strict=True):
        values = series[:, channel]
        axes.plot(values, color="0.15")
        bottom, top = axes.get_ylim()
        shades = colours(relevance[None, :, channel], strongest)
        axes.imshow(shades, extent=(-0.5, len(values) - 0.5, bottom, top), aspect="auto", zorder=0)
        axes.set_ylabel(f"channel {channel}" if series.shape[1] > 1 else "standardised")
        axes.spines[["top", "right"]].set_visible(False)
    rows[0].set_title(title, fontsize="medium")
    rows[-1].set_xlabel("step")
    return png(figure)


def draw_text(pieces: Sequence[Piece], title: str, suffix: str) -> bytes:
    """A text as HTML or SVG, each piece on a ground of its colour; nothing in it is fetched."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.terminal_theme import DEFAULT_TERMINAL_THEME

    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        highlight=False,
        markup=False,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    if suffix == ".html":
        console.print(title, style="bold")
    console.print(highlighted(pieces))
    if suffix == ".html":
        page = console.export_html(theme=DEFAULT_TERMINAL_THEME, inline_styles=True)
        return page.replace("<head>", f"<head>\n<title>{_escaped(title)}</title>", 1).encode()
    fonts = r"@font-face \{\{.*?\}\}"  # which would be fetched
    plain = re.sub(fonts, "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(
        title=title, theme=DEFAULT_TERMINAL_THEME, code_format=plain, unique_id="explanation"
    ).encode()


def highlighted(pieces: Sequence[Piece]) -> Text:
    """The text of the pieces, black on a ground of its colour; what hardly counts as it is."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    text = Text()
    strongest = max((abs(piece.relevance) for piece in pieces), default=0.0) or 1.0
    for piece in pieces:
        share = piece.relevance / strongest
        ground = tuple(round(255 + abs(share) * (part - 255)) for part in (FOR if share > 0 else AGAINST))
        style = Style(color="black", bgcolor=Color.from_rgb(*ground)) if abs(share) >= FAINT else Style()
        text.append(piece.text, style)
    return text


def colours(relevance: NDArray[np.float32], strongest: float | None = None) -> NDArray[Any]:
    """Red or blue for each number, the clearer the less it is: RGBA from 0 to 1, `[..., 4]`."""
    strongest = strongest or float(np.abs(relevance).max()) or 1.0
    found = np.empty((*relevance.shape, 4))
    found[..., :3] = np.where(relevance[..., None] > 0, FOR, AGAINST) / np.float64(255)
    found[..., 3] = np.abs(relevance) / strongest * COVER
    return found


def _escaped(text: str) -> str:
    from html import escape

    return escape(text)
