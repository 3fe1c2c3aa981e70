"""Explanations: exact where the answer is known, one for every task, pictures that open offline."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo.cli.explain import METHODS as CHOICES
from zoo.data.sample import write_sample
from zoo.explanation.methods import METHODS, grad_cam, integrated_gradients, occlusion
from zoo.explanation.questions import Question
from zoo.explanation.rollout import attention_rollout, seen_attention
from zoo.explanation.sanity import likeness, randomized
from zoo.explanation.tokens import Piece, pieces_of, words_of

LENET, VIT = "cnn/lenet5.digits", "transformer/vit.digits"
SNIPPET = "for line in open(path): print(line)"


def question(inputs: Tensor, kind: Any, preprocess: Any) -> Question:
    """What a model says at its first output."""
    return Question(
        inputs=inputs,
        ask=lambda model, given: model(given)[:, 0],
        asked="",
        answer="",
        kind=kind,
        preprocess=preprocess,
    )


def image_question(inputs: Tensor) -> Question:
    channels, height, width = inputs.shape[1:]
    kind = zoo.ImageInput(channels=channels, height=height, width=width)
    return question(inputs, kind, zoo.ImagePreprocess(channels=channels, height=height, width=width))


def sample(data: str, path: Path, index: int = 0) -> str:
    """A test sample as a user gives it."""
    write_sample(zoo.load_dataset(data), "test", index, path)
    return path.read_text() if path.suffix == ".txt" else str(path)


@pytest.fixture
def digit(tmp_path: Path) -> str:
    return sample("digits", tmp_path / "digit.png")


def refused(model: str, item: str, **options: Any) -> str:
    """What `zoo.explain` says of it, in one line."""
    with pytest.raises(zoo.ZooError) as caught:
        zoo.explain(model, item, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- methods, where the answer is known -------------------------------------------------------


@pytest.mark.parametrize("method", [integrated_gradients, occlusion])
def test_of_a_linear_model_each_pixel_says_its_weight_times_its_value(method: Any) -> None:
    torch.manual_seed(0)
    images = torch.randn(1, 1, 8, 8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    expected = model[1].weight[0].view(8, 8) * images[0, 0]
    torch.testing.assert_close(method(model, image_question(images)), expected, check_dtype=False)


def test_grad_cam_is_what_the_last_convolution_lets_through() -> None:
    torch.manual_seed(0)
    images = torch.randn(1, 1, 6, 6)
    copying = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(copying.weight)
    model = nn.Sequential(copying, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.testing.assert_close(grad_cam(model, image_question(images)), images[0, 0].relu() / 36)


def test_rollout_of_one_layer_is_half_its_attention_and_half_the_way_around_it() -> None:
    class OneLayer(nn.Module):
        def forward(self, series: Tensor) -> Tensor:
            seen = series[:, None]  # one head
            return F.scaled_dot_product_attention(seen, seen, seen)[:, 0, :, 0]

    torch.manual_seed(0)
    series = torch.randn(1, 5, 2)
    weights = (series[0] @ series[0].T / 2**0.5).softmax(dim=1)
    expected = ((weights + torch.eye(5)) / 2).mean(dim=0)
    asked = question(
        series, zoo.SeriesInput(channels=2, length=5), zoo.SeriesPreprocess(length=5, channels=2)
    )
    found = attention_rollout(OneLayer(), asked)
    torch.testing.assert_close(found, expected[:, None].expand(-1, 2))


def test_attention_is_seen_with_its_mask_and_then_left_as_it_was() -> None:
    plain = F.scaled_dot_product_attention
    query = torch.randn(1, 2, 4, 3)
    with seen_attention() as maps:
        found = F.scaled_dot_product_attention(query, query, query, is_causal=True)
    assert F.scaled_dot_product_attention is plain
    torch.testing.assert_close(found, plain(query, query, query, is_causal=True))
    assert torch.equal(maps[0].triu(1), torch.zeros(4, 4))
    torch.testing.assert_close(maps[0].sum(dim=1), torch.ones(4))


@pytest.mark.parametrize(("model", "data"), [(LENET, "digits"), ("cnn/fcn.control", "control")])
def test_integrated_gradients_add_up_to_what_the_input_changed(model: str, data: str, tmp_path: Path) -> None:
    item = sample(data, tmp_path / ("item.png" if data == "digits" else "item.csv"))
    found = zoo.explain(model, item)
    module = zoo.load(model)
    task = zoo.installed().task_implementation(module.zoo.problem.task)
    (inputs,) = task.inputs(next(iter(task.read([item], module.zoo.preprocess, 1))))
    with torch.no_grad():
        logits, average = module(inputs)[0], module(torch.zeros_like(inputs))[0]
    chosen = int(logits.argmax())
    change = float(logits[chosen] - average[chosen])
    assert float(found.relevance.sum()) == pytest.approx(change, abs=0.05 * max(1.0, abs(change)))


# -- every task -------------------------------------------------------------------------------

CASES = {
    (LENET, "integrated-gradients"): "digits",
    (LENET, "grad-cam"): "digits",
    (LENET, "occlusion"): "digits",
    (VIT, "attention-rollout"): "digits",
    ("timm/mobilenetv3_small_050.digits", "grad-cam"): "digits",
    ("cnn/textcnn.snippets", "integrated-gradients"): "snippets",
    ("lstm/classifier.snippets", "occlusion"): "snippets",
    ("transformer/classifier.snippets", "attention-rollout"): "snippets",
    ("lstm/seq2seq.dates", "integrated-gradients"): "dates",
    ("transformer/seq2seq.dates", "occlusion"): "dates",
    ("lstm/classifier.control", "integrated-gradients"): "control",
    ("cnn/fcn.control", "grad-cam"): "control",
    ("transformer/series_classifier.control", "attention-rollout"): "control",
    ("cnn/tcn.mackey-glass", "integrated-gradients"): "mackey-glass",
    ("transformer/patchtst.mackey-glass", "attention-rollout"): "mackey-glass",
    ("lstm/forecaster.mackey-glass", "occlusion"): "mackey-glass",
}
SUFFIX = {"digits": ".png", "snippets": ".txt", "dates": ".txt"}


@pytest.mark.parametrize(("model", "method"), CASES)
def test_an_item_of_every_task_is_explained_and_drawn(model: str, method: str, tmp_path: Path) -> None:
    data = CASES[model, method]
    item = sample(data, tmp_path / f"item{SUFFIX.get(data, '.csv')}")
    found = zoo.explain(model, item, method=method)
    assert np.ptp(found.relevance) > 0
    assert np.isfinite(found.relevance).all()
    assert -1 <= found.likeness < 1
    if found.pieces:
        assert "".join(piece.text for piece in found.pieces) in item
        assert sum(piece.relevance for piece in found.pieces) == pytest.approx(
            float(found.relevance.sum()), abs=1e-3
        )
    else:
        assert found.relevance.shape == found.shown.shape[-found.relevance.ndim :]
    for suffix in found.suffixes:
        found.save(tmp_path / f"picture{suffix}")
        assert (tmp_path / f"picture{suffix}").stat().st_size > 500


def test_a_language_model_is_asked_for_the_next_token(tmp_path: Path) -> None:
    settings = {"steps": 2, "batch_size": 4, "eval_samples": 4}
    run = zoo.train("transformer/gpt", "stdlib", output=tmp_path / "run", settings=settings, device="cpu")
    for method in ("integrated-gradients", "attention-rollout", "occlusion"):
        found = zoo.explain(run.path, "import os", method=method)
        assert "as the next token" in found.asked
        assert "".join(piece.text for piece in found.pieces) == "import os"


def test_a_target_asks_for_another_class_or_a_step_of_the_forecast(digit: str, tmp_path: Path) -> None:
    likeliest, three = zoo.explain(LENET, digit), zoo.explain(LENET, digit, target="3")
    assert three.asked == "the logit of '3'"
    assert not np.allclose(likeliest.relevance, three.relevance)
    history = sample("mackey-glass", tmp_path / "history.csv")
    assert zoo.explain("cnn/tcn.mackey-glass", history, target="2").asked.startswith("step 2 of the forecast")


# -- whether it can be believed ---------------------------------------------------------------


def test_the_same_question_has_the_same_answer_and_the_same_picture(digit: str, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        zoo.explain(LENET, digit, seed=3).save(tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert zoo.explain(LENET, digit, seed=3).likeness != zoo.explain(LENET, digit, seed=4).likeness


def test_the_model_itself_is_left_as_it_was(digit: str) -> None:
    module: Any = zoo.load(LENET)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    zoo.explain(module, digit)
    zoo.explain(module, digit, method="grad-cam")
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(layer._forward_hooks for layer in module.modules())


def test_shuffled_weights_are_the_same_numbers_in_other_places() -> None:
    module = nn.Linear(30, 30)
    other = randomized(module, 0)
    assert not torch.equal(other.weight, module.weight)
    assert torch.equal(other.weight.flatten().sort().values, module.weight.flatten().sort().values)
    assert torch.equal(randomized(module, 0).weight, other.weight)


def test_likeness_is_one_for_the_same_and_none_where_nothing_differs() -> None:
    one = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    assert likeness(one, np.exp(one)) == pytest.approx(1)
    assert likeness(one, -one) == pytest.approx(-1)
    assert likeness(one, np.zeros_like(one)) == 0


FIXED = """
def fixed(problem):
    import torch
    from torch import nn
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(1, 2)
            self.register_buffer("place", torch.arange(4.0), persistent=False)
        def forward(self, images):
            seen = (images.flatten(1) * self.place).sum(dim=1, keepdim=True)
            return torch.cat([seen, -seen], dim=1) + 1e-9 * self.head(seen)
    return Fixed()

@zoo.hookimpl
def zoo_models():
    return [net(builder=f"{__name__}:fixed")]
"""


def test_an_explanation_that_no_weight_changes_is_warned_of(
    install: toys.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: toys.Capture
) -> None:
    install("fixed", f"{toys.SPECKS}\n{FIXED}")
    settings = {"steps": 1, "batch_size": 4}
    zoo.train("fixed/net", "specks", output=tmp_path / "run", settings=settings, device="cpu")
    Image.fromarray(np.array([[10, 200], [90, 40]], dtype=np.uint8)).save(tmp_path / "speck.png")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    status, out, err = toys.run(capsys, "explain", "run", "speck.png")
    assert status == 0
    assert "shuffled weights give nearly the same (rank correlation 1.00)" in err
    assert "written: explanation.png" in out


# -- texts ------------------------------------------------------------------------------------


def test_bytes_of_one_character_are_shown_together() -> None:
    tokens = [byte + 1 for byte in "aé".encode()]
    pieces = pieces_of(tokens, [1.0, 2.0, 3.0], zoo.TextPreprocess(length=8))
    assert pieces == (Piece("a", 1.0), Piece("é", 5.0))


def test_words_add_up_what_their_pieces_have() -> None:
    pieces = [Piece(text, 1.0) for text in "to be "]
    assert words_of(pieces) == [Piece("to", 2.0), Piece("be", 3.0)]


@pytest.mark.parametrize("suffix", [".html", ".svg"])
def test_a_text_is_drawn_so_that_nothing_is_fetched(suffix: str, tmp_path: Path) -> None:
    zoo.explain("cnn/textcnn.snippets", "a < b  # <script>").save(tmp_path / f"text{suffix}")
    page = (tmp_path / f"text{suffix}").read_text()
    assert "<script" not in page
    assert "url(http" not in page
    assert "src=" not in page


# -- what a user may get wrong ----------------------------------------------------------------


def test_a_model_without_weights_is_refused(digit: str) -> None:
    assert refused("cnn/lenet5", digit).startswith("cnn/lenet5 has no weights loaded; say cnn/lenet5.TAG")


def test_items_of_another_task_are_refused(digit: str) -> None:
    assert refused(LENET, "a text") == "no such image: 'a text'"
    assert "neither a file of numbers nor numbers" in refused("cnn/fcn.control", digit)
    assert refused("cnn/tcn.mackey-glass", "1 2 3") == "the history has 3 steps; the model needs 96"


def test_an_unknown_method_or_target_is_told(digit: str) -> None:
    assert refused(LENET, digit, method="gradcam") == "no method named 'gradcam'; did you mean 'grad-cam'?"
    assert "knows no class 'seven'; it knows: 0, 1, 2" in refused(LENET, digit, target="seven")
    assert "does seq2seq" in refused("lstm/seq2seq.dates", "1 May", target="2")


def test_a_method_that_does_not_suit_the_model_is_told(digit: str) -> None:
    assert "needs a stack of self-attention" in refused(LENET, digit, method="attention-rollout")
    assert "is for images and series" in refused("cnn/textcnn.snippets", SNIPPET, method="grad-cam")
    series = " ".join(map(str, range(60)))
    told = refused("lstm/classifier.control", series, method="grad-cam")
    assert told == "grad-cam needs a convolution, which this model has not; say --method occlusion"
    assert "follows one stack" in refused("transformer/seq2seq.dates", "1 May", method="attention-rollout")


def test_a_picture_that_cannot_be_written_is_told(digit: str, tmp_path: Path) -> None:
    found = zoo.explain(LENET, digit)
    with pytest.raises(zoo.ZooError, match=r"an explanation of image-classification is saved as \.png"):
        found.save(tmp_path / "picture.html")
    with pytest.raises(zoo.ZooError, match="exists already; choose another --output"):
        found.save(Path(digit))
    with pytest.raises(zoo.ZooError, match="cannot be written: No such file or directory"):
        found.save(tmp_path / "missing" / "picture.png")


def test_what_is_not_installed_is_told_with_the_command(digit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)  # as Python itself notes what cannot be imported
    told = refused(LENET, digit)
    assert told == "to explain needs captum, not installed here; pip install 'torch-zoo[explain]'"


# -- the command ------------------------------------------------------------------------------


def test_the_command_offers_every_method() -> None:
    assert tuple(METHODS) == CHOICES


def test_the_command_writes_a_picture_of_a_digit(digit: str, tmp_path: Path, capsys: toys.Capture) -> None:
    output = tmp_path / "why.png"
    status, out, err = toys.run(capsys, "explain", LENET, digit, "--output", str(output))
    assert (status, err) == (0, "")
    assert out.startswith("cnn/lenet5.digits answers ")
    assert f"written: {output}\n" in out
    with Image.open(io.BytesIO(output.read_bytes())) as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 50


def test_the_command_prints_a_text_and_its_words(capsys: toys.Capture) -> None:
    status, out, _ = toys.run(capsys, "-q", "explain", "cnn/textcnn.snippets", SNIPPET)
    assert status == 0
    assert SNIPPET in out
    assert "\nmost: " in out


def test_the_command_prints_json(capsys: toys.Capture) -> None:
    told = toys.document(capsys, "-q", "explain", "cnn/textcnn.snippets", SNIPPET)
    assert "".join(piece["text"] for piece in told["pieces"]) == SNIPPET
    assert len(told["relevance"]) == len(SNIPPET)
    assert set(told["sanity"]) == {"correlation", "suspicious"}
