"""What the papers say of resnet1d and InceptionTime."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import zoo
from zoo_cnn.inception_time import inception_time
from zoo_cnn.resnet1d import resnet1d

CHART = zoo.Problem(
    task="series-classification",
    input=zoo.SeriesInput(channels=1, length=50),
    output=zoo.Classes(count=3),
)
PAIR = CHART.replace(input=zoo.SeriesInput(channels=2, length=50))


def sizes(module: nn.Module) -> list[tuple[int, int]]:
    """The outputs and steps of every convolution."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv1d)]
    return [(layer.out_channels, layer.kernel_size[0]) for layer in layers]


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("builder", [resnet1d, inception_time])
def test_series_of_any_length_are_taken(builder: Callable[..., nn.Module]) -> None:
    model = builder(PAIR).eval()
    assert model(torch.randn(2, 5, 2)).shape == model(torch.randn(2, 90, 2)).shape == (2, 3)


# -- resnet1d --


def test_resnet1d_has_the_papers_layers() -> None:
    model = resnet1d(CHART)
    assert [sizes(block.residual) for block in model.blocks] == [
        [(64, 8), (64, 5), (64, 3)],
        [(128, 8), (128, 5), (128, 3)],
        [(128, 8), (128, 5), (128, 3)],
    ]
    # A shortcut has a convolution only where there are more maps.
    assert [sizes(block.shortcut) for block in model.blocks] == [[(64, 1)], [(128, 1)], []]


def test_resnet1d_adds_a_normalised_shortcut_before_the_last_relu() -> None:
    block, features = resnet1d(CHART).eval().blocks[2], torch.randn(2, 128, 9)
    block.shortcut[0].running_mean.fill_(0.5)
    nn.init.zeros_(block.residual[-1].weight)
    expected = ((features - 0.5) / (1 + 1e-5) ** 0.5).relu()
    torch.testing.assert_close(block(features), expected)


# -- InceptionTime --


def test_an_inception_network_has_the_papers_layers() -> None:
    (network,) = inception_time(CHART).networks
    modules = [module for block in network for module in block.residual]
    spans = [(32, 40), (32, 20), (32, 10)]
    assert [sizes(module.convolutions) for module in modules] == 6 * [spans]
    assert [sizes(module.bottleneck) for module in modules] == [[]] + 5 * [[(32, 1)]]
    assert [sizes(module.peak) for module in modules] == 6 * [[(32, 1)]]
    assert [sizes(block.shortcut) for block in network] == [[(128, 1)], [(128, 1)]]


def test_an_inception_module_keeps_every_step() -> None:
    module = inception_time(PAIR).networks[0][0].residual[0].eval()
    features = torch.randn(2, 2, 50)
    reduced = module.bottleneck(features)
    first = module.convolutions[0][1].weight  # [32, 32, 40]
    expected = F.conv1d(F.pad(reduced, (19, 20)), first)
    torch.testing.assert_close(module.convolutions[0](reduced), expected)
    assert module(features).shape == (2, 128, 50)


def test_a_shortcut_leads_past_every_three_inception_modules() -> None:
    (block, _), features = inception_time(PAIR).eval().networks[0], torch.randn(2, 2, 50)
    nn.init.zeros_(block.residual[2].norm.weight)
    torch.testing.assert_close(block(features), block.shortcut(features).relu())


def test_an_ensemble_answers_with_the_mean_of_its_networks_probabilities() -> None:
    model, series = inception_time(PAIR, ensemble=3, width=4).eval(), torch.randn(5, 50, 2)
    alone = [
        head(network(series.transpose(1, 2)).mean(dim=2)).softmax(dim=1)
        for network, head in zip(model.networks, model.head, strict=True)
    ]
    assert not torch.allclose(alone[0], alone[1])
    torch.testing.assert_close(model(series).softmax(dim=1), sum(alone) / 3)


def test_an_ensemble_of_none_is_refused() -> None:
    with pytest.raises(zoo.SpecError, match=r"^inception_time: ensemble = 0: expected 1 network or more"):
        inception_time(CHART, ensemble=0)
