"""ResNet for small images (He et al., "Deep residual learning for image recognition", CVPR 2016)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_cnn.blocks import image_conv
from zoo_cnn.problems import check_image_size

SMALLEST = 8  # pixels a side: 2 are left for the last stage


def resnet20(problem: zoo.Problem, *, width: int = 16) -> nn.Module:
    """Section 4.2's network with 20 layers: images `[B, C, H, W]` to logits `[B, K]`.

    `width` is the number of feature maps of the first of its three stages; each further one has twice
    as many on half the side.

    Raises `zoo.SpecError` for a problem without images or classes, or images under 8 x 8 pixels.
    """
    return _resnet("resnet20", problem, 3, width)


def resnet32(problem: zoo.Problem, *, width: int = 16) -> nn.Module:
    """As `resnet20`, with 32 layers."""
    return _resnet("resnet32", problem, 5, width)


def resnet56(problem: zoo.Problem, *, width: int = 16) -> nn.Module:
    """As `resnet20`, with 56 layers."""
    return _resnet("resnet56", problem, 9, width)


def _resnet(name: str, problem: zoo.Problem, blocks: int, width: int) -> nn.Module:
    image, classes = problem.expect(name, zoo.ImageInput, zoo.Classes)
    check_image_size(name, image, SMALLEST)
    return ResNet(image.channels, classes.count, blocks, width)


class ResNet(nn.Module):
    """A convolution, three stages of `blocks` residual blocks, and the mean over the image."""

    def __init__(self, channels: int, classes: int, blocks: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(image_conv(channels, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(
            _stage(width, width, blocks),
            _stage(width, 2 * width, blocks),
            _stage(2 * width, 4 * width, blocks),
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` to logits `[B, K]`."""
        features = self.stages(self.stem(images))  # [B, 4 width, H / 4, W / 4]
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Module:
    first = Block(inputs, outputs)
    return nn.Sequential(first, *(Block(outputs, outputs) for _ in range(blocks - 1)))


class Block(nn.Module):
    """Two convolutions over a shortcut without parameters (option A): more maps are on half the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride, self.added = (1, 0) if inputs == outputs else (2, outputs - inputs)
        self.conv1 = image_conv(inputs, outputs, stride=self.stride)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = image_conv(outputs, outputs)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, inputs, H, W]` to `[B, outputs, H / stride, W / stride]`."""
        residual = self.norm2(self.conv2(self.norm1(self.conv1(features)).relu_()))
        out: Tensor = (residual + self._shortcut(features)).relu_()
        return out

    def _shortcut(self, features: Tensor) -> Tensor:
        """The features themselves: every other pixel of them, and maps of zeros for those that are new."""
        if not self.added:
            return features
        before = self.added // 2
        return F.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, before, self.added - before))
