"""MiniRocket's features are the published ones; its biases come from the first batch and stay."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import zoo
from zoo_cnn.minirocket import MiniRocket, features_by_dilation, minirocket

PUBLISHED = json.loads(Path(__file__).with_name("minirocket.json").read_bytes())  # it says who made it


def problem(length: int, channels: int = 1) -> zoo.Problem:
    return zoo.Problem(
        task="series-classification",
        input=zoo.SeriesInput(channels=channels, length=length),
        output=zoo.Classes(count=3),
    )


def biases(model: nn.Module) -> Tensor:
    return torch.cat([kernels.biases.flatten() for kernels in model.kernels.values()])


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


# -- the transform --


@pytest.mark.parametrize(("length", "published"), PUBLISHED["dilations"].items())
def test_dilations_are_the_published_ones(length: str, published: list[list[int]]) -> None:
    shares = features_by_dilation(int(length), 10_000 // 84, 32)
    assert [list(shares), list(shares.values())] == published


@pytest.mark.parametrize("case", PUBLISHED["cases"], ids=["one channel", "eleven channels"])
def test_features_are_the_published_ones(case: dict[str, Any]) -> None:
    series = torch.tensor(case["series"])  # [N, T, C]
    model = minirocket(problem(*series.shape[1:]), features=case["features"]).eval()
    taken = iter(case["biases"])
    picks = iter(case["channels"])
    for kernels in model.kernels.values():
        kernels.biases.copy_(torch.tensor([next(taken) for _ in range(kernels.biases.numel())]).view(84, -1))
        if case["channels"]:
            kernels.channels.fill_(series.shape[2])  # the one of zeros
            for kernel in range(84):
                picked = torch.tensor(next(picks))
                kernels.channels[: len(picked), kernel] = picked
    assert next(taken, None) is next(picks, None) is None
    torch.testing.assert_close(
        model.transform(series), torch.tensor(case["features_found"]), rtol=0, atol=1e-5
    )


def test_a_response_is_the_paper_s_convolution() -> None:
    """The weights are 2 at three of nine places and -1 elsewhere; beyond the ends there are zeros."""
    model, series = minirocket(problem(40)), torch.randn(2, 40, 1)
    weights = -torch.ones(84, 1, 9)
    for weight, places in zip(weights, combinations(range(9), 3), strict=True):
        weight[0, list(places)] = 2
    for kernels in model.kernels.values():
        dilation = kernels.dilation
        expected = nn.functional.conv1d(
            series.transpose(1, 2), weights, padding=4 * dilation, dilation=dilation
        )
        torch.testing.assert_close(kernels._responses(series.transpose(1, 2)), expected)


def test_there_are_9_996_features_and_only_the_head_is_trained() -> None:
    for length in (9, 60, 500):
        model = minirocket(problem(length))
        assert model.transform(torch.randn(2, length, 1)).shape == (2, 9_996)
        assert {name for name, _ in model.named_parameters()} == {"head.weight", "head.bias"}


def test_a_kernel_looks_at_up_to_nine_different_channels() -> None:
    model = minirocket(problem(30, channels=20))
    for kernels in model.kernels.values():
        for picked in kernels.channels.T.tolist():
            real = [channel for channel in picked if channel < 20]
            assert 1 <= len(real) == len(set(real)) <= 9
            assert picked[len(real) :] == [20] * (9 - len(real))


# -- the biases --


def test_a_bias_is_a_quantile_of_one_series_response() -> None:
    model, series = minirocket(problem(21), features=252), torch.randn(5, 21, 1)
    model.train().transform(series)
    number = 0
    for position, kernels in enumerate(model.kernels.values()):
        responses = kernels._responses(series.transpose(1, 2)).numpy()
        for kernel in range(84):
            own = responses[(84 * position + kernel) % 5, kernel]
            for bias in kernels.biases[kernel].tolist():
                number += 1
                quantile = number * (5**0.5 + 1) / 2 % 1
                assert bias == pytest.approx(np.quantile(own, quantile), abs=1e-4)
    assert number == 252


def test_only_the_first_training_batch_sets_the_biases() -> None:
    model = minirocket(problem(21), features=84)
    model.eval()(torch.randn(4, 21, 1))
    assert not biases(model).any()
    model.train()(torch.randn(4, 21, 1))
    first = biases(model).clone()
    assert first.any()
    model(100 * torch.randn(4, 21, 1))
    torch.testing.assert_close(biases(model), first, rtol=0, atol=0)


def test_the_biases_follow_from_the_batch_alone() -> None:
    series, found = torch.randn(4, 21, 1), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model: MiniRocket = minirocket(problem(21), features=84)
        model.train()(series)
        found.append(biases(model))
    assert torch.equal(*found)


def test_biases_are_kept_with_the_weights(tmp_path: Path) -> None:
    path, series = tmp_path / "weights.safetensors", torch.randn(4, 21, 1)
    model = minirocket(problem(21), features=84)
    model.train()(series)
    save_file(model.state_dict(), path)
    torch.manual_seed(1)
    twin = minirocket(problem(21), features=84)
    twin.load_state_dict(load_file(path))
    twin.train()(100 * series)
    assert torch.equal(biases(twin), biases(model))


def test_biases_for_series_of_another_length_are_not_taken(tmp_path: Path) -> None:
    """They belong to dilations, of which a longer series has others."""
    path = tmp_path / "weights.safetensors"
    save_file(minirocket(problem(21)).state_dict(), path)
    with pytest.raises(zoo.WeightsError, match=r"does not fit the model: kernels\.dilation"):
        zoo.load("cnn/minirocket", weights=str(path), problem=problem(80))


# -- what it refuses --


@pytest.mark.parametrize(
    ("length", "options", "fault"),
    [
        (8, {}, "series of 8 steps are too short; it takes 9"),
        (9, {"features": 83}, "features = 83: expected 84 or more, one for each kernel"),
        (9, {"dilations": 0}, "dilations = 0: expected 1 or more"),
    ],
)
def test_what_leaves_no_feature_is_refused(length: int, options: dict[str, int], fault: str) -> None:
    with pytest.raises(zoo.SpecError, match=f"^minirocket: {fault}$"):
        minirocket(problem(length), **options)
