from __future__ import annotations

from statistics import NormalDist

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo_lstm.deepar import DeepAR, Guided, deepar
from zoo_lstm.forecaster import forecaster
from zoo_lstm.lstm_fcn import AttentionLSTM, alstm_fcn, lstm_fcn
from zoo_lstm.normalize import ReversibleNorm, ReversibleScale

CHART = zoo.Problem(
    task="series-classification",
    input=zoo.SeriesInput(channels=3, length=20),
    output=zoo.Classes(count=4),
)
FORECAST = zoo.Problem(
    task="forecasting",
    input=zoo.SeriesInput(channels=2, length=20),
    output=zoo.SeriesOutput(channels=2, length=6),
)


# -- normalisation --


@pytest.mark.parametrize("kind", [ReversibleNorm, ReversibleScale])
def test_normalisation_is_undone_by_its_scale_and_level(kind: type[nn.Module]) -> None:
    module, history = kind(2), 50 + 9 * torch.randn(3, 20, 2)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.5, 2.0)
    normal, scale, level = module(history)
    torch.testing.assert_close(normal * scale + level, history, atol=1e-4, rtol=1e-5)


def test_instance_normalisation_gives_each_series_mean_0_and_deviation_1() -> None:
    normal, _, _ = ReversibleNorm(2)(50 + 9 * torch.randn(3, 20, 2))
    torch.testing.assert_close(normal.mean(dim=1), torch.zeros(3, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(normal.std(dim=1, correction=0), torch.ones(3, 2), atol=1e-4, rtol=0)


def test_a_series_that_never_changes_is_normalised_to_numbers() -> None:
    normal, scale, level = ReversibleNorm(1)(torch.full((1, 20, 1), 7.0))
    assert normal.abs().max() == 0
    torch.testing.assert_close(normal * scale + level, torch.full((1, 20, 1), 7.0))


@pytest.mark.parametrize("build", [lambda: forecaster(FORECAST, normalize=True), lambda: instance()])
def test_a_normalised_forecast_follows_level_and_scale(build: object) -> None:
    model, history = build().eval(), torch.randn(3, 20, 2)
    level, scale = torch.tensor([100.0, -7.0]), torch.tensor([3.0, 0.5])
    expected = model(history) * scale + level
    torch.testing.assert_close(model(history * scale + level), expected, atol=1e-3, rtol=1e-4)


def instance() -> DeepAR:
    return deepar(FORECAST, normalize="instance")


# -- deepar --


def test_the_forecast_is_what_follows_when_each_mean_is_the_next_value() -> None:
    model, history = deepar(FORECAST, normalize="scale").eval(), torch.randn(3, 20, 2)
    normal, scale, _ = model.normalize(history)
    for _ in range(6):
        states, _ = model.layers(normal)
        normal = torch.cat([normal, model.mean(states[:, -1:])], dim=1)
    torch.testing.assert_close(model(history), normal[:, 20:] * scale, atol=1e-5, rtol=1e-5)


def test_samples_are_distributed_as_the_model_says() -> None:
    model, history = deepar(FORECAST).eval(), torch.randn(2, 20, 2)
    spread = model.distribution(history)
    first = model.sample(history, 4000)[:, :, 0]  # [S, B, C], of the first step to come
    error = spread.stddev[:, -1] / 4000**0.5
    assert ((first.mean(dim=0) - spread.mean[:, -1]).abs() < 5 * error).all()
    torch.testing.assert_close(first.std(dim=0), spread.stddev[:, -1], atol=0, rtol=0.08)


def test_quantiles_of_the_first_step_are_those_of_its_distribution() -> None:
    model, history = deepar(FORECAST).eval(), torch.randn(1, 20, 2)
    spread = model.distribution(history)
    levels = (0.1, 0.5, 0.9)
    found = model.quantiles(history, levels, samples=4000)
    assert found.shape == (3, 1, 6, 2)
    assert (found.diff(dim=0) > 0).all()
    places = torch.tensor([NormalDist().inv_cdf(level) for level in levels])[:, None, None]
    expected = spread.mean[:, -1] + places * spread.stddev[:, -1]  # [Q, B, C]
    assert ((found[:, :, 0] - expected).abs() / spread.stddev[:, -1]).max() < 0.1


def test_samples_of_one_seed_are_alike_and_each_goes_its_own_way() -> None:
    model, history = deepar(FORECAST).eval(), torch.randn(2, 20, 2)
    one, again, other = (model.sample(history, 3, seed=seed) for seed in (0, 0, 1))
    assert one.shape == (3, 2, 6, 2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_a_history_with_gaps_is_refused_in_one_line() -> None:
    history = torch.randn(2, 20, 2)
    history[0, 3] = torch.nan
    with pytest.raises(zoo.DataError, match=r"^2 of the history's 80 values are not finite; [^\n]+$"):
        deepar(FORECAST).eval().sample(history, 3)


def test_quantiles_that_are_no_shares_are_refused_in_one_line() -> None:
    with pytest.raises(zoo.DataError, match=r"^quantiles of \[-0.1, 1.5\]: expected shares from 0 to 1$"):
        deepar(FORECAST).eval().quantiles(torch.randn(2, 20, 2), (-0.1, 0.5, 1.5))


def test_a_guided_output_is_the_output_and_its_gradient_that_of_both_losses() -> None:
    output, extra = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    target = torch.randn(4, 3)

    def losses(weight: float, guided: bool) -> tuple[Tensor, ...]:
        surprise = extra.square().mean()
        given = Guided.apply(output, surprise) if guided else output
        loss = weight * (given - target).abs().mean()
        return torch.autograd.grad(loss if guided else loss + weight * surprise, [output, extra])

    assert torch.equal(Guided.apply(output, extra.mean()), output)
    for weight in (1.0, 0.25):  # as of a piece of a batch
        torch.testing.assert_close(losses(weight, True), losses(weight, False))


def test_training_by_the_forecasts_error_alone_learns_how_far_values_spread() -> None:
    noise = zoo.Problem(
        task="forecasting",
        input=zoo.SeriesInput(channels=1, length=16),
        output=zoo.SeriesOutput(channels=1, length=2),
    )
    model = deepar(noise, units=8, layers=1).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        series = 0.2 * torch.randn(64, 18, 1)
        (model(series[:, :16]) - series[:, 16:]).abs().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    history = 0.2 * torch.randn(64, 16, 1)
    assert model.distribution(history).stddev[:, -1].mean().item() == pytest.approx(0.2, rel=0.15)
    low, high = model.quantiles(history, (0.1, 0.9))
    future = 0.2 * torch.randn(64, 2, 1)
    assert ((future > low) & (future < high)).float().mean().item() == pytest.approx(0.8, abs=0.15)


def test_a_normalisation_that_is_none_is_refused_in_one_line() -> None:
    with pytest.raises(zoo.SpecError, match=r"^deepar: normalize = 'mean': known: scale, instance$"):
        deepar(FORECAST, normalize="mean")


# -- lstm_fcn --


@pytest.mark.parametrize("build", [lstm_fcn, alstm_fcn])
def test_the_dimension_shuffle_makes_a_step_of_each_channel(build: object) -> None:
    model, series = build(CHART, width=8).eval(), torch.randn(2, 20, 3)
    seen = []
    model.lstm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(series)
    assert torch.equal(seen[0], series.transpose(1, 2))
    with pytest.raises(zoo.DataError, match=r"^series of 19 steps for a model of 20; [^\n]+$"):
        model(series[:, :19])


@pytest.mark.parametrize("build", [lstm_fcn, alstm_fcn])
def test_without_the_shuffle_a_series_may_have_any_length(build: object) -> None:
    model = build(CHART, width=8, shuffle=False).eval()
    assert model(torch.randn(2, 31, 3)).shape == (2, 4)


def test_the_convolutions_are_the_papers() -> None:
    model = lstm_fcn(CHART)
    layers = [layer for layer in model.blocks.modules() if isinstance(layer, nn.Conv1d)]
    shapes = [(layer.in_channels, layer.out_channels, *layer.kernel_size) for layer in layers]
    assert shapes == [(3, 128, 8), (128, 256, 5), (256, 128, 3)]
    assert model.head.in_features == 128 + 8


def test_attention_over_one_step_finds_that_step() -> None:
    single, series = AttentionLSTM(5, 4, choice=False), torch.randn(2, 1, 5)
    full = AttentionLSTM(5, 4, choice=True)
    full.cell.load_state_dict(single.cell.state_dict())
    torch.testing.assert_close(full(series)[0], single(series)[0])


def test_attention_weighs_every_step_before_each() -> None:
    layer, series = AttentionLSTM(5, 4, choice=True), torch.randn(1, 3, 5)
    hidden = memory = torch.zeros(1, 4)
    for step in range(3):
        scores = [
            layer.score((layer.query(hidden) + layer.keys(series[:, other])).tanh()) for other in range(3)
        ]
        weights = torch.cat(scores, dim=1).softmax(dim=1)
        found = (weights[0, :, None] * series[0]).sum(dim=0, keepdim=True)
        hidden, memory = layer.cell(torch.cat([series[:, step], found], dim=1), (hidden, memory))
    torch.testing.assert_close(layer(series)[1], hidden)
