"""LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

import zoo
from zoo_cnn.problems import check_image_size

GRID = 5  # S4 is 5 x 5 for the paper's images of 32 x 32


def lenet5(problem: zoo.Problem, *, width: int = 1, modern: bool = False) -> nn.Module:
    """LeNet-5, layers named as in figure 2 of the paper: images `[B, C, H, W]` to logits `[B, K]`.

    By default tanh and average pooling, because they are what the paper trains; `modern` puts ReLU
    and max pooling in their place. `width` multiplies the number of feature maps and hidden units.

    Left out, as in most versions since: the coefficients of the pooling layers, the table of C3's
    partial connections (here all are connected) and the radial basis functions of the output.
    Images that leave S4 larger than 5 x 5 are averaged down to that before C5, smaller ones give C5
    fewer inputs.

    Raises `zoo.SpecError` for a problem without images or classes, or images under 16 x 16 pixels.
    """
    image, classes = problem.expect("lenet5", zoo.ImageInput, zoo.Classes)
    check_image_size("lenet5", image, 16)
    sides = [((side - 4) // 2 - 4) // 2 for side in (image.height, image.width)]
    height, breadth = grid = tuple(min(GRID, side) for side in sides)
    squash, pool = (nn.ReLU, nn.MaxPool2d) if modern else (nn.Tanh, nn.AvgPool2d)
    maps1, maps3, units5, units6 = (width * count for count in (6, 16, 120, 84))
    layers: dict[str, nn.Module] = {
        "c1": nn.Conv2d(image.channels, maps1, 5),
        "squash1": squash(),
        "s2": pool(2),
        "c3": nn.Conv2d(maps1, maps3, 5),
        "squash3": squash(),
        "s4": pool(2),
        "fit": nn.Identity() if max(sides) <= GRID else nn.AdaptiveAvgPool2d(grid),
        "flatten": nn.Flatten(),
        "c5": nn.Linear(maps3 * height * breadth, units5),
        "squash5": squash(),
        "f6": nn.Linear(units5, units6),
        "squash6": squash(),
        "head": nn.Linear(units6, classes.count),
    }
    return nn.Sequential(OrderedDict(layers))
