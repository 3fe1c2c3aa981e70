"""Wide residual networks (Zagoruyko & Komodakis, BMVC 2016, arXiv 1605.07146)."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_cnn.blocks import image_conv
from zoo_cnn.problems import check_image_size

SMALLEST = 8  # pixels a side: 2 are left for the last stage
BASE = 16  # feature maps of the first convolution, and of the first stage at width 1


def wide_resnet(problem: zoo.Problem, *, depth: int = 16, width: int = 4, dropout: float = 0.0) -> nn.Module:
    """The paper's WRN-`depth`-`width`: images `[B, C, H, W]` to logits `[B, K]`.

    `depth` counts the convolutions, as the paper does: 6 n + 4 for n blocks in each of three stages.
    `width` multiplies their feature maps. `dropout` is the share left out between a block's two
    convolutions.

    Raises `zoo.SpecError` for a problem without images or classes, images under 8 x 8 pixels, or
    another depth.
    """
    image, classes = problem.expect("wide_resnet", zoo.ImageInput, zoo.Classes)
    check_image_size("wide_resnet", image, SMALLEST)
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise zoo.SpecError("wide_resnet", [f"depth = {depth}: not 6 n + 4; take 10, 16, 22, 28, 34 or 40"])
    return WideResNet(image.channels, classes.count, blocks, width, dropout)


class WideResNet(nn.Module):
    """A convolution, three stages of `blocks` residual blocks, and the mean over the image (table 1)."""

    def __init__(self, channels: int, classes: int, blocks: int, width: int, dropout: float) -> None:
        super().__init__()
        maps = [BASE, *(BASE * width * 2**stage for stage in range(3))]
        self.stem = image_conv(channels, BASE)
        self.stages = nn.Sequential(
            *(_stage(maps[n], maps[n + 1], blocks, 2 if n else 1, dropout) for n in range(3))
        )
        self.norm = nn.BatchNorm2d(maps[-1])
        self.head = nn.Linear(maps[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` to logits `[B, K]`."""
        features = self.norm(self.stages(self.stem(images))).relu_()  # [B, 64 width, H / 4, W / 4]
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def _stage(inputs: int, outputs: int, blocks: int, stride: int, dropout: float) -> nn.Module:
    first = Block(inputs, outputs, stride, dropout)
    return nn.Sequential(first, *(Block(outputs, outputs, 1, dropout) for _ in range(blocks - 1)))


class Block(nn.Module):
    """Two convolutions, each after its normalisation and ReLU; where maps are added, so is the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = image_conv(inputs, outputs, stride=stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = image_conv(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else image_conv(inputs, outputs, size=1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, inputs, H, W]` to `[B, outputs, H / stride, W / stride]`."""
        ready = self.norm1(features).relu_()
        residual: Tensor = self.conv2(self.dropout(self.norm2(self.conv1(ready)).relu_()))
        return residual + (features if self.shortcut is None else self.shortcut(ready))
