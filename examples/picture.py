"""Draws what `zoo recommend` prints as an SVG: python examples/picture.py > examples/recommend.svg."""

from __future__ import annotations

import re
import sys

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

import zoo
from zoo.recommender.render import render

COMMAND = "zoo recommend --data cbf --scratch"


def main() -> None:
    """Prints the SVG."""
    console = Console(record=True, width=118, file=sys.stderr, highlight=False, markup=False)
    console.print(f"$ {COMMAND}")
    for part in render(zoo.recommend(data="cbf", pretrained=False)):
        console.print(part)
    plain = re.sub(
        r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL
    )  # it would fetch a font
    sys.stdout.write(console.export_svg(title="zoo", theme=DIMMED_MONOKAI, code_format=plain))


if __name__ == "__main__":
    main()
