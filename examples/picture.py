"""Draws what `zoo recommend` prints as an SVG: python examples/picture.py > examples/recommend.svg."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

COMMAND = "zoo recommend --data cbf --scratch"
WIDTH = 118


def main() -> None:
    """Prints the SVG."""
    console = Console(record=True, width=WIDTH, file=sys.stderr, highlight=False, markup=False)
    console.print(f"$ {COMMAND}")
    console.print(Text.from_ansi(_on_a_terminal(COMMAND.split())))
    font = r"@font-face \{\{.*?\}\}"  # it would be fetched
    plain = re.sub(font, "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    sys.stdout.write(console.export_svg(title="zoo", theme=DIMMED_MONOKAI, code_format=plain))


def _on_a_terminal(command: list[str]) -> str:
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (50, WIDTH))
    subprocess.run(command, check=True, stdout=writer)  # what it prints fits into the terminal's buffer
    printed = os.read(reader, 65536).decode()
    return printed.replace("\r\n", "\n")


if __name__ == "__main__":
    main()
