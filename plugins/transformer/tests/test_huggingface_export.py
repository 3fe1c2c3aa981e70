"""What `zoo export --format huggingface` writes, `transformers` loads, and answers as the model did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from checkpoints import (
    ENCODERS,
    TEXTS,
    WORDS,
    answer_of,
    close,
    command,
    padded,
    publish,
    saved_encoder,
    saved_gpt2,
    stirred,
    transformers,
)

import zoo
from zoo_transformer import huggingface

FORMAT = "huggingface"
SETTINGS = {"steps": 2, "batch_size": 4, "length": 12, "compile": False, "head_epochs": 0}
SMALL = {"dim": 32, "depth": 2, "heads": 4}


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def films(folder: Path) -> str:
    """A small data set of texts with classes."""
    rows = [
        f"{text} {'and ' * number},{label}"
        for number in range(20)
        for text, label in (("a good one", "up"), ("so bad", "down"))
    ]
    path = folder / "films.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return str(path)


def refused(model: Any, output: Path) -> str:
    with pytest.raises(zoo.ZooError) as caught:
        zoo.export(model, output, format=FORMAT)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- their library reads what is written ------------------------------------------------------


@pytest.mark.parametrize("case", ENCODERS)
def test_their_library_gives_the_answers_of_an_encoder(case: str, tmp_path: Path) -> None:
    theirs, source = saved_encoder(case, tmp_path / "theirs")
    ours = stirred(zoo.load(ENCODERS[case][0], weights=source))
    done = zoo.export(ours, tmp_path / "ours", format=FORMAT)
    assert done.difference == 0
    kind = transformers.BertModel if case == "bert-masked" else type(theirs)
    read, told = kind.from_pretrained(done.path, output_loading_info=True)
    tokens, mask = padded([5, 12, 2])
    pooled = case not in ("bert-masked", "minilm")
    assert [name for name in told["missing_keys"] if pooled or not name.startswith("pooler.")] == []
    assert not told["unexpected_keys"]
    with torch.inference_mode():
        assert close(answer_of(case, read.eval(), tokens, mask), ours(tokens))
        again = zoo.load(ENCODERS[case][0], weights=f"file:{done.path}")
        assert torch.equal(again(tokens), ours(tokens))


def test_their_library_gives_the_logits_of_a_gpt2(tmp_path: Path) -> None:
    _, source = saved_gpt2(tmp_path / "theirs")
    ours = stirred(zoo.load("transformer/gpt2", weights=source))
    done = zoo.export(ours, tmp_path / "ours", format=FORMAT)
    read, told = transformers.AutoModelForCausalLM.from_pretrained(done.path, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    tokens, _ = padded([13, 13])
    with torch.inference_mode():
        assert close(ours(tokens)[..., 1:], read.eval()(input_ids=tokens - 1).logits)


@pytest.mark.parametrize("activation", ["gelu_tanh", "gelu", "relu"])
def test_a_gpt_of_gpt2s_shape_is_written_as_one_and_read_again(activation: str, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one good film, and a bad one\n" * 200)
    shape = {**SMALL, "positions": "learned", "bias": True, "activation": activation}
    run = zoo.train(
        "transformer/gpt", str(text), output=tmp_path / "run", settings=SETTINGS, device="cpu", **shape
    )
    ours: Any = stirred(zoo.load(run.path))
    done = zoo.export(ours, tmp_path / "ours", format=FORMAT)
    read, told = transformers.AutoModelForCausalLM.from_pretrained(done.path, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    tokens = torch.randint(1, 259, (3, 12))
    again: Any = zoo.load("transformer/gpt", weights=f"file:{done.path}")
    with torch.inference_mode():
        assert close(ours(tokens), read.eval()(input_ids=tokens).logits)
        assert torch.equal(again(tokens), ours(tokens))
    assert again.zoo.options["activation"] == activation
    theirs = transformers.AutoTokenizer.from_pretrained(done.path)
    (ids,) = theirs(["a good öne"])["input_ids"]
    assert theirs.decode(ids) == "a good öne"
    assert ids == [byte + 1 for byte in "a good öne".encode()]
    prompt = torch.tensor([[theirs.eos_token_id, *theirs("a ")["input_ids"]]])
    written = read.generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0)
    (record,) = zoo.predict(again, ["a "], length=8, temperature=0)
    assert record["text"] == theirs.decode(written[0, prompt.shape[1] :], skip_special_tokens=True)


NEARLY_GPT2 = {"positions": "learned", "activation": "gelu", "bias": True}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "no rotary positions, no SwiGLU, no layers without biases"),
        ({**NEARLY_GPT2, "kv_heads": 2}, "no heads that share keys"),
        ({**NEARLY_GPT2, "tied": False}, "no head of its own"),
        ({**NEARLY_GPT2, "norm": "rms", "qk_norm": True}, "no RMSNorm, no norms of queries and keys"),
    ],
)
def test_a_gpt_of_another_shape_is_not_written(options: dict[str, Any], told: str) -> None:
    ours = zoo.load("transformer/gpt", **SMALL, **options)
    with pytest.raises(zoo.WeightsError, match=f"GPT-2 has {told}.*; say --format"):
        huggingface.gpt.write(ours)


def test_their_own_gpt2_is_not_taken_for_a_gpt(tmp_path: Path) -> None:
    _, source = saved_gpt2(tmp_path / "theirs")
    with pytest.raises(zoo.WeightsError, match="load it as transformer/gpt2"):
        zoo.load("transformer/gpt", weights=source)


def test_tensors_of_a_gpt_alone_are_read_under_their_own_names(tmp_path: Path) -> None:
    ours = zoo.load("transformer/gpt")
    safetensors.torch.save_file(ours.state_dict(), tmp_path / "plain.safetensors")
    again = zoo.load("transformer/gpt", weights=f"file:{tmp_path / 'plain.safetensors'}")
    tokens = torch.randint(1, 259, (1, 9))
    assert torch.equal(again.eval()(tokens), ours.eval()(tokens))


def test_their_own_choice_of_class_and_tokenizer_is_the_right_one(tmp_path: Path) -> None:
    _, source = saved_encoder("distilbert", tmp_path / "theirs")
    ours = zoo.load("transformer/distilbert", weights=source)
    done = zoo.export(ours, tmp_path / "ours", format=FORMAT)
    read = transformers.AutoModelForSequenceClassification.from_pretrained(done.path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(done.path)
    given = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        shares = read(given["input_ids"], attention_mask=given["attention_mask"]).logits.softmax(dim=1)
    found = zoo.predict(ours, TEXTS)
    assert [record["label"] for record in found] == [read.config.id2label[int(n)] for n in shares.argmax(1)]
    assert [record["probability"] for record in found] == pytest.approx(shares.amax(1).tolist(), abs=1e-5)


@pytest.mark.parametrize("tokenizer", ["bytes", "bpe"])
@pytest.mark.parametrize("model", ["transformer/bert", "transformer/gpt2"])
def test_a_run_with_a_tokenizer_of_the_zoo_takes_it_along(model: str, tokenizer: str, tmp_path: Path) -> None:
    data = films(tmp_path)
    if model == "transformer/gpt2":
        data = str(tmp_path / "text.txt")
        Path(data).write_text("one good film, and a bad one\n" * 200)
    settings = {**SETTINGS, "tokenizer": tokenizer, "vocab_size": 300}
    run = zoo.train(
        model, data, output=tmp_path / "run", settings=settings, device="cpu", positions=64, **SMALL
    )
    done = zoo.export(run.path, tmp_path / "ours", format=FORMAT)
    ours: Any = zoo.load(run.path)
    theirs = transformers.AutoTokenizer.from_pretrained(done.path)
    (ids,) = theirs(["a good öne"])["input_ids"]
    assert theirs.decode(ids) == "a good öne"
    again: Any = zoo.load(model, weights=f"file:{done.path}")
    assert zoo.predict(again, ["a good öne"], length=5, temperature=0) == zoo.predict(
        ours, ["a good öne"], length=5, temperature=0
    )
    shift = 0 if model == "transformer/bert" else 1
    read = (
        transformers.AutoModelForSequenceClassification
        if model == "transformer/bert"
        else transformers.AutoModelForCausalLM
    ).from_pretrained(done.path)
    tokens = torch.tensor([ids])
    with torch.inference_mode():
        expected, found = ours(tokens + shift), read.eval()(input_ids=tokens).logits
    assert close(found, expected[..., shift:])


def test_a_gpt2_ends_its_texts_as_its_tokenizer_does(tmp_path: Path) -> None:
    _, source = saved_gpt2(tmp_path / "theirs")
    done = zoo.export(zoo.load("transformer/gpt2", weights=source), tmp_path / "ours", format=FORMAT)
    config = json.loads((done.path / "config.json").read_bytes())
    theirs = transformers.AutoTokenizer.from_pretrained(done.path)
    assert theirs.eos_token == "<|endoftext|>"
    assert config["bos_token_id"] == config["eos_token_id"] == theirs.eos_token_id != WORDS - 1


# -- the folder -------------------------------------------------------------------------------


def test_a_run_is_exported_from_the_shell(tmp_path: Path) -> None:
    _, source = saved_encoder("bert", tmp_path / "theirs")
    run = zoo.train(
        "transformer/bert",
        films(tmp_path),
        weights=source,
        output=tmp_path / "run",
        settings=SETTINGS,
        device="cpu",
    )
    done = command("export", run.path, "--format", FORMAT, "-o", tmp_path / "ours")
    assert done.stdout.startswith(f"transformer/bert.run as huggingface: {tmp_path / 'ours'} (")
    names = {str(path.relative_to(tmp_path / "ours")) for path in (tmp_path / "ours").rglob("*")}
    assert names == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    read = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours")
    assert read.config.id2label == {0: "down", 1: "up"}
    again = command("export", run.path, "--format", FORMAT, "-o", tmp_path / "ours", status=1)
    assert again.stdout == ""
    assert "exists already; choose another --output" in again.stderr


def test_published_weights_are_exported_with_their_licence(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path / "theirs")
    site = publish(tmp_path / "site", "transformer/minilm", source)
    command("export", "transformer/minilm.tiny", "--format", FORMAT, "-o", tmp_path / "ours", site=site)
    text = (tmp_path / "ours" / "README.md").read_text()
    assert text.startswith("---\npipeline_tag: feature-extraction\n")
    assert "\nlicense: mit\n" in text
    assert 'zoo.load("transformer/minilm", weights="file:PATH TO THIS FOLDER")' in text
    modules = json.loads((tmp_path / "ours" / "modules.json").read_bytes())
    assert modules[2]["type"].endswith(".Normalize")


def test_a_model_that_theirs_has_no_class_for_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    _, source = saved_encoder("minilm", tmp_path / "theirs")
    model = zoo.load("transformer/minilm", weights=source, num_classes=3)
    told = refused(model, tmp_path / "ours")
    assert told == (
        "Hugging Face's classifiers go by the first token as it is, this one does not; "
        "say --format onnx, torch or safetensors"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]


def test_weights_without_a_tokenizer_are_told_what_is_missing(tmp_path: Path) -> None:
    _, source = saved_encoder("bert", tmp_path / "theirs")
    (tmp_path / "theirs" / "tokenizer.json").unlink()
    told = refused(zoo.load("transformer/bert", weights=source), tmp_path / "ours")
    assert told.endswith("says how it is fed; put its tokenizer.json there")
