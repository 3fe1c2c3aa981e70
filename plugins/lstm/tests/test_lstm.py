from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import zoo
import zoo_lstm
from zoo_lstm.awd_lstm import awd_lstm
from zoo_lstm.cells import lstm
from zoo_lstm.classifier import POOLINGS, classifier
from zoo_lstm.deepar import deepar
from zoo_lstm.forecaster import forecaster
from zoo_lstm.language_model import language_model
from zoo_lstm.lengths import last_states, mirror, real_lengths
from zoo_lstm.lstm_fcn import alstm_fcn, lstm_fcn
from zoo_lstm.recurrent import Bidirectional
from zoo_lstm.seq2seq import seq2seq

VOCAB = 11
TOKENS = zoo.TokenInput(vocab_size=VOCAB, length=9)
WORDS = zoo.TokenOutput(vocab_size=VOCAB, length=9)
SERIES = zoo.SeriesInput(channels=2, length=13)
CLASSES = zoo.Classes(count=3)
TEXT = zoo.Problem(task="text-classification", input=TOKENS, output=CLASSES)
CHART = zoo.Problem(task="series-classification", input=SERIES, output=CLASSES)
LANGUAGE = zoo.Problem(task="language-modeling", input=TOKENS, output=WORDS)
TRANSLATION = zoo.Problem(
    task="seq2seq", input=TOKENS, output=zoo.TokenOutput(vocab_size=VOCAB + 2, length=5)
)
FORECAST = zoo.Problem(task="forecasting", input=SERIES, output=zoo.SeriesOutput(channels=2, length=4))
IMAGES = zoo.Problem(
    task="image-classification", input=zoo.ImageInput(channels=1, height=8, width=8), output=CLASSES
)

Builder = Callable[..., nn.Module]
SMALL = {"units": 24, "dropout": 0.0}
MORE: dict[str, dict[str, object]] = {
    "awd": {"token_dropout": 0.0, "input_dropout": 0.0, "weight_dropout": 0.0, "output_dropout": 0.0},
    "fcn": {"width": 8},
    "attentive": {"width": 8},
}
CASES: dict[str, tuple[Builder, zoo.Problem, tuple[int, ...]]] = {
    "text": (classifier, TEXT, (3,)),
    "chart": (classifier, CHART, (3,)),
    "language": (language_model, LANGUAGE, (9, VOCAB)),
    "translation": (seq2seq, TRANSLATION, (5, VOCAB + 2)),
    "forecast": (forecaster, FORECAST, (4, 2)),
    "awd": (awd_lstm, LANGUAGE, (9, VOCAB)),
    "fcn": (lstm_fcn, CHART, (3,)),
    "attentive": (alstm_fcn, CHART, (3,)),
    "deepar": (deepar, FORECAST, (4, 2)),
}
every_case = pytest.mark.parametrize("case", CASES)
CELLS = ("rnn", "lstm", "gru", "min_lstm", "min_gru")


def build(case: str, **options: object) -> nn.Module:
    builder, problem, _ = CASES[case]
    return builder(problem, **{**SMALL, **MORE.get(case, {}), **options}).eval()


def example(case: str, batch: int) -> tuple[Tensor, ...]:
    """Random inputs without padding, as the case's forward takes them."""
    problem = CASES[case][1]
    if isinstance(problem.input, zoo.SeriesInput):
        return (torch.randn(batch, problem.input.length, problem.input.channels),)
    tokens = torch.randint(1, VOCAB, (batch, problem.input.length))
    if problem.task != "seq2seq":
        return (tokens,)
    return tokens, torch.randint(1, VOCAB + 2, (batch, problem.output.length))


# -- every model --


@every_case
@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_keeps_to_its_tasks_forward(case: str, batch: int) -> None:
    output = build(case)(*example(case, batch))
    assert output.shape == (batch, *CASES[case][2])
    assert output.dtype == torch.float32


MISFITS = {
    classifier: [IMAGES, LANGUAGE, FORECAST],
    language_model: [IMAGES, TEXT, CHART, FORECAST],
    seq2seq: [IMAGES, TEXT, CHART, FORECAST],
    forecaster: [IMAGES, TEXT, CHART, LANGUAGE],
    awd_lstm: [IMAGES, TEXT, CHART, FORECAST],
    lstm_fcn: [IMAGES, TEXT, LANGUAGE, FORECAST],
    alstm_fcn: [IMAGES, TEXT, LANGUAGE, FORECAST],
    deepar: [IMAGES, TEXT, CHART, LANGUAGE],
}


@pytest.mark.parametrize(("builder", "problem"), [(b, p) for b, ps in MISFITS.items() for p in ps])
def test_a_problem_of_another_kind_is_refused_in_one_line(builder: Builder, problem: zoo.Problem) -> None:
    with pytest.raises(zoo.SpecError, match=rf"^{builder.__name__}: maps \w+ to \w+, not \w+ to \w+$"):
        builder(problem)


@pytest.mark.parametrize("builder", [language_model, awd_lstm])
def test_a_language_model_refuses_other_tokens_out_than_in(builder: Builder) -> None:
    problem = LANGUAGE.replace(output=zoo.TokenOutput(vocab_size=VOCAB + 1, length=9))
    with pytest.raises(zoo.SpecError, match="11 tokens in and 12 out"):
        builder(problem)


@pytest.mark.parametrize("builder", [forecaster, deepar])
def test_a_forecaster_refuses_other_channels_out_than_in(builder: Builder) -> None:
    problem = FORECAST.replace(output=zoo.SeriesOutput(channels=1, length=4))
    with pytest.raises(zoo.SpecError, match="2 channels in and 1 out"):
        builder(problem)


@every_case
def test_every_parameter_gets_a_gradient(case: str) -> None:
    single = case in ("translation", "fcn", "attentive")
    model = build(case, **({} if single else {"layers": 2})).train()
    output = model(*example(case, 4))
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
def test_a_models_tensors_are_all_in_its_state(case: str) -> None:
    model = build(case)
    buffers = {name for name, _ in model.named_buffers()}
    assert buffers <= model.state_dict().keys()


@every_case
def test_a_row_does_not_depend_on_the_rest_of_its_batch(case: str) -> None:
    model, inputs = build(case), example(case, 4)
    alone = model(*(tensor[1:2] for tensor in inputs))
    torch.testing.assert_close(model(*inputs)[1:2], alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if case != "deepar"])  # which learns a history too
def test_a_tiny_batch_is_learnt_by_heart(case: str) -> None:
    model, inputs = build(case).train(), example(case, 4)
    if case == "forecast":
        target = torch.randn(4, *CASES[case][2])
    else:
        target = torch.randint(1, 3, (4, *CASES[case][2][:-1]))

    def judge(output: Tensor) -> Tensor:
        if case == "forecast":
            return F.mse_loss(output, target)
        return F.cross_entropy(output.flatten(0, -2), target.flatten())

    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    first = judge(model(*inputs)).item()
    for _ in range(80):
        loss = judge(model(*inputs))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * first


@every_case
def test_dropout_acts_in_training_alone(case: str) -> None:
    model, inputs = build(case, dropout=0.5), example(case, 2)
    assert torch.equal(model(*inputs), model(*inputs))
    model.train()
    assert not torch.equal(model(*inputs), model(*inputs))


# -- the layers --


@pytest.mark.parametrize("layers", [1, 2])
def test_forget_gates_start_at_a_bias_of_one_and_all_others_at_none(layers: int) -> None:
    module = lstm(5, 4, layers=layers)
    for layer in range(layers):
        bias = getattr(module, f"bias_ih_l{layer}") + getattr(module, f"bias_hh_l{layer}")
        assert bias.tolist() == [0] * 4 + [1] * 4 + [0] * 8


def test_a_new_cell_forgets_at_the_rate_of_its_bias() -> None:
    module = lstm(1, 1)
    with torch.no_grad():
        module.weight_ih_l0.zero_()
        module.weight_hh_l0.zero_()
        _, (_, cell) = module(torch.zeros(1, 7, 1), (torch.zeros(1, 1, 1), torch.ones(1, 1, 1)))
    assert cell.item() == pytest.approx(torch.tensor(1.0).sigmoid().item() ** 7, rel=1e-5)


def test_mirroring_turns_the_real_steps_round_and_leaves_padding_in_place() -> None:
    assert mirror(torch.tensor([4, 1, 3]), 4).tolist() == [[3, 2, 1, 0], [0, 1, 2, 3], [2, 1, 0, 3]]


def test_mirroring_twice_changes_nothing() -> None:
    order = mirror(torch.randint(1, 9, (20,)), 8)
    assert torch.equal(order.gather(1, order), torch.arange(8).expand(20, 8))


def test_a_text_of_nothing_has_one_step() -> None:
    assert real_lengths(torch.tensor([[0, 0, 0], [4, 0, 0], [1, 2, 3]])).tolist() == [1, 1, 3]


def both_directions(layer: Bidirectional, inputs: int, units: int) -> nn.LSTM:
    """Torch's own bidirectional LSTM with the weights of `layer`."""
    reference = nn.LSTM(inputs, units, batch_first=True, bidirectional=True)
    state = dict(layer.ahead.state_dict())
    state |= {f"{name}_reverse": tensor for name, tensor in layer.back.state_dict().items()}
    reference.load_state_dict(state)
    return reference


def test_a_bilstm_is_torchs_own_over_packed_sequences() -> None:
    layer, lengths = Bidirectional(lstm(3, 5), lstm(3, 5)), torch.tensor([7, 2, 5, 1])
    sequence = torch.randn(4, 7, 3)
    reference = both_directions(layer, 3, 5)
    packed = pack_padded_sequence(sequence, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True)
    states = layer(sequence, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(states[row, :length], expected[row, :length])


def test_the_last_states_are_those_that_torch_returns() -> None:
    layer, lengths = Bidirectional(lstm(3, 5), lstm(3, 5)), torch.tensor([7, 2, 5])
    sequence = torch.randn(3, 7, 3)
    packed = pack_padded_sequence(sequence, lengths, batch_first=True, enforce_sorted=False)
    _, (hidden, _) = both_directions(layer, 3, 5)(packed)  # [2, B, units]
    found = last_states(layer(sequence, lengths), lengths, bidirectional=True)
    torch.testing.assert_close(found, torch.cat([*hidden], dim=1))


# -- padding and causality --


VARIANTS: list[dict[str, object]] = [
    *({"patch": patch, "layers": layers} for patch in (1, 2, 3, 4) for layers in (1, 2)),
    *({"cell": cell, "pooling": p, "patch": 2, "layers": 2} for cell in CELLS for p in POOLINGS),
    *({"cell": cell, "pooling": "last", "bidirectional": False} for cell in CELLS),
    {"cell": "gru", "projection": 5, "residual": True, "variational": True, "pooling": "last", "layers": 3},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_padding_after_a_text_does_not_change_its_class(options: dict[str, object]) -> None:
    model = build("text", **options)
    for length in (1, 2, 5, 9):
        tokens = torch.randint(1, VOCAB, (2, length))
        expected = model(tokens)
        for padding in (1, 2, 5):
            torch.testing.assert_close(model(F.pad(tokens, (0, padding))), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("attention", ["luong", "bahdanau"])
def test_padding_after_a_source_does_not_change_the_target(cell: str, attention: str) -> None:
    model = build("translation", cell=cell, attention=attention)
    target = torch.randint(1, VOCAB, (2, 5))
    for length in (1, 2, 5, 9):
        source = torch.randint(1, VOCAB, (2, length))
        expected = model(source, target)
        for padding in (1, 5):
            padded = model(F.pad(source, (0, padding)), target)
            torch.testing.assert_close(padded, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("fcn", "attentive")])
def test_inputs_of_no_steps_are_refused_in_one_line(case: str) -> None:
    model, (first, *rest) = build(case), example(case, 2)
    with pytest.raises(zoo.DataError, match=r"^a sequence of 0 steps; give at least one[^\n]+$"):
        model(first[:, :0], *rest)


@pytest.mark.parametrize("case", ["text", "translation", "language", "forecast", "deepar"])
@pytest.mark.parametrize("cell", CELLS)
def test_one_step_is_enough_and_a_row_is_its_own_with_every_cell(case: str, cell: str) -> None:
    model, (first, *rest) = build(case, cell=cell), example(case, 4)
    for steps in (1, first.shape[1]):
        inputs = (first[:, :steps], *rest)
        alone = model(*(part[2:3] for part in inputs))
        assert alone.isfinite().all()
        torch.testing.assert_close(model(*inputs)[2:3], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", ["text", "translation"])
@pytest.mark.parametrize("cell", CELLS)
def test_an_empty_text_is_answered_as_it_is_without_the_others(case: str, cell: str) -> None:
    model, (source, *rest) = build(case, cell=cell), example(case, 2)
    source[0] = 0
    answer = model(source, *rest)
    assert answer.isfinite().all()
    alone = model(source[:1, :1], *(part[:1] for part in rest))  # as a text of one step of padding
    torch.testing.assert_close(answer[:1], alone, atol=1e-6, rtol=1e-5)


WRITERS = [(case, cell) for case in ("language", "translation") for cell in CELLS] + [("awd", "lstm")]


@pytest.mark.parametrize(("case", "cell"), WRITERS)
def test_no_token_of_a_text_to_write_sees_a_later_one(case: str, cell: str) -> None:
    model, inputs = build(case, cell=cell), example(case, 2)
    *source, tokens = inputs
    before = model(*inputs)
    for step in range(1, tokens.shape[1]):
        changed = tokens.clone()
        changed[:, step:] = changed[:, step:] % (VOCAB - 1) + 1  # each to another token
        after = model(*source, changed)
        torch.testing.assert_close(after[:, :step], before[:, :step], atol=1e-6, rtol=1e-5)
        assert not torch.allclose(after[:, step], before[:, step], atol=1e-6)


def test_every_source_token_counts_for_the_first_token_written() -> None:
    model, (source, target) = build("translation"), example("translation", 1)
    before = model(source, target)
    for step in range(source.shape[1]):
        changed = source.clone()
        changed[:, step] = changed[:, step] % (VOCAB - 1) + 1
        assert not torch.allclose(model(changed, target)[:, 0], before[:, 0], atol=1e-6)


TOO_LARGE = [
    (case, which, wrong)
    for case, which in (("text", 0), ("language", 0), ("awd", 0), ("translation", 0), ("translation", 1))
    for wrong in (VOCAB + 2, -1)
]


@every_case
def test_a_batch_of_nothing_is_answered_with_nothing(case: str) -> None:
    inputs, (_, _, shape) = example(case, 1), CASES[case]
    options = {"cell": "min_gru"} if case == "language" else {}
    assert build(case, **options)(*(each[:0] for each in inputs)).shape == (0, *shape)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("case", "which", "wrong"), TOO_LARGE)
def test_tokens_outside_the_vocabulary_are_refused_in_one_line(
    case: str, which: int, wrong: int, training: bool
) -> None:
    model, inputs = build(case).train(training), example(case, 2)
    inputs[which][1, 2] = wrong
    with pytest.raises(zoo.DataError, match=r"^tokens from .+ to .+ where the vocabulary has 1[13]; [^\n]+$"):
        model(*inputs)


# -- other programs --

CELLED = [(case, {"cell": cell}) for case in ("text", "translation") for cell in CELLS]
TRACED: list[tuple[str, dict[str, object]]] = [
    *((case, {}) for case in CASES),
    *CELLED,
    ("text", {"pooling": "attention", "projection": 5, "residual": True, "layers": 2}),
    ("text", {"pooling": "last", "bidirectional": False}),
    ("translation", {"attention": "bahdanau"}),
    ("forecast", {"normalize": True}),
    ("attentive", {"shuffle": False}),
]


@pytest.mark.parametrize(("case", "options"), TRACED, ids=str)
def test_a_model_exported_with_one_batch_answers_others_alike(case: str, options: dict[str, object]) -> None:
    model, batch = build(case, **options), torch.export.Dim("batch")
    inputs = example(case, 3)
    with warnings.catch_warnings(action="ignore"), torch.no_grad():  # of torch.export at its own LSTM
        program = torch.export.export(model, inputs, dynamic_shapes=tuple({0: batch} for _ in inputs))
    for count in (1, 5):
        inputs = example(case, count)
        torch.testing.assert_close(program.module()(*inputs), model(*inputs), atol=1e-6, rtol=1e-5)


# -- one by one --


def test_a_language_models_head_is_its_embedding() -> None:
    model = build("language")
    assert model.head.weight is model.embedding.weight
    assert sum(name.startswith(("head", "embedding")) for name, _ in model.named_parameters()) == 2


def test_a_language_model_guesses_evenly_at_first() -> None:
    problem = LANGUAGE.replace(
        input=zoo.TokenInput(vocab_size=259, length=64), output=zoo.TokenOutput(vocab_size=259, length=64)
    )
    tokens = torch.randint(1, 259, (8, 64))
    loss = F.cross_entropy(language_model(problem)(tokens).flatten(0, 1), tokens.flatten())
    assert loss.item() == pytest.approx(torch.tensor(259.0).log().item(), abs=0.3)


def test_a_forecast_follows_the_level_of_its_history() -> None:
    model, (history,) = build("forecast"), example("forecast", 3)
    level = torch.tensor([100.0, -7.0])
    torch.testing.assert_close(model(history + level), model(history) + level, atol=1e-4, rtol=1e-5)


def test_an_untrained_head_of_zeros_forecasts_the_last_value() -> None:
    model, (history,) = build("forecast"), example("forecast", 3)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    assert torch.equal(model(history), history[:, -1:].expand(3, 4, 2))


def test_a_classifier_reads_both_ways_alike() -> None:
    model, (series,) = build("chart", patch=1), example("chart", 3)
    turned = build("chart", patch=1)
    turned.load_state_dict(model.state_dict())
    layer = turned.layers.get_submodule("0")
    layer.ahead, layer.back = layer.back, layer.ahead
    units = 24
    with torch.no_grad():  # the features of the two directions change places with them
        for weight in (turned.head.weight, turned.norm.weight, turned.norm.bias):
            weight.copy_(weight.roll(units, dims=-1))
    torch.testing.assert_close(turned(series.flip(1)), model(series), atol=1e-5, rtol=1e-5)


# -- the plugin --


@pytest.mark.parametrize("name", [spec.name for spec in zoo_lstm.zoo_models()])
def test_the_plugins_models_load_by_name_and_have_their_facts(name: str) -> None:
    model = zoo.load(f"lstm/{name}")
    facts = zoo.info(f"lstm/{name}").spec.facts
    assert facts.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_a_classifiers_head_alone_is_named_as_its_head() -> None:
    (spec,) = (spec for spec in zoo_lstm.zoo_models() if spec.name == "classifier")
    more = TEXT.replace(output=zoo.Classes(count=7))
    shapes = [{n: t.shape for n, t in classifier(p, **SMALL).state_dict().items()} for p in (TEXT, more)]
    differing = {name for name in shapes[0] if shapes[0][name] != shapes[1][name]}
    assert differing == {"head.weight", "head.bias"}
    assert spec.head == ("head",)
