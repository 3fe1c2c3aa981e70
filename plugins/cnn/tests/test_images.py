"""What the papers say of the residual networks and of airbench."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import zoo
from zoo_cnn.adapt import adapt_channels
from zoo_cnn.airbench import airbench
from zoo_cnn.resnet import resnet20, resnet32, resnet56
from zoo_cnn.wide_resnet import wide_resnet

Builder = Callable[..., nn.Module]
CIFAR = zoo.Problem(
    task="image-classification",
    input=zoo.ImageInput(channels=3, height=32, width=32),
    output=zoo.Classes(count=10),
)


def millions(model: nn.Module) -> float:
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


# -- ResNet --


@pytest.mark.parametrize(("builder", "published"), [(resnet20, 0.27), (resnet32, 0.46), (resnet56, 0.85)])
def test_resnets_have_the_parameters_of_table_6(builder: Builder, published: float) -> None:
    assert round(millions(builder(CIFAR)), 2) == published


@pytest.mark.parametrize(("builder", "layers"), [(resnet20, 20), (resnet32, 32), (resnet56, 56)])
def test_resnets_have_the_layers_of_their_names(builder: Builder, layers: int) -> None:
    model = builder(CIFAR)
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in model.modules()) == layers


def test_resnet_halves_the_side_where_it_doubles_the_maps() -> None:
    model, features = resnet20(CIFAR).eval(), torch.randn(2, 3, 32, 32)
    shapes = []
    for part in (model.stem, *model.stages):
        features = part(features)
        shapes.append(tuple(features.shape[1:]))
    assert shapes == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_a_resnet_shortcut_takes_every_other_pixel_and_pads_maps_with_zeros() -> None:
    block, features = resnet20(CIFAR).stages[1][0].eval(), torch.randn(2, 16, 9, 7)
    nn.init.zeros_(block.norm2.weight)  # nothing is left but the shortcut
    expected = torch.zeros(2, 32, 5, 4)
    expected[:, 8:24] = features[:, :, ::2, ::2].relu()
    torch.testing.assert_close(block(features), expected)


# -- wide ResNet --

WIDE = [(40, 4, 8.9), (16, 8, 11.0), (28, 10, 36.5)]


@pytest.mark.parametrize(("depth", "width", "published"), WIDE)
def test_wide_resnets_have_the_papers_parameters(depth: int, width: int, published: float) -> None:
    with torch.device("meta"):
        model = wide_resnet(CIFAR, depth=depth, width=width)
    assert round(millions(model), 1) == pytest.approx(published, abs=0.05)


@pytest.mark.parametrize("depth", [4, 5, 20])
def test_a_wide_resnet_of_another_depth_is_refused(depth: int) -> None:
    with pytest.raises(zoo.SpecError, match=rf"^wide_resnet: depth = {depth}: not 6 n \+ 4"):
        wide_resnet(CIFAR, depth=depth)


def test_a_wide_block_normalises_first_and_shares_that_with_a_shortcut_that_widens() -> None:
    first, second = wide_resnet(CIFAR, depth=16, width=2).eval().stages[1]
    features = torch.randn(2, 32, 8, 8)
    ready = first.norm1(features).relu()
    residual = first.conv2(first.norm2(first.conv1(ready)).relu())
    torch.testing.assert_close(first(features), residual + F.conv2d(ready, first.shortcut.weight, stride=2))
    nn.init.zeros_(second.conv2.weight)
    wider = torch.randn(2, 64, 4, 4)
    torch.testing.assert_close(second(wider), wider)


def test_a_wide_resnet_leaves_out_at_random_only_in_training() -> None:
    model, images = wide_resnet(CIFAR, depth=10, width=1, dropout=0.5), torch.randn(4, 3, 8, 8)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


# -- airbench --


def test_airbench_has_the_papers_layers() -> None:
    """Counted by hand: 288 + 24, then 24-64-64-256-256-256-256 over 9 pixels, 1,152 shifts, 2,560."""
    model = airbench(CIFAR)
    maps = (24, 64, 64, 256, 256, 256, 256)
    convolutions = sum(9 * before * after for before, after in pairwise(maps))
    assert sum(p.numel() for p in model.parameters()) == 288 + 24 + convolutions + sum(maps[1:]) + 2_560
    features, shapes = model.eval().patches(torch.randn(1, 3, 32, 32)), []
    for block in list(model.blocks)[1:]:
        features = block(features)
        shapes.append(tuple(features.shape[1:]))
    assert shapes == [(64, 15, 15), (256, 7, 7), (256, 3, 3)]


def test_airbench_normalises_without_a_scale_and_forgets_fast() -> None:
    norms = [layer for layer in airbench(CIFAR).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 6
    assert all((norm.weight, norm.momentum, norm.eps) == (None, 0.4, 1e-12) for norm in norms)
    assert all(norm.bias.requires_grad for norm in norms)


def test_airbench_begins_with_convolutions_that_pass_on_their_inputs() -> None:
    convolution = airbench(CIFAR).blocks[1][0]
    features = torch.randn(2, 24, 6, 6)
    torch.testing.assert_close(convolution(features)[:, :24], features)
    assert not torch.allclose(convolution(features)[:, 24:48], features)


def test_airbench_scales_its_logits_down() -> None:
    model, images = airbench(CIFAR, width=8).eval(), torch.randn(2, 3, 32, 32)
    peaks = F.max_pool2d(model.blocks(model.patches(images)), 3).flatten(1)  # as the paper pools 3 x 3
    torch.testing.assert_close(model(images), peaks @ model.head.weight.T / 9)


@pytest.mark.parametrize("builder", [resnet20, wide_resnet, airbench])
def test_weights_for_colour_serve_grey_images(builder: Builder) -> None:
    colour = builder(CIFAR).eval()
    problem = CIFAR.replace(input=zoo.ImageInput(channels=1, height=32, width=32))
    grey, tensors = builder(problem).eval(), colour.state_dict()
    assert len(adapt_channels(tensors, grey)) == 1
    grey.load_state_dict(tensors)
    images = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(grey(images), colour(images.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-3)
