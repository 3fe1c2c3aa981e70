"""The language model's options and sizes: each learns, and none sees padding or what comes later."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import Attention, Style
from zoo_transformer.gpt import gpt

VOCABULARY, LENGTH = 23, 12
PROBLEM = zoo.Problem(
    task="language-modeling",
    input=zoo.TokenInput(vocab_size=VOCABULARY, length=LENGTH),
    output=zoo.TokenOutput(vocab_size=VOCABULARY, length=LENGTH),
)
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "learned": {"positions": "learned"},
    "rms": {"norm": "rms"},
    "gelu": {"activation": "gelu"},
    "relu": {"activation": "relu"},
    "bias": {"bias": True},
    "grouped": {"kv_heads": 2},
    "one-key": {"kv_heads": 1},
    "qk-norm": {"qk_norm": True},
    "untied": {"tied": False},
    "as-gpt2": {"positions": "learned", "activation": "gelu_tanh", "bias": True},
    "as-llama": {"norm": "rms", "kv_heads": 2, "qk_norm": True, "tied": False},
}
SIZES = ("nano", "micro", "mini", "small", "medium", "large", "xl")
every_option = pytest.mark.parametrize("case", OPTIONS)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def build(case: str) -> Any:
    return gpt(PROBLEM, dim=32, depth=2, heads=4, **OPTIONS[case]).eval()


def close(one: Tensor, two: Tensor) -> None:
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


@every_option
def test_each_option_learns_a_batch_by_heart(case: str) -> None:
    model, tokens = build(case).train(), torch.randint(1, VOCABULARY, (4, LENGTH + 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * losses[0]
    assert [name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()] == []


@every_option
@torch.inference_mode()
def test_padding_on_either_side_changes_nothing(case: str) -> None:
    model, tokens = build(case), torch.randint(1, VOCABULARY, (3, 7))
    expected = model(tokens)
    for left, right in ((4, 0), (0, 5), (2, 3)):
        close(model(F.pad(tokens, (left, right)))[:, left : left + 7], expected)


@every_option
@torch.inference_mode()
def test_a_mask_against_padding_changes_no_text_without(case: str) -> None:
    model, tokens = build(case), torch.randint(1, VOCABULARY, (3, LENGTH))
    close(model(tokens), model.train()(tokens))


@every_option
@torch.inference_mode()
def test_no_token_sees_a_later_one(case: str) -> None:
    model, tokens = build(case), torch.randint(1, VOCABULARY, (2, LENGTH))
    for training in (True, False):
        before = model.train(training)(tokens)
        for step in range(1, LENGTH):
            changed = tokens.clone()
            changed[:, step:] = changed[:, step:] % (VOCABULARY - 1) + 1
            after = model(changed)
            close(after[:, :step], before[:, :step])
            assert not torch.allclose(after[:, step], before[:, step], atol=1e-3)


@every_option
@torch.inference_mode()
def test_a_text_does_not_depend_on_the_rest_of_its_batch(case: str) -> None:
    model, tokens = build(case), torch.randint(1, VOCABULARY, (4, LENGTH))
    tokens[2, 8:] = 0
    close(model(tokens)[1:2], model(tokens[1:2]))


# -- one by one --


@torch.inference_mode()
def test_heads_that_share_keys_are_heads_with_the_same_keys() -> None:
    shared = Attention(32, 4, causal=True, style=Style(kv_heads=2))
    plain = Attention(32, 4, causal=True)
    assert shared.key_value.out_features == 32
    rows = shared.key_value.weight.view(2, 2, 8, 32)  # keys and values of two groups
    plain.key_value.weight.copy_(rows.repeat_interleave(2, dim=1).flatten(0, 2))
    plain.query.weight.copy_(shared.query.weight)
    plain.out.weight.copy_(shared.out.weight)
    hidden, memory = torch.randn(2, 6, 32), torch.randn(2, 5, 32)
    close(shared(hidden), plain(hidden))
    close(shared(hidden, memory), plain(hidden, memory))


@torch.inference_mode()
def test_a_norm_of_queries_and_keys_forgets_how_large_they_were() -> None:
    tokens = torch.randint(1, VOCABULARY, (2, LENGTH))
    for case, forgets in (("qk-norm", True), ("default", False)):
        model = build(case)
        before = model(tokens)
        model.decoder.blocks[0].attention.query.weight.mul_(7)
        assert torch.allclose(model(tokens), before, atol=1e-3) is forgets


def test_options_are_what_they_say() -> None:
    def kinds(case: str) -> set[type]:
        return {type(module) for module in build(case).modules()}

    assert nn.RMSNorm in kinds("rms")
    assert nn.LayerNorm not in kinds("rms")
    assert not [name for name, _ in build("as-llama").named_parameters() if name.endswith("bias")]
    assert "head.weight" in build("untied").state_dict()
    assert "head.weight" not in build("default").state_dict()
    assert build("learned").positions.weight.shape == (LENGTH, 32)
    assert len([name for name in build("bias").state_dict() if name.endswith(".bias")]) == 2 * 5 + 1


def test_options_that_do_not_fit_are_told_together() -> None:
    with pytest.raises(zoo.SpecError) as told:
        gpt(PROBLEM, positions="none", norm="batch", activation="mish", heads=4, kv_heads=3)
    assert str(told.value) == (
        "gpt: 4 faults: positions = 'none': not known; known: rotary, learned; norm = 'batch': not known; "
        "known: layer, rms; activation = 'mish': not known; known: swiglu, gelu, gelu_tanh, relu; "
        "kv_heads = 3: does not divide heads = 4"
    )


def test_more_tokens_than_learned_places_are_told_in_one_line() -> None:
    with pytest.raises(zoo.DataError, match="13 tokens for a model with 12 places; give the last of them"):
        build("learned")(torch.ones(1, LENGTH + 1, dtype=torch.int64))


# -- sizes --


def test_sizes_grow_and_the_smallest_is_the_default() -> None:
    facts = [zoo.info(f"transformer/gpt_{size}").spec.facts for size in SIZES]
    parameters = [fact.parameters for fact in facts if fact is not None]
    macs = [fact.macs for fact in facts if fact is not None]
    assert len(parameters) == len(macs) == len(SIZES)
    for amounts in (parameters, macs):
        assert all(more > 2 * less for less, more in itertools.pairwise(amounts))
    assert facts[0] == zoo.info("transformer/gpt").spec.facts


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_built_as_its_facts_say(size: str) -> None:
    with torch.device("meta"):
        model = zoo.load(f"transformer/gpt_{size}", device="meta")
    facts = zoo.info(f"transformer/gpt_{size}").spec.facts
    assert facts is not None
    assert sum(one.numel() for one in model.parameters()) == facts.parameters
