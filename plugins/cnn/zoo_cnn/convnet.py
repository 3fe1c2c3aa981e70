"""ConvNet: two convolutions and two dense layers, the network most people meet first."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

import zoo
from zoo_cnn.problems import check_image_size


def convnet(problem: zoo.Problem, *, width: int = 32, dropout: float = 0.5) -> nn.Module:
    """The convolutional network of Keras' MNIST examples: images `[B, C, H, W]` to logits `[B, K]`.

    `width` is the number of feature maps of the first convolution; the second has twice and the
    dense layer four times as many. `dropout` is the share of the dense layer that is left out.

    Raises `zoo.SpecError` for a problem without images or classes, or images under 10 x 10 pixels.
    """
    image, classes = problem.expect("convnet", zoo.ImageInput, zoo.Classes)
    check_image_size("convnet", image, 10)
    height, breadth = (((side - 2) // 2 - 2) // 2 for side in (image.height, image.width))
    # Pooling before ReLU gives the same numbers as after it, and leaves ReLU a quarter of the work.
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(image.channels, width, 3),
        "pool1": nn.MaxPool2d(2),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(width, 2 * width, 3),
        "pool2": nn.MaxPool2d(2),
        "relu2": nn.ReLU(),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(2 * width * height * breadth, 4 * width),
        "relu3": nn.ReLU(),
        "dropout": nn.Dropout(dropout),
        "head": nn.Linear(4 * width, classes.count),
    }
    return nn.Sequential(OrderedDict(layers))
