"""`zoo.profile` against closed forms and against what a real forward pass keeps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo.cli import main
from zoo.profile import example_inputs, profile

FP32, BF16 = 4, 2  # bytes an element


def _features(*shape: int):
    return lambda batch: (torch.randn(batch, *shape),)


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens))


class _Attention(nn.Module):
    def __init__(self, mask: bool = False) -> None:
        super().__init__()
        self.project = nn.Linear(8, 24)
        self.register_buffer("mask", torch.ones(5, 5, dtype=torch.bool).tril() if mask else None)

    def forward(self, inputs: Tensor) -> Tensor:
        heads = self.project(inputs).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)  # [3, B, heads, T, D]
        return F.scaled_dot_product_attention(*heads.unbind(), attn_mask=self.mask)


def _small_conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, groups=2),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16, 10),
    )


def _really_saved(module: nn.Module, inputs: Tensor) -> int:
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(inputs)
    return sum(storage.nbytes() for storage in storages.values())


def test_a_linear_layer_has_its_closed_form() -> None:
    facts = profile(lambda: nn.Linear(12, 7), _features(12))
    assert facts.parameters == 12 * 7 + 7
    assert facts.macs == 12 * 7
    assert facts.activation_bytes == {"fp32": 12 * FP32, "bf16": 12 * BF16}
    assert facts.largest_tensor_bytes == {"fp32": 7 * FP32, "bf16": 12 * BF16}


def test_a_convolution_has_its_closed_form() -> None:
    facts = profile(lambda: nn.Conv2d(3, 8, 5, stride=2, padding=2), _features(3, 32, 32))
    assert facts.macs == 16 * 16 * 8 * 3 * 5 * 5
    assert facts.activation_bytes["fp32"] == 3 * 32 * 32 * FP32
    assert facts.largest_tensor_bytes["fp32"] == 3 * 32 * 32 * FP32 // 3 * 2  # 8 x 16 x 16 outputs


@pytest.mark.parametrize("directions", [1, 2])
def test_an_lstm_has_its_closed_form(directions: int) -> None:
    steps, size, hidden = 6, 5, 9

    def build() -> nn.Module:
        return nn.LSTM(size, hidden, batch_first=True, bidirectional=directions == 2)

    facts = profile(build, _features(steps, size))
    assert facts.parameters == directions * 4 * (hidden * (size + hidden) + 2 * hidden)
    assert facts.macs == directions * steps * 4 * hidden * (size + hidden)
    gates_and_states = steps * directions * 6 * hidden * FP32  # four gates, the cell and the hidden state
    assert gates_and_states < facts.activation_bytes["fp32"] < 3 * gates_and_states


def test_a_relu_between_two_linear_layers_is_kept_once() -> None:
    facts = profile(lambda: nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3)), _features(6))
    assert facts.activation_bytes == {"fp32": (6 + 20) * FP32, "bf16": (6 + 20) * BF16}


def test_tied_parameters_count_once() -> None:
    facts = profile(_Tied, lambda batch: (torch.randint(0, 11, (batch, 4)),))
    assert facts.parameters == 11 * 8
    assert facts.macs == 4 * 8 * 11


def test_buffers_are_what_the_state_dict_holds_besides_parameters() -> None:
    class Buffered(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.register_buffer("kept", torch.zeros(3))
            self.register_buffer("dropped", torch.zeros(5), persistent=False)

    assert profile(Buffered, _features(4)).buffers == 3
    assert profile(lambda: nn.BatchNorm1d(4), _features(4)).buffers == 4 + 4 + 1


def test_frozen_parameters_are_parameters_but_keep_nothing() -> None:
    facts = profile(lambda: nn.Linear(4, 4).requires_grad_(False), _features(4))
    assert facts.parameters == 20
    assert facts.activation_bytes["fp32"] == 0


def test_what_no_sample_adds_is_not_counted() -> None:
    class Scaled(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return F.linear(inputs, self.weight.exp())  # the exponential is kept, once a batch

    assert profile(lambda: Scaled(4, 50), _features(4)).activation_bytes["fp32"] == 4 * FP32


@pytest.mark.parametrize("mask", [False, True])
def test_attention_keeps_no_matrix_of_scores(mask: bool) -> None:
    facts = profile(lambda: _Attention(mask), _features(5, 8), ("fp32", "bf16"))
    saved = 5 * (8 + 24 + 8)  # the input; queries, keys and values; the output
    logsumexp = 2 * 32 * FP32  # a number for each head and step, steps padded to 32
    assert facts.activation_bytes["fp32"] == saved * FP32 + logsumexp
    assert facts.activation_bytes["bf16"] == saved * BF16 + logsumexp
    assert facts.macs == 5 * 8 * 24 + 2 * 2 * 5 * 5 * 4


@pytest.mark.parametrize("mask", [False, True])
def test_attention_inside_of_windows_costs_as_much_as_with_them_as_batch(mask: bool) -> None:
    class Windows(_Attention):
        def forward(self, inputs: Tensor) -> Tensor:  # [B, windows, T, F]
            heads = self.project(inputs).unflatten(3, (3, 2, 4)).permute(3, 0, 1, 4, 2, 5)
            return F.scaled_dot_product_attention(*heads.unbind(), attn_mask=self.mask)

    windows = profile(lambda: Windows(mask), _features(3, 5, 8))
    alone = profile(lambda: _Attention(mask), _features(5, 8))
    assert windows.macs == 3 * alone.macs
    assert windows.activation_bytes["fp32"] == 3 * alone.activation_bytes["fp32"]


def test_a_conv_net_keeps_what_a_real_step_keeps() -> None:
    real = [_really_saved(_small_conv_net(), torch.randn(batch, 3, 16, 16)) for batch in (3, 8)]
    facts = profile(_small_conv_net, _features(3, 16, 16))
    # dropout remembers its mask as booleans on a GPU and as numbers on the CPU
    assert facts.activation_bytes["fp32"] == pytest.approx((real[1] - real[0]) / 5, abs=16 * FP32)


def test_a_transformer_layer_keeps_what_a_real_step_keeps() -> None:
    def build() -> nn.Module:
        return nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)

    real = [_really_saved(build(), torch.randn(batch, 32, 32)) for batch in (3, 8)]
    facts = profile(build, _features(32, 32))
    copy = 32 * 32 * FP32  # a GPU's kernel lays its output out by sample, and so it is copied once more
    assert facts.activation_bytes["fp32"] == pytest.approx((real[1] - real[0]) / 5 + copy, rel=0.01)


def test_profiling_leaves_autocast_and_randomness_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    profile(_small_conv_net, _features(3, 16, 16))
    assert torch.equal(torch.rand(1), expected)
    assert not torch.is_autocast_enabled("cuda")


def test_a_model_that_needs_values_says_so_in_one_line() -> None:
    class Trimmed(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs[inputs.sum(dim=1) > 0])

    with pytest.raises(zoo.ZooError, match="cannot be traced") as caught:
        profile(lambda: Trimmed(4, 4), _features(4))
    assert "\n" not in str(caught.value)


def test_example_inputs_have_the_shapes_of_every_task() -> None:
    image = zoo.ImageInput(channels=3, height=8, width=6)
    tokens = zoo.TokenInput(vocab_size=20, length=7)
    series = zoo.SeriesInput(channels=2, length=9)
    classes = zoo.Classes(count=4)
    problems = {
        "image-classification": (image, classes, [(5, 3, 8, 6)]),
        "text-classification": (tokens, classes, [(5, 7)]),
        "language-modeling": (tokens, zoo.TokenOutput(vocab_size=20, length=7), [(5, 7)]),
        "seq2seq": (tokens, zoo.TokenOutput(vocab_size=30, length=3), [(5, 7), (5, 3)]),
        "series-classification": (series, classes, [(5, 9, 2)]),
        "forecasting": (series, zoo.SeriesOutput(channels=2, length=3), [(5, 9, 2)]),
    }
    for task, (takes, gives, shapes) in problems.items():
        arguments = example_inputs(zoo.Problem(task=task, input=takes, output=gives), 5)
        assert [tuple(argument.shape) for argument in arguments] == shapes
        kind = torch.int64 if takes is tokens else torch.float32
        assert all(argument.dtype == kind for argument in arguments)
        if takes is tokens:
            assert all(argument.min() >= 1 for argument in arguments)
            assert arguments[0].max() < 20


def test_example_inputs_follow_the_default_device() -> None:
    problem = zoo.Problem(
        task="forecasting",
        input=zoo.SeriesInput(channels=1, length=4),
        output=zoo.SeriesOutput(channels=1, length=2),
    )
    with torch.device("meta"):
        (history,) = example_inputs(problem, 2)
    assert history.is_meta


def test_the_command_says_which_model_it_is_at_unless_asked_not_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for options in ((), ("-q",)):
        with pytest.raises(SystemExit) as ended:
            main([*options, "profile", "cnn/lenet5"])
        assert not ended.value.code
        told = capsys.readouterr()
        assert "cnn/lenet5" in told.out
        assert ("tracing cnn/lenet5, 1 of 1" in told.err) == (not options)
