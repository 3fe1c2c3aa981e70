from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
import zoo_transformer
from zoo_transformer.block import Attention, SwiGLU, Transformer, rotary_turns, rotate
from zoo_transformer.classifier import classifier, masked_mean
from zoo_transformer.gpt import gpt
from zoo_transformer.patches import count_patches, cut_patches
from zoo_transformer.patchtst import patchtst
from zoo_transformer.seq2seq import seq2seq
from zoo_transformer.series_classifier import series_classifier
from zoo_transformer.tokens import real_tokens
from zoo_transformer.vit import grid_positions, vit

VOCAB = 11
TOKENS = zoo.TokenInput(vocab_size=VOCAB, length=9)
WORDS = zoo.TokenOutput(vocab_size=VOCAB, length=9)
SERIES = zoo.SeriesInput(channels=2, length=21)
CLASSES = zoo.Classes(count=3)
TEXT = zoo.Problem(task="text-classification", input=TOKENS, output=CLASSES)
LANGUAGE = zoo.Problem(task="language-modeling", input=TOKENS, output=WORDS)
TRANSLATION = zoo.Problem(
    task="seq2seq", input=TOKENS, output=zoo.TokenOutput(vocab_size=VOCAB + 2, length=5)
)
IMAGES = zoo.Problem(
    task="image-classification", input=zoo.ImageInput(channels=2, height=8, width=12), output=CLASSES
)
FORECAST = zoo.Problem(task="forecasting", input=SERIES, output=zoo.SeriesOutput(channels=2, length=4))
CHART = zoo.Problem(task="series-classification", input=SERIES, output=CLASSES)

Builder = Callable[..., nn.Module]
SMALL = {"dim": 32, "depth": 2, "heads": 2, "dropout": 0.0}
CASES: dict[str, tuple[Builder, zoo.Problem, tuple[int, ...]]] = {
    "classifier": (classifier, TEXT, (3,)),
    "gpt": (gpt, LANGUAGE, (9, VOCAB)),
    "seq2seq": (seq2seq, TRANSLATION, (5, VOCAB + 2)),
    "vit": (vit, IMAGES, (3,)),
    "patchtst": (patchtst, FORECAST, (4, 2)),
    "series_classifier": (series_classifier, CHART, (3,)),
}
every_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def build(case: str, **options: object) -> nn.Module:
    builder, problem, _ = CASES[case]
    return builder(problem, **{**SMALL, **options}).eval()


def example(case: str, batch: int) -> tuple[Tensor, ...]:
    """Random inputs without padding, as the case's forward takes them."""
    problem = CASES[case][1]
    match problem.input:
        case zoo.ImageInput(channels=channels, height=height, width=width):
            return (torch.randn(batch, channels, height, width),)
        case zoo.SeriesInput(channels=channels, length=length):
            return (torch.randn(batch, length, channels),)
    tokens = torch.randint(1, VOCAB, (batch, problem.input.length))
    if problem.task != "seq2seq":
        return (tokens,)
    return tokens, torch.randint(1, VOCAB, (batch, problem.output.length))


def other(tokens: Tensor) -> Tensor:
    """Each token exchanged for another one that is no padding."""
    return tokens % (VOCAB - 1) + 1


def close(one: Tensor, two: Tensor) -> None:
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


# -- every model --


@every_case
@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_keeps_to_its_tasks_forward(case: str, batch: int) -> None:
    output = build(case)(*example(case, batch))
    assert output.shape == (batch, *CASES[case][2])
    assert output.dtype == torch.float32


PROBLEMS = [TEXT, LANGUAGE, TRANSLATION, IMAGES, FORECAST, CHART]
MISFITS = [
    (builder, misfit)
    for builder, problem, _ in CASES.values()
    for misfit in PROBLEMS
    if (type(misfit.input), type(misfit.output)) != (type(problem.input), type(problem.output))
]


@pytest.mark.parametrize(("builder", "problem"), MISFITS)
def test_a_problem_of_another_kind_is_refused_in_one_line(builder: Builder, problem: zoo.Problem) -> None:
    with pytest.raises(zoo.SpecError, match=rf"^{builder.__name__}: maps \w+ to \w+, not \w+ to \w+$"):
        builder(problem)


@pytest.mark.parametrize(
    ("builder", "problem", "fault"),
    [
        (gpt, LANGUAGE.replace(output=WORDS.replace(vocab_size=12)), "vocab_size: 11 in and 12 out"),
        (
            patchtst,
            FORECAST.replace(output=zoo.SeriesOutput(channels=1, length=4)),
            "channels: 2 in and 1 out",
        ),
        (patchtst, FORECAST.replace(input=SERIES.replace(length=15)), "longer than the series, which has 15"),
        (
            series_classifier,
            CHART.replace(input=SERIES.replace(length=7)),
            "longer than the series, which has 7",
        ),
    ],
)
def test_a_problem_of_other_sizes_is_refused_in_one_line(
    builder: Builder, problem: zoo.Problem, fault: str
) -> None:
    with pytest.raises(zoo.SpecError, match=rf"^{builder.__name__}: .*{fault}.*$"):
        builder(problem)


@every_case
def test_a_dimension_that_does_not_divide_into_heads_is_refused_in_one_line(case: str) -> None:
    with pytest.raises(zoo.SpecError, match=rf"^{case}: dim = 30: no multiple of (2|4) x heads = (8|16)$"):
        build(case, dim=30, heads=4)


@pytest.mark.parametrize("stride", [0, 17])
def test_patches_that_leave_steps_out_are_refused(stride: int) -> None:
    with pytest.raises(zoo.SpecError, match=rf"^patchtst: stride = {stride}: not from 1 to patch = 16$"):
        build("patchtst", stride=stride)


@every_case
def test_every_parameter_gets_a_gradient(case: str) -> None:
    model = build(case)
    output = model(*example(case, 4))
    (output * torch.randn_like(output)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


@every_case
def test_a_model_is_built_and_run_without_memory(case: str) -> None:
    with torch.device("meta"):
        model, inputs = build(case), example(case, 2)
    assert model(*inputs).shape == (2, *CASES[case][2])
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    shapes = {name: tensor.shape for name, tensor in build(case).state_dict().items()}
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes


@every_case
def test_a_model_holds_nothing_but_parameters(case: str) -> None:
    model = build(case)
    assert model.state_dict().keys() == {name for name, _ in model.named_parameters()}


@every_case
def test_a_row_does_not_depend_on_the_rest_of_its_batch(case: str) -> None:
    model, inputs = build(case), example(case, 4)
    close(model(*inputs)[1:2], model(*(tensor[1:2] for tensor in inputs)))


@every_case
def test_a_tiny_batch_is_learnt_by_heart(case: str) -> None:
    model, inputs, shape = build(case).train(), example(case, 4), CASES[case][2]
    target = torch.randn(4, *shape) if case == "patchtst" else torch.randint(1, 3, (4, *shape[:-1]))

    def judge(output: Tensor) -> Tensor:
        if case == "patchtst":
            return F.mse_loss(output, target)
        return F.cross_entropy(output.flatten(0, -2), target.flatten())

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = judge(model(*inputs)).item()
    for _ in range(60):
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


@every_case
def test_a_model_gives_much_the_same_in_bfloat16(case: str) -> None:
    model, inputs = build(case), example(case, 2)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(*inputs)
    torch.testing.assert_close(half.float(), model(*inputs), atol=0.1, rtol=0.1)


# -- the block --


def multihead(attention: Attention) -> nn.MultiheadAttention:
    """Torch's own attention with the weights of `attention`."""
    dim = attention.out.in_features
    reference = nn.MultiheadAttention(dim, attention.heads, bias=False, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([attention.query.weight, attention.key_value.weight]))
        reference.out_proj.weight.copy_(attention.out.weight)
    return reference


def test_attention_is_torchs_own() -> None:
    attention, hidden, memory = Attention(24, 3), torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    expected, _ = multihead(attention)(hidden, memory, memory)
    close(attention(hidden, memory), expected)


def test_attention_with_some_kept_is_torchs_own_with_the_others_masked() -> None:
    attention, hidden, memory = Attention(24, 3), torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    keep = torch.tensor([[True] * 7, [True, False, True, True, False, False, True]])
    expected, _ = multihead(attention)(hidden, memory, memory, key_padding_mask=~keep)
    close(attention(hidden, memory, keep[:, None, None]), expected)


def test_causal_attention_is_torchs_own() -> None:
    attention, hidden = Attention(24, 3, causal=True), torch.randn(2, 5, 24)
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected, _ = multihead(attention)(hidden, hidden, hidden, attn_mask=later)
    close(attention(hidden), expected)
    close(attention(hidden, hidden), expected)


def test_the_mlp_is_equation_6_of_its_paper() -> None:
    mlp, hidden = SwiGLU(6), torch.randn(2, 3, 6)
    assert mlp.contract.in_features == 16
    gate, value = hidden @ mlp.expand.weight[:16].T, hidden @ mlp.expand.weight[16:].T
    close(mlp(hidden), (gate * gate.sigmoid() * value) @ mlp.contract.weight.T)


def test_rotary_positions_turn_each_pair_by_its_frequency() -> None:
    turns = rotary_turns(torch.tensor([[0], [1], [5]]), pairs=2, base=100.0)
    features = torch.tensor([1.0, 0.0, 0.0, 2.0]).expand(1, 3, 1, 4)  # pairs: (1, 0) and (0, 2)
    expected = [
        [math.cos(t), -2 * math.sin(0.1 * t), math.sin(t), 2 * math.cos(0.1 * t)] for t in (0.0, 1.0, 5.0)
    ]
    close(rotate(features, turns)[0, :, 0], torch.tensor(expected))


def test_products_of_turned_vectors_depend_on_their_distance_alone() -> None:
    query, key = torch.randn(2, 1, 1, 1, 8)

    def product(here: list[int], there: list[int]) -> float:
        turned = [
            rotate(v, rotary_turns(torch.tensor([p]), 4, 100.0)) for v, p in ((query, here), (key, there))
        ]
        return float((turned[0] * turned[1]).sum())

    assert product([7], [4]) == pytest.approx(product([103], [100]), abs=1e-4)
    assert product([2, 7], [4, 1]) == pytest.approx(product([12, 37], [14, 31]), abs=1e-4)
    assert product([7], [4]) != pytest.approx(product([7], [5]), abs=1e-3)
    assert product([2, 7], [4, 1]) != pytest.approx(product([7, 2], [1, 4]), abs=1e-3)


def test_a_stack_knows_the_order_of_what_it_sees() -> None:
    stack, hidden = Transformer(16, 1, 2), torch.randn(1, 5, 16)
    order = torch.tensor([1, 0, 2, 3, 4])
    assert not torch.allclose(stack(hidden[:, order])[:, order], stack(hidden), atol=1e-3)
    close(stack(hidden[:, order], positions=order[:, None])[:, order], stack(hidden))


def test_what_is_not_kept_is_not_seen() -> None:
    stack, hidden, memory = Transformer(16, 2, 2, cross=True), torch.randn(1, 5, 16), torch.randn(1, 4, 16)
    keep, memory_keep = torch.tensor([[1, 1, 0, 1, 1]]).bool(), torch.tensor([[1, 0, 1, 1]]).bool()
    before = stack(hidden, keep=keep, memory=memory, memory_keep=memory_keep)
    hidden[:, 2], memory[:, 1] = 9.0, -9.0
    after = stack(hidden, keep=keep, memory=memory, memory_keep=memory_keep)
    close(after[keep], before[keep])
    assert not torch.allclose(after[~keep], before[~keep], atol=1e-3)


# -- padding and causality --


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_padding_after_a_text_does_not_change_its_class(stride: int) -> None:
    model = build("classifier", stride=stride)
    for length in range(1, 10):
        tokens = torch.randint(1, VOCAB, (2, length))
        expected = model(tokens)
        for padding in (1, 2, 5):
            close(model(F.pad(tokens, (0, padding))), expected)


def test_every_token_counts_for_a_texts_class() -> None:
    model, (tokens,) = build("classifier"), example("classifier", 1)
    for step in range(tokens.shape[1]):
        changed = tokens.clone()
        changed[:, step] = other(changed[:, step])
        assert not torch.allclose(model(changed), model(tokens), atol=1e-5)


def test_padding_after_a_text_does_not_change_how_it_goes_on() -> None:
    model, (tokens,) = build("gpt"), example("gpt", 2)
    close(model(F.pad(tokens, (0, 4)))[:, :9], model(tokens))


def test_padding_after_a_source_or_a_target_does_not_change_what_is_written() -> None:
    model, (source, target) = build("seq2seq"), example("seq2seq", 2)
    close(model(F.pad(source, (0, 4)), F.pad(target, (0, 3)))[:, :5], model(source, target))


@pytest.mark.parametrize("case", ["classifier", "seq2seq"])
def test_an_empty_text_is_answered_in_numbers(case: str) -> None:
    model, (source, *rest) = build(case), example(case, 2)
    full = model(source, *rest)[1]
    source[0] = 0
    output = model(source, *rest)
    assert output.isfinite().all()
    close(output[1], full)


@pytest.mark.parametrize("case", ["gpt", "seq2seq"])
def test_no_token_that_is_written_sees_a_later_one(case: str) -> None:
    model, inputs = build(case), example(case, 2)
    *source, tokens = inputs
    before = model(*inputs)
    for step in range(1, tokens.shape[1]):
        changed = tokens.clone()
        changed[:, step:] = other(changed[:, step:])
        after = model(*source, changed)
        close(after[:, :step], before[:, :step])
        assert not torch.allclose(after[:, step], before[:, step], atol=1e-3)


def test_every_source_token_counts_for_the_first_token_written() -> None:
    model, (source, target) = build("seq2seq"), example("seq2seq", 1)
    before = model(source, target)
    for step in range(source.shape[1]):
        changed = source.clone()
        changed[:, step] = other(changed[:, step])
        assert not torch.allclose(model(changed, target)[:, 0], before[:, 0], atol=1e-5)


def test_real_tokens_are_those_that_are_no_padding_and_the_first_of_an_empty_text() -> None:
    assert real_tokens(torch.tensor([[4, 0, 7, 0], [0, 0, 0, 0]])).tolist() == [
        [True, False, True, False],
        [True, False, False, False],
    ]


def test_a_masked_mean_is_that_of_what_is_kept() -> None:
    hidden, keep = torch.randn(2, 3, 4), torch.tensor([[True, False, True], [False, True, False]])
    close(masked_mean(hidden, keep), torch.stack([hidden[0, [0, 2]].mean(dim=0), hidden[1, 1]]))


# -- one by one --


def test_a_gpt_guesses_evenly_at_first() -> None:
    problem = LANGUAGE.replace(input=TOKENS.replace(vocab_size=259), output=WORDS.replace(vocab_size=259))
    tokens = torch.randint(1, 259, (16, 64))
    loss = F.cross_entropy(gpt(problem)(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(259), abs=0.6)


def test_a_gpt_scores_tokens_by_their_own_vectors() -> None:
    model, (tokens,) = build("gpt"), example("gpt", 2)
    with torch.no_grad():
        model.embedding.weight[5] = 0
    assert (model(tokens)[:, :, 5] == 0).all()


@pytest.mark.parametrize("case", ["gpt", "classifier", "series_classifier"])
def test_a_sequence_may_be_longer_than_the_problem_says(case: str) -> None:
    model, (sequence,) = build(case), example(case, 2)
    assert model(torch.cat([sequence] * 3, dim=1)).isfinite().all()


@pytest.mark.parametrize(("side", "patch"), [(8, 2), (12, 2), (28, 4), (32, 4), (33, 5)])
def test_patches_are_an_eighth_of_an_image_and_at_least_2_pixels(side: int, patch: int) -> None:
    image = zoo.ImageInput(channels=1, height=8, width=side)
    assert vit(IMAGES.replace(input=image)).embedding.kernel_size == (patch, patch)


def test_an_image_that_does_not_divide_into_patches_gets_a_border_of_zeros() -> None:
    model, (images,) = build("vit", patch=5), example("vit", 2)
    close(model(images), model(F.pad(images, (0, 3, 0, 2))))
    assert not torch.allclose(model(images), model(images[:, :, :5]), atol=1e-4)


def test_positions_in_a_grid_go_row_by_row() -> None:
    assert grid_positions(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_a_vit_sees_where_a_patch_is_along_both_axes() -> None:
    model, (images,) = build("vit", patch=4), example("vit", 1)
    rows, columns = images.unflatten(2, (2, 4)), images.unflatten(3, (3, 4))
    assert not torch.allclose(model(rows.flip(2).flatten(2, 3)), model(images), atol=1e-4)
    assert not torch.allclose(model(columns.flip(3).flatten(3, 4)), model(images), atol=1e-4)


def test_patches_cover_a_series_whose_last_value_is_repeated() -> None:
    series = torch.arange(9.0)
    assert cut_patches(series, 4, 3).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 8]]
    assert cut_patches(series, 3, 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert cut_patches(series[:2], 3, 1).tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("length", range(5, 30))
def test_there_are_as_many_patches_as_counted(length: int) -> None:
    for stride in range(1, 6):
        patches = cut_patches(torch.arange(length), 5, stride)
        assert len(patches) == count_patches(length, 5, stride)
        assert set(patches.flatten().tolist()) == set(range(length))


def test_a_forecast_scales_and_shifts_with_its_history() -> None:
    model, (history,) = build("patchtst"), example("patchtst", 3)
    scale, level = torch.tensor([10.0, 0.5]), torch.tensor([-7.0, 100.0])
    torch.testing.assert_close(
        model(history * scale + level), model(history) * scale + level, atol=1e-2, rtol=1e-3
    )


def test_a_channels_forecast_depends_on_that_channel_alone() -> None:
    model, (history,) = build("patchtst"), example("patchtst", 2)
    close(model(history.flip(2)), model(history).flip(2))
    before, history[:, :, 1] = model(history), 0.5
    close(model(history)[:, :, 0], before[:, :, 0])


def test_a_constant_history_has_a_forecast_near_it() -> None:
    forecast = build("patchtst")(torch.full((1, 21, 2), 5.0))
    torch.testing.assert_close(forecast, torch.full((1, 4, 2), 5.0), atol=0.05, rtol=0.0)


# -- the plugin --


def test_every_model_of_the_plugin_is_built_as_its_manifest_says() -> None:
    registry, names = zoo.installed(), set()
    for spec in zoo_transformer.zoo_models():
        model, _ = registry.model(f"transformer/{spec.name}")
        assert model.spec == spec
        if spec.name in CASES:  # sizes, and those that others published, have tests of their own
            assert isinstance(zoo.load(f"transformer/{spec.name}"), nn.Module)
            names.add(spec.name)
    assert names == set(CASES)
