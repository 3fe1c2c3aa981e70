"""Checkpoints in Hugging Face's layout are read as `transformers` itself reads them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from checkpoints import (
    ENCODERS,
    TEXTS,
    WORDS,
    answer_of,
    close,
    padded,
    saved_encoder,
    saved_gpt2,
)
from safetensors.torch import load_file, save_file

import zoo
from zoo_transformer.bert import bert
from zoo_transformer.keymap import read_key_maps
from zoo_transformer.published import STD

OLDER = {"weight": "gamma", "bias": "beta"}
every_encoder = pytest.mark.parametrize("case", ENCODERS)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


# -- encoders ---------------------------------------------------------------------------------


@every_encoder
def test_their_encoder_gives_its_own_answers_here(case: str, tmp_path: Path) -> None:
    theirs, source = saved_encoder(case, tmp_path)
    tokens, mask = padded([9, 3, 1, 14])
    expected = answer_of(case, theirs, tokens, mask)
    with torch.inference_mode():
        found = zoo.load(ENCODERS[case][0], weights=source)(tokens)
    assert close(found, expected)
    assert expected.std() > 1e-3


def test_weights_in_several_files_are_loaded_as_one(tmp_path: Path) -> None:
    theirs, source = saved_encoder("bert", tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    tokens, mask = padded([6, 11])
    with torch.inference_mode():
        found = zoo.load("transformer/bert", weights=source)(tokens)
    assert close(found, answer_of("bert", theirs, tokens, mask))


def test_the_report_names_what_was_joined_and_what_was_of_another_head(tmp_path: Path) -> None:
    _, source = saved_encoder("bert-masked", tmp_path)
    report: Any = zoo.load("transformer/bert", weights=source).zoo.report
    assert report.adapted["encoder.blocks.2.attention.key_value.weight"] == "joined"
    assert "cls.predictions.transform.dense.weight" in report.unused
    assert "embeddings.tokens.weight" in report.loaded
    assert not report.new


def test_the_older_names_of_norms_are_read_too(tmp_path: Path) -> None:
    theirs, source = saved_encoder("bert", tmp_path)
    file = tmp_path / "model.safetensors"
    renamed = {
        re.sub(r"LayerNorm\.(weight|bias)", lambda match: f"LayerNorm.{OLDER[match[1]]}", name): tensor
        for name, tensor in load_file(file).items()
    }
    assert "bert.embeddings.LayerNorm.gamma" in renamed
    save_file({name: tensor.clone() for name, tensor in renamed.items()}, file, metadata={"format": "pt"})
    tokens, mask = padded([6, 11])
    with torch.inference_mode():
        found = zoo.load("transformer/bert", weights=source)(tokens)
    assert close(found, answer_of("bert", theirs, tokens, mask))


@pytest.mark.parametrize("case", ["bert-alone", "distilbert-alone", "minilm", "bert"])
def test_other_classes_make_a_new_head_and_nothing_else(case: str, tmp_path: Path) -> None:
    _, source = saved_encoder(case, tmp_path)
    model: Any = zoo.load(ENCODERS[case][0], weights=source, num_classes=5)
    assert model(padded([4])[0]).shape == (1, 5)
    assert {name.partition(".")[0] for name in model.zoo.report.new} == {"head"}
    assert "embeddings.tokens.weight" in model.zoo.report.loaded


def test_texts_become_their_tokens_and_labels_are_theirs(tmp_path: Path) -> None:
    theirs, source = saved_encoder("bert", tmp_path)
    inner = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    inner.no_padding()
    model = zoo.load("transformer/bert", weights=source)
    for text, record in zip(TEXTS, zoo.predict(model, TEXTS), strict=True):
        tokens = torch.tensor([inner.encode(text).ids])
        assert tokens[0, 0] == 2
        expected = answer_of("bert", theirs, tokens, tokens > 0).softmax(dim=1)[0]
        assert record["label"] == ("bad", "good", "long")[int(expected.argmax())]
        assert record["probability"] == pytest.approx(float(expected.max()), abs=1e-5)


def test_an_encoder_is_trained_on_and_its_run_keeps_the_tokenizer(tmp_path: Path) -> None:
    _, source = saved_encoder("distilbert-alone", tmp_path / "theirs")
    data = tmp_path / "data.csv"
    rows = [
        f"{text} {'and ' * number},{label}"
        for number in range(20)
        for text, label in (("a good one", "up"), ("so bad", "down"))
    ]
    data.write_text("\n".join(["text,label", *rows]) + "\n")
    settings = {"steps": 3, "batch_size": 4, "length": 12, "compile": False}
    run = zoo.train(
        "transformer/distilbert",
        str(data),
        weights=source,
        output=tmp_path / "run",
        settings=settings,
        device="cpu",
    )
    model: Any = zoo.load(run.path)
    assert model.zoo.preprocess.length == 12
    assert model.zoo.options["dim"] == 32
    assert zoo.predict(model, ["a good one"])[0]["label"] in ("up", "down")


def test_a_vocabulary_may_have_room_for_more_tokens_than_the_tokenizer_has(tmp_path: Path) -> None:
    _, source = saved_gpt2(tmp_path / "theirs")
    text = tmp_path / "text.txt"
    text.write_text("a good film and a bad one\n" * 200)
    settings = {"steps": 1, "batch_size": 2, "length": 12, "compile": False}
    run = zoo.train(
        "transformer/gpt2",
        str(text),
        weights=source,
        output=tmp_path / "run",
        settings=settings,
        device="cpu",
    )
    model: Any = zoo.load(run.path)
    inner = tokenizers.Tokenizer.from_file(str(tmp_path / "theirs" / "tokenizer.json"))
    assert inner.get_vocab_size() < WORDS
    assert model.zoo.problem.input.vocab_size == WORDS + 1
    assert zoo.predict(model, ["a bad"], length=3)[0]["prompt"] == "a bad"


# -- language models --------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"n_inner": 40, "activation_function": "relu"}])
def test_their_gpt2_gives_its_own_logits_here(more: dict[str, Any], tmp_path: Path) -> None:
    theirs, source = saved_gpt2(tmp_path, **more)
    tokens, mask = padded([9, 3, 14])
    with torch.inference_mode():
        expected = theirs(input_ids=(tokens - 1).clamp_min(0), attention_mask=mask.long()).logits
        found = zoo.load("transformer/gpt2", weights=source)(tokens)
    assert close(found[..., 1:][mask], expected[mask])
    assert found[..., 0].max() < expected.min()


def test_a_gpt2_goes_on_with_a_text_token_for_token_as_theirs(tmp_path: Path) -> None:
    theirs, source = saved_gpt2(tmp_path)
    inner = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    end = inner.token_to_id("<|endoftext|>")
    model: Any = zoo.load("transformer/gpt2", weights=source)
    (record,) = zoo.predict(model, ["a bad"], length=12, temperature=0)
    prompt = torch.tensor([[end, *inner.encode("a bad").ids]])
    expected = theirs.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=end,
    )[0, prompt.shape[1] :].tolist()
    if end in expected:
        expected = expected[: expected.index(end)]
    assert expected
    assert record == {"prompt": "a bad", "text": inner.decode(expected)}


# -- faults -----------------------------------------------------------------------------------


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    _, source = saved_gpt2(tmp_path)
    with pytest.raises(zoo.WeightsError, match="model_type = 'gpt2', where bert or distilbert is read"):
        zoo.load("transformer/bert", weights=source)


def test_weights_without_a_whole_configuration_are_refused(tmp_path: Path) -> None:
    _, source = saved_encoder("bert", tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps({key: value for key, value in config.items() if key != "hidden_size"}))
    with pytest.raises(zoo.WeightsError, match=r"config\.json is not one of bert: .*hidden_size"):
        zoo.load("transformer/bert", weights=source)
    path.unlink()
    with pytest.raises(zoo.WeightsError, match=r"no config\.json beside the weights"):
        zoo.load("transformer/bert", weights=source)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hidden_act": "mish"}, "activation 'mish' is not known"),
        ({"is_decoder": True}, "is_decoder = True"),
        ({"num_hidden_layers": 2}, "encoder.blocks.2|belongs nowhere"),
    ],
)
def test_a_variant_that_is_not_built_here_is_refused(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    _, source = saved_encoder("bert", tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    with pytest.raises(zoo.ZooError, match=told):
        zoo.load("transformer/bert", weights=source)


# -- records ----------------------------------------------------------------------------------


def test_every_record_of_published_weights_fits_the_model_that_it_names() -> None:
    records = [
        (entry, weights)
        for name in zoo.list_models("transformer/*")
        for entry in [zoo.info(name)]
        for weights in entry.weights
        if weights.source[:5] == "hf://"
    ]
    assert len(records) == 12
    for entry, weights in records:
        with torch.device("meta"):
            module = zoo.load(entry.name, problem=weights.problem, device="meta")
        assert weights.license in ("MIT", "Apache-2.0")
        assert entry.spec.layout
        assert getattr(module, "head", None) is None


def test_no_rule_of_a_key_map_stands_twice() -> None:
    for keys in read_key_maps().values():
        for side in ("theirs", "ours"):
            names = [name for rule in keys.rules for name in getattr(rule, side)]
            assert len(names) == len(set(names))


def test_a_new_encoder_begins_with_small_weights_and_no_biases() -> None:
    problem = zoo.Problem(
        task="text-classification",
        input=zoo.TokenInput(vocab_size=WORDS, length=8),
        output=zoo.Classes(count=3),
    )
    module = bert(problem, dim=64, depth=1, heads=2)
    spread = float(module.get_parameter("encoder.blocks.0.mlp.expand.weight").detach().std())
    assert spread == pytest.approx(STD, rel=0.1)
    assert not module.get_parameter("encoder.blocks.0.attention.key_value.bias").any()


@pytest.mark.parametrize("option", [{"pooling": "last"}, {"pooler": "gelu"}, {"activation": "swish"}])
def test_an_option_that_is_not_known_is_refused(option: dict[str, str]) -> None:
    problem = zoo.Problem(
        task="text-classification",
        input=zoo.TokenInput(vocab_size=WORDS, length=8),
        output=zoo.Classes(count=3),
    )
    with pytest.raises(zoo.SpecError, match=f"{next(iter(option))} = "):
        bert(problem, dim=32, depth=1, heads=2, **option)


def test_more_tokens_than_positions_are_refused() -> None:
    problem = zoo.Problem(
        task="text-classification",
        input=zoo.TokenInput(vocab_size=WORDS, length=9),
        output=zoo.Classes(count=3),
    )
    with pytest.raises(zoo.SpecError, match="positions = 8: fewer than the 9 tokens"):
        bert(problem, dim=32, depth=1, heads=2, positions=8)
