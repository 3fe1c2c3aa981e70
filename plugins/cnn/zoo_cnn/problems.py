"""What every builder asks of a problem first."""

from __future__ import annotations

import zoo


def check_image_size(model: str, image: zoo.ImageInput, smallest: int) -> None:
    """Raises `zoo.SpecError` for an image of which less than `smallest` pixels a side is left."""
    if min(image.height, image.width) < smallest:
        size = f"{image.height} x {image.width}"
        least = f"{smallest} x {smallest}"
        raise zoo.SpecError(model, [f"images of {size} pixels are too small; it takes {least}"])
