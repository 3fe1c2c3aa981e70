from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo_lstm.cells import FUSED, LockedDropout, Projected, WeightDropped, gru, lstm, one_way, run
from zoo_lstm.language_model import language_model
from zoo_lstm.minimal import MinGRU, MinLSTM, Scan
from zoo_lstm.recurrent import Plan, Stack, read, recurrence
from zoo_lstm.state import map_state

CELLS = ("rnn", "lstm", "gru", "min_lstm", "min_gru")
every_cell = pytest.mark.parametrize("cell", CELLS)


def made(cell: str, inputs: int = 3, **settings: object) -> nn.Module:
    return recurrence(Plan(model="test", **{"cell": cell, "units": (6, 6), **settings}), inputs).eval()


# -- minimal cells --


def positive(candidate: Tensor) -> Tensor:
    """The paper's `g`, not in logarithms."""
    return torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())


def min_gru_step_by_step(layer: MinGRU, sequence: Tensor, state: Tensor) -> Tensor:
    states = []
    for step in sequence.unbind(dim=1):
        update, candidate = layer.gates(step).chunk(2, dim=1)
        weight = update.sigmoid()
        state = (1 - weight) * state + weight * positive(candidate)
        states.append(state)
    return torch.stack(states, dim=1)


def min_lstm_step_by_step(layer: MinLSTM, sequence: Tensor, state: Tensor) -> Tensor:
    states = []
    for step in sequence.unbind(dim=1):
        forget, take, candidate = layer.gates(step).chunk(3, dim=1)
        forget, take = forget.sigmoid(), take.sigmoid()
        state = (forget * state + take * positive(candidate)) / (forget + take)
        states.append(state)
    return torch.stack(states, dim=1)


MINIMAL = {MinGRU: min_gru_step_by_step, MinLSTM: min_lstm_step_by_step}


@pytest.mark.parametrize("kind", MINIMAL)
@pytest.mark.parametrize("length", [1, 2, 16, 17, 100, 2500])
@pytest.mark.parametrize("spread", [1.0, 8.0])
def test_the_parallel_scan_is_the_sequential_form(kind: type[nn.Module], length: int, spread: float) -> None:
    layer, sequence = kind(3, 5), spread * torch.randn(2, length, 3)
    state = torch.rand(1, 2, 5)
    with torch.no_grad():
        exact = MINIMAL[kind](layer.double(), sequence.double(), state[0].double())
        states, last = layer.float()(sequence, state)
    torch.testing.assert_close(states, exact.float(), atol=1e-5, rtol=1e-5)
    assert torch.equal(last[0], states[:, -1])


@pytest.mark.parametrize("kind", MINIMAL)
def test_the_parallel_scan_has_the_sequential_forms_gradient(kind: type[nn.Module]) -> None:
    layer, sequence = kind(3, 5).double(), torch.randn(2, 70, 3).double()
    judge = torch.randn(2, 70, 5).double()
    found, expected = (
        torch.autograd.grad((states * judge).sum(), [*layer.parameters()])
        for states in (
            layer(sequence)[0],
            MINIMAL[kind](layer, sequence, torch.zeros(2, 5).double()),
        )
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("length", [1, 2, 4, 7])
def test_the_scans_gradient_is_that_of_its_sum_and_has_one_itself(length: int) -> None:
    keep, values = (torch.rand(2, length, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(Scan.apply, (keep, values))
    assert torch.autograd.gradgradcheck(Scan.apply, (keep, values))


@pytest.mark.parametrize("kind", MINIMAL)
def test_gates_that_are_shut_or_open_wide_give_finite_states_and_gradients(kind: type[nn.Module]) -> None:
    layer, sequence = kind(3, 5), 1000 * torch.randn(2, 300, 3)
    states, _ = layer(sequence)
    states.sum().backward()
    assert states.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("kind", MINIMAL)
def test_states_are_the_same_whether_gradients_are_wanted_or_not(kind: type[nn.Module]) -> None:
    layer, sequence = kind(3, 5), torch.randn(2, 300, 3)
    with torch.no_grad():
        expected, _ = layer(sequence)
    assert torch.equal(layer(sequence)[0], expected)


def test_a_minimal_cell_remembers_through_thousands_of_steps() -> None:
    layer = MinGRU(1, 1)
    with torch.no_grad():
        layer.gates.weight.zero_()
        layer.gates.bias.copy_(torch.tensor([-20.0, 0.0]))  # takes nothing
        states, _ = layer(torch.zeros(1, 4096, 1), torch.full((1, 1, 1), 3.0))
    assert states[0, -1].item() == pytest.approx(3.0, rel=1e-4)


# -- fused cells --


@pytest.mark.parametrize(("cell", "kind"), {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}.items())
def test_a_plain_stack_is_torchs_own(cell: str, kind: type[nn.Module]) -> None:
    module = made(cell)
    assert type(module) is kind
    assert module.num_layers == 2


@every_cell
def test_a_stack_is_its_layers_one_after_the_other(cell: str) -> None:
    module, sequence = made(cell, variational=True), torch.randn(2, 7, 3)
    assert isinstance(module, Stack)
    first, second = (module.get_submodule(name) for name in "01")
    between, one = first(sequence)
    states, two = second(between)
    found, state = read(module, sequence)
    torch.testing.assert_close(found, states)
    torch.testing.assert_close(state, (one, two))


def test_residual_layers_add_what_they_read() -> None:
    module, sequence = made("gru", inputs=6, residual=True), torch.randn(2, 7, 6)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)  # each state is 0
    torch.testing.assert_close(read(module, sequence)[0], sequence)


def test_a_projection_is_what_the_next_layer_reads() -> None:
    module, sequence = made("lstm", projection=2), torch.randn(2, 7, 3)
    first, second = (module.get_submodule(name) for name in "01")
    assert isinstance(second, Projected)
    assert second.layer.input_size == 2
    states, _ = first.layer(sequence)
    torch.testing.assert_close(first(sequence)[0], first.down(states))
    assert read(module, sequence)[0].shape == (2, 7, 2)


# -- dropout --


def test_locked_dropout_leaves_the_same_features_out_at_every_step() -> None:
    dropped = LockedDropout(0.5)(torch.ones(20, 9, 8))
    assert torch.equal(dropped, dropped[:, :1].expand(20, 9, 8))
    assert dropped.unique().tolist() == [0.0, 2.0]
    assert len({tuple(row) for row in dropped[:, 0].tolist()}) > 10  # others of each sequence


@pytest.mark.parametrize("cell", FUSED)
def test_weight_dropout_of_next_to_nothing_is_the_layer_itself(cell: str) -> None:
    layer = FUSED[cell](3, 6)
    dropped, sequence = WeightDropped(layer, 1e-9).train(), torch.randn(2, 7, 3)
    torch.testing.assert_close(dropped(sequence), layer(sequence))
    _, state = layer(sequence)
    torch.testing.assert_close(dropped(sequence, state), layer(sequence, state))


@pytest.mark.parametrize("cell", FUSED)
def test_weight_dropout_of_all_leaves_no_way_from_step_to_step(cell: str) -> None:
    layer = one_way(cell, 3, 6, weight_dropout=0.5, projection=0).train()
    layer.dropout.p = 1.0
    layer.layer.bias_hh_l0.data.normal_()
    sequence = torch.randn(1, 2, 3)
    changed = sequence.clone()
    changed[:, 0] += 1
    last, other = (layer(given)[0][:, 1] for given in (sequence, changed))
    if cell == "rnn":  # gated cells still carry their state itself
        assert torch.equal(last, other)
    weight = layer.layer.weight_hh_l0
    assert torch.autograd.grad(last.sum(), weight, allow_unused=True)[0].abs().sum() == 0


def test_weight_dropout_acts_in_training_alone() -> None:
    layer, sequence = WeightDropped(lstm(3, 6), 0.5), torch.randn(2, 7, 3)
    assert not torch.equal(layer(sequence)[0], layer(sequence)[0])
    layer.eval()
    torch.testing.assert_close(layer(sequence), layer.layer(sequence))


# -- pieces --


STACKS: dict[str, dict[str, object]] = {
    "plain": {},
    "single": {"units": (6,)},
    "variational": {"variational": True},
    "residual": {"residual": True},
    "projected": {"projection": 4},
    "growing": {"units": (4, 9, 5)},
}


@every_cell
@pytest.mark.parametrize("how", STACKS)
def test_a_sequence_in_pieces_has_the_states_of_the_whole(cell: str, how: str) -> None:
    module, sequence = made(cell, **STACKS[how]), torch.randn(3, 50, 3)
    whole, last = read(module, sequence)
    pieces, state = [], None
    for piece in sequence.split([1, 9, 33, 7], dim=1):
        states, state = read(module, piece, state=state)
        pieces.append(states)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, last, atol=1e-5, rtol=1e-5)


@every_cell
@pytest.mark.parametrize("how", STACKS)
def test_a_state_of_other_sequences_is_refused_in_one_line(cell: str, how: str) -> None:
    module = made(cell, **STACKS[how])
    _, state = read(module, torch.randn(3, 5, 3))
    with pytest.raises(zoo.DataError, match=r"^a state of 3 sequences for a batch of 2; go on with"):
        read(module, torch.randn(2, 5, 3), state=state)


@every_cell
def test_a_state_can_be_cut_off_from_what_led_to_it(cell: str) -> None:
    module, sequence = made(cell, variational=True), torch.randn(2, 5, 3)
    first = sequence.clone().requires_grad_()
    _, state = read(module, first)
    states, _ = read(module, sequence, state=map_state(Tensor.detach, state))
    states.sum().backward()
    assert first.grad is None


@every_cell
def test_no_steps_are_refused_in_one_line(cell: str) -> None:
    with pytest.raises(zoo.DataError, match=r"^a sequence of 0 steps; give at least one"):
        read(made(cell), torch.randn(2, 0, 3))


@every_cell
def test_autocast_on_the_cpu_leaves_layers_in_float32(cell: str) -> None:
    layer = one_way(cell, 3, 6, weight_dropout=0.0, projection=0)
    with torch.autocast("cpu", torch.bfloat16):
        states, state = run(layer, torch.randn(2, 5, 3).bfloat16())
        more, _ = run(layer, torch.randn(2, 5, 3), map_state(Tensor.bfloat16, state))
    assert states.dtype == more.dtype == torch.float32


# -- plans --


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"cell": "lstn"}, "cell = 'lstn': no such cell; known: rnn, lstm, gru, min_lstm, min_gru"),
        ({"layers": 0}, "at least one of each"),
        ({"units": 0}, "at least one of each"),
        ({"cell": "min_gru", "weight_dropout": 0.5}, "min_gru has no such weights; leave it out"),
        ({"projection": -1}, "projection = -1: expected 0"),
        ({"remember": 1}, "remember = 1: expected 0, for none, or at least 2"),
        ({"remember": 9, "cell": "rnn"}, "remember = 9: rnn has no gates; leave it out"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(settings: dict[str, object], fault: str) -> None:
    tokens = zoo.TokenInput(vocab_size=11, length=9)
    following = zoo.TokenOutput(vocab_size=11, length=9)
    problem = zoo.Problem(task="language-modeling", input=tokens, output=following)
    with pytest.raises(zoo.SpecError, match=r"^language_model: ") as caught:
        language_model(problem, **settings)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gates_of_a_gru_start_without_a_bias() -> None:
    module = gru(5, 4)
    assert not module.bias_ih_l0.any()
    assert not module.bias_hh_l0.any()


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "rnn"])
def test_gates_that_are_to_remember_lose_no_more_of_a_state_than_their_steps_say(cell: str) -> None:
    layer = made(cell, units=(400,), remember=100)
    for name, parameter in layer.named_parameters():
        if "weight" in name:
            nn.init.zeros_(parameter)
    one = torch.ones(1, 1, 400)
    with torch.no_grad():
        states, end = layer(torch.zeros(1, 1, 3), (one, one) if cell == "lstm" else one)
    kept = end[1][0, 0] if cell == "lstm" else states[0, 0]
    if cell in ("min_lstm", "min_gru"):
        kept = 2 * kept - 1  # what they took in exchange is g(0), a half
    lost = 1 - kept  # of each unit: 1 / (1 + steps)
    assert lost.min() >= 1 / 101
    assert lost.max() <= 1 / 2 + 1e-6
    assert 0.3 < (lost < 1 / 51).float().mean() < 0.7  # half of them keep it for longer than 50 steps


def test_a_minimal_lstm_starts_with_a_forget_bias_of_one() -> None:
    layer = MinLSTM(5, 4)
    assert layer.gates.bias.tolist() == [1.0] * 4 + [0.0] * 8
    with torch.no_grad():
        layer.gates.weight.zero_()
        states, _ = layer(torch.zeros(1, 1, 5))
    kept = torch.tensor(1.0).sigmoid()
    expected = 0.5 * 0.5 / (0.5 + kept)  # what it takes of g(0)
    torch.testing.assert_close(states, expected.expand(1, 1, 4))
