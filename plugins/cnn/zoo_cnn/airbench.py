"""A network for quick trainings, after airbench94 (Jordan, "94% on CIFAR-10 in 3.29 seconds", 2024)."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_cnn.problems import check_image_size

SMALLEST = 9  # pixels a side: 1 is left for the last convolution
FILTERS = 24  # of the first layer: both signs of all directions in a patch of 2 x 2 x 3
LOGIT_SCALE = 1 / 9


def airbench(problem: zoo.Problem, *, width: int = 64) -> nn.Module:
    """The paper's network (section 3.1): images `[B, C, H, W]` to logits `[B, K]`.

    `width` is the number of feature maps of the first of three blocks; the others have four times as
    many. Convolutions over 3 x 3 pixels begin as the identity as far as they have as many inputs
    (section 3.3), batch normalisation learns no scale, and the logits are scaled down by 9.

    The paper fixes the first layer to filters that whiten the patches of CIFAR-10 (section 3.2). A
    builder sees no data: here they are learned like any others. Images of any size are taken, of
    which the last block leaves its maximum over the image; at 32 x 32 that is the paper's pooling.

    Raises `zoo.SpecError` for a problem without images or classes, or images under 9 x 9 pixels.
    """
    image, classes = problem.expect("airbench", zoo.ImageInput, zoo.Classes)
    check_image_size("airbench", image, SMALLEST)
    return AirBench(image.channels, classes.count, width)


class AirBench(nn.Module):
    """A convolution over 2 x 2 pixels, three blocks, and the maximum over the image."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, FILTERS, 2)
        self.blocks = nn.Sequential(
            nn.GELU(), _block(FILTERS, width), _block(width, 4 * width), _block(4 * width, 4 * width)
        )
        self.head = nn.Linear(4 * width, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` to logits `[B, K]`."""
        features = self.blocks(self.patches(images))  # [B, 4 width, H / 8, W / 8]
        logits: Tensor = self.head(features.amax(dim=(2, 3)))
        return logits * LOGIT_SCALE


def _block(inputs: int, outputs: int) -> nn.Module:
    """`[B, inputs, H, W]` to `[B, outputs, H / 2, W / 2]`."""
    return nn.Sequential(
        _conv(inputs, outputs),
        nn.MaxPool2d(2),
        _norm(outputs),
        nn.GELU(),
        _conv(outputs, outputs),
        _norm(outputs),
        nn.GELU(),
    )


def _conv(inputs: int, outputs: int) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight[:inputs].data)
    return layer


def _norm(maps: int) -> nn.Module:
    """The paper's batch normalisation: it forgets 0.4 a step, divides by all deviations, and only shifts."""
    norm = nn.BatchNorm2d(maps, eps=1e-12, momentum=0.4)
    norm.weight = None  # type: ignore[assignment]  # torch takes none for a scale of one
    return norm
