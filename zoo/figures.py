"""What the pictures of matplotlib that the zoo draws have in common."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keeps matplotlib from saying on stderr that it looks for fonts."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def png(figure: Figure) -> bytes:
    """The figure as a PNG, the same file for the same drawing: without the version of matplotlib."""
    picture = io.BytesIO()
    with silence():
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
