from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
import zoo_cnn
from zoo_cnn.airbench import airbench
from zoo_cnn.convnet import convnet
from zoo_cnn.fcn import fcn
from zoo_cnn.inception_time import inception_time
from zoo_cnn.lenet5 import lenet5
from zoo_cnn.minirocket import minirocket
from zoo_cnn.resnet import resnet20, resnet32, resnet56
from zoo_cnn.resnet1d import resnet1d
from zoo_cnn.tcn import blocks_to_see, tcn
from zoo_cnn.textcnn import textcnn
from zoo_cnn.wide_resnet import wide_resnet

VOCAB = 11
CLASSES = zoo.Classes(count=3)
IMAGES = zoo.Problem(
    task="image-classification", input=zoo.ImageInput(channels=2, height=20, width=18), output=CLASSES
)
TEXT = zoo.Problem(
    task="text-classification", input=zoo.TokenInput(vocab_size=VOCAB, length=9), output=CLASSES
)
CHART = zoo.Problem(
    task="series-classification", input=zoo.SeriesInput(channels=2, length=13), output=CLASSES
)
FORECAST = zoo.Problem(
    task="forecasting",
    input=zoo.SeriesInput(channels=2, length=13),
    output=zoo.SeriesOutput(channels=2, length=4),
)

Builder = Callable[..., nn.Module]
CASES: dict[str, tuple[Builder, zoo.Problem, tuple[int, ...]]] = {
    "convnet": (convnet, IMAGES, (3,)),
    "lenet5": (lenet5, IMAGES, (3,)),
    "lenet5 modern": (lenet5, IMAGES, (3,)),
    "resnet20": (resnet20, IMAGES, (3,)),
    "wide_resnet": (wide_resnet, IMAGES, (3,)),
    "airbench": (airbench, IMAGES, (3,)),
    "textcnn": (textcnn, TEXT, (3,)),
    "fcn": (fcn, CHART, (3,)),
    "resnet1d": (resnet1d, CHART, (3,)),
    "inception_time": (inception_time, CHART, (3,)),
    "inception_time ensemble": (inception_time, CHART, (3,)),
    "minirocket": (minirocket, CHART, (3,)),
    "tcn": (tcn, FORECAST, (4, 2)),
}
SMALL: dict[str, dict[str, object]] = {
    "convnet": {"width": 8},
    "lenet5 modern": {"modern": True},
    "resnet20": {"width": 8},
    "wide_resnet": {"depth": 10, "width": 1},
    "airbench": {"width": 8},
    "textcnn": {"embedding": 8, "maps": 16},
    "fcn": {"width": 16},
    "resnet1d": {"width": 8},
    "inception_time": {"width": 4},
    "inception_time ensemble": {"width": 4, "ensemble": 3, "blocks": 1},
    "minirocket": {"features": 252},
    "tcn": {"width": 16},
}
every_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def build(case: str, **options: object) -> nn.Module:
    builder, problem, _ = CASES[case]
    return builder(problem, **{**SMALL.get(case, {}), **options}).eval()


def example(case: str, batch: int) -> Tensor:
    """A random input, as the case's forward takes it."""
    match CASES[case][1].input:
        case zoo.ImageInput(channels=channels, height=height, width=width):
            return torch.randn(batch, channels, height, width)
        case zoo.TokenInput(length=length):
            return torch.randint(1, VOCAB, (batch, length))
        case zoo.SeriesInput(channels=channels, length=length):
            return torch.randn(batch, length, channels)


# -- every model --


@every_case
@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_keeps_to_its_tasks_forward(case: str, batch: int) -> None:
    output = build(case)(example(case, batch))
    assert output.shape == (batch, *CASES[case][2])
    assert output.dtype == torch.float32


@every_case
def test_a_sample_is_answered_alike_in_any_batch(case: str) -> None:
    model, inputs = build(case), example(case, 4)
    torch.testing.assert_close(model(inputs)[2:3], model(inputs[2:3]), rtol=1e-5, atol=1e-5)


MISFITS = {
    convnet: [TEXT, CHART, FORECAST],
    lenet5: [TEXT, CHART, FORECAST],
    resnet20: [TEXT, CHART, FORECAST],
    resnet32: [TEXT],
    resnet56: [TEXT],
    wide_resnet: [TEXT, CHART, FORECAST],
    airbench: [TEXT, CHART, FORECAST],
    textcnn: [IMAGES, CHART, FORECAST],
    fcn: [IMAGES, TEXT, FORECAST],
    resnet1d: [IMAGES, TEXT, FORECAST],
    inception_time: [IMAGES, TEXT, FORECAST],
    minirocket: [IMAGES, TEXT, FORECAST],
    tcn: [IMAGES, TEXT, CHART],
}


@pytest.mark.parametrize(("builder", "problem"), [(b, p) for b, ps in MISFITS.items() for p in ps])
def test_a_problem_of_another_kind_is_refused_in_one_line(builder: Builder, problem: zoo.Problem) -> None:
    with pytest.raises(zoo.SpecError, match=rf"^{builder.__name__}: maps \w+ to \w+, not \w+ to \w+$"):
        builder(problem)


@pytest.mark.parametrize(
    ("builder", "smallest"),
    [(convnet, 10), (lenet5, 16), (resnet20, 8), (resnet56, 8), (wide_resnet, 8), (airbench, 9)],
)
def test_images_are_taken_down_to_the_smallest_and_no_further(builder: Builder, smallest: int) -> None:
    fits = IMAGES.replace(input=zoo.ImageInput(channels=1, height=smallest, width=40))
    assert builder(fits).eval()(torch.zeros(1, 1, smallest, 40)).shape == (1, 3)
    less = IMAGES.replace(input=zoo.ImageInput(channels=1, height=40, width=smallest - 1))
    with pytest.raises(zoo.SpecError, match=f"images of 40 x {smallest - 1} pixels are too small"):
        builder(less)


@every_case
def test_every_parameter_gets_a_gradient(case: str) -> None:
    model = build(case)
    output = model(example(case, 8))
    (output * torch.randn_like(output)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


@every_case
def test_a_model_builds_without_memory(case: str) -> None:
    with torch.device("meta"):
        model = build(case)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    shapes = {name: tensor.shape for name, tensor in build(case).state_dict().items()}
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes


@every_case
def test_a_small_batch_is_learnt_by_heart(case: str) -> None:
    options: dict[str, object] = {"dropout": 0.0} if case in ("convnet", "textcnn", "tcn") else {}
    model = build(case, **options).train()
    inputs = example(case, 6)
    target: Tensor = torch.arange(6) % 3
    if case == "tcn":
        target = torch.randn(6, 4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses: list[float] = []
    while len(losses) < 150 and (not losses or losses[-1] >= 0.1 * losses[0]):
        output = model(inputs)
        loss = F.l1_loss(output, target) if case == "tcn" else F.cross_entropy(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_the_plugins_models_are_those_it_names() -> None:
    specs = {spec.name: spec for spec in zoo_cnn.zoo_models()}
    images = {"convnet", "lenet5", "resnet20", "resnet32", "resnet56", "wide_resnet", "airbench"}
    series = {"fcn", "resnet1d", "inception_time", "minirocket", "tcn"}
    assert set(specs) == {*images, *series, "textcnn"}
    for spec in specs.values():
        model = zoo.load(f"cnn/{spec.name}")
        assert spec.facts is not None
        assert sum(p.numel() for p in model.parameters()) == spec.facts.parameters
        heads = {name for name, _ in model.named_parameters() if name.startswith(spec.head)}
        assert heads in ({"head.weight", "head.bias"}, {"head.weight"}, {"head.0.weight", "head.0.bias"})


# -- ConvNet --


def test_convnet_has_the_parameters_of_keras_example() -> None:
    """Counted by hand: 320 + 18,496 + 1,600 x 128 + 128 + 1,290."""
    problem = zoo.Problem(
        task="image-classification",
        input=zoo.ImageInput(channels=1, height=28, width=28),
        output=zoo.Classes(count=10),
    )
    counts = [sum(p.numel() for p in layer.parameters()) for layer in convnet(problem).children()]
    assert [count for count in counts if count] == [320, 18_496, 204_928, 1_290]


def test_convnet_gives_what_pooling_after_relu_gives() -> None:
    model, images = build("convnet"), example("convnet", 3)
    features = images
    for convolution in (model.conv1, model.conv2):
        features = F.max_pool2d(convolution(features).relu(), 2)
    expected = model.head(model.dense(features.flatten(1)).relu())
    torch.testing.assert_close(model(images), expected)


# -- LeNet-5 --

PAPER = zoo.Problem(
    task="image-classification",
    input=zoo.ImageInput(channels=1, height=32, width=32),
    output=zoo.Classes(count=10),
)


def test_lenet5_has_the_layers_of_figure_2() -> None:
    model, maps = lenet5(PAPER), {}
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _, inputs, output, name=name: maps.update({name: output.shape}))
    model(torch.zeros(1, 1, 32, 32))
    shapes = {name: tuple(maps[name][1:]) for name in ("c1", "s2", "c3", "s4", "c5", "f6", "head")}
    assert shapes == {
        "c1": (6, 28, 28),
        "s2": (6, 14, 14),
        "c3": (16, 10, 10),
        "s4": (16, 5, 5),
        "c5": (120,),
        "f6": (84,),
        "head": (10,),
    }
    # The paper's tables: C1 156, C5 48,120, F6 10,164; C3 with every connection 16 x (6 x 25 + 1).
    counts = [sum(p.numel() for p in getattr(model, name).parameters()) for name in ("c1", "c3", "c5", "f6")]
    assert counts == [156, 2_416, 48_120, 10_164]


def test_lenet5_averages_larger_images_down_to_the_papers_grid() -> None:
    large = PAPER.replace(input=zoo.ImageInput(channels=1, height=64, width=48))
    assert lenet5(large).c5.in_features == lenet5(PAPER).c5.in_features == 400
    assert isinstance(lenet5(PAPER).fit, nn.Identity)


def test_modern_lenet5_has_the_same_tensors() -> None:
    classic, modern = lenet5(PAPER), lenet5(PAPER, modern=True)
    modern.load_state_dict(classic.state_dict())
    images = torch.randn(2, 1, 32, 32)
    assert not torch.allclose(modern(images), classic(images))


# -- TextCNN --


@pytest.mark.parametrize("padding", [1, 30])
def test_padding_changes_nothing_on_either_side(padding: int) -> None:
    model, tokens = build("textcnn"), example("textcnn", 3)
    zeros = tokens.new_zeros(3, padding)
    torch.testing.assert_close(model(torch.cat([tokens, zeros], dim=1)), model(tokens))
    torch.testing.assert_close(model(torch.cat([zeros, tokens], dim=1)), model(tokens))


def test_a_text_of_padding_alone_or_of_one_token_is_answered() -> None:
    model = build("textcnn")
    nothing = model(torch.zeros(1, 9, dtype=torch.int64))
    torch.testing.assert_close(nothing, model.head.bias[None])
    assert model(torch.ones(1, 1, dtype=torch.int64)).isfinite().all()


def test_a_telling_run_counts_wherever_it_stands() -> None:
    """With one convolution of one width, the answer is that of the strongest window."""
    model = build("textcnn", widths=(2,))
    tokens = torch.tensor([[3, 7, 2, 2, 2, 2], [2, 2, 2, 3, 7, 2]])
    (convolution,) = model.convolutions
    windows = model.embedding(tokens).unfold(1, 2, 1).flatten(2)  # [B, T - 1, 2 E]
    responses = windows @ convolution.weight.flatten(1).T + convolution.bias
    last = model.embedding(tokens[:, -1]) @ convolution.weight[:, :, 0].T + convolution.bias
    expected = model.head(torch.maximum(responses.amax(dim=1), last).relu())
    torch.testing.assert_close(model(tokens), expected)


# -- FCN --


def test_fcn_takes_series_of_any_length() -> None:
    model = build("fcn")
    assert model(torch.randn(2, 5, 2)).shape == model(torch.randn(2, 200, 2)).shape == (2, 3)


def test_fcn_keeps_every_step_and_pads_as_same_does() -> None:
    model = build("fcn")
    block, features = model.blocks[0], torch.randn(2, 2, 13)
    convolution = block[1]
    assert convolution.kernel_size == (8,)
    expected = F.conv1d(F.pad(features, (3, 4)), convolution.weight, convolution.bias)  # 3 left, 4 right
    torch.testing.assert_close(block[:2](features), expected)
    assert model.blocks(features).shape == (2, 16, 13)


def test_fcn_has_the_papers_layers() -> None:
    model = fcn(CHART)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv1d)]
    sizes = [(layer.out_channels, layer.kernel_size[0]) for layer in layers]
    assert sizes == [(128, 8), (256, 5), (128, 3)]


# -- TCN --


def test_a_level_that_shifts_changes_nothing_else() -> None:
    model, history = build("tcn"), example("tcn", 3)
    torch.testing.assert_close(model(history + 100), model(history) + 100, rtol=1e-4, atol=1e-4)


def test_no_step_sees_a_later_one() -> None:
    model = build("tcn")
    features = torch.randn(1, 2, 13)
    changed = features.clone()
    changed[:, :, 8:] += 1
    before, after = model.blocks(features), model.blocks(changed)
    torch.testing.assert_close(after[:, :, :8], before[:, :, :8])
    assert not torch.allclose(after[:, :, 8:], before[:, :, 8:])


@pytest.mark.parametrize("length", [2, 13, 96, 128])
def test_the_whole_history_is_seen(length: int) -> None:
    """As many blocks as it takes, and not one more."""
    problem = FORECAST.replace(input=zoo.SeriesInput(channels=2, length=length))
    model = tcn(problem, width=8).eval()
    history = torch.randn(8, length, 2, requires_grad=True)  # some ReLUs are shut for any one of them
    model(history).pow(2).sum().backward()
    assert history.grad is not None
    assert history.grad.abs().amax(dim=(0, 2)).min() > 0
    blocks = blocks_to_see(length, 3)
    assert 1 + 4 * (2**blocks - 1) >= length
    assert blocks == 1 or 1 + 4 * (2 ** (blocks - 1) - 1) < length


def test_a_forecaster_refuses_other_channels_out_than_in() -> None:
    problem = FORECAST.replace(output=zoo.SeriesOutput(channels=1, length=4))
    with pytest.raises(zoo.SpecError, match="2 channels in and 1 out"):
        tcn(problem)
