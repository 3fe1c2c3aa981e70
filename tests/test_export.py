"""Exported models answer as the models do, read by the programs that they are for."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
import toys
from safetensors.torch import load_file

import zoo
import zoo_weights
from zoo.cli.export import FORMATS as CHOICES
from zoo.cli.export import PRECISIONS
from zoo.exporting.formats import FORMATS, check_unpickled
from zoo.exporting.precisions import LOWERINGS
from zoo.profile import example_inputs

LENET = "cnn/lenet5.digits"
SHIPPED = {spec.name: spec for spec in zoo_weights.zoo_weights()}
QUICK = (LENET, "cnn/textcnn.snippets")
EACH = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SHIPPED]


def refused(model: str | Path, output: Path | None = None, **options: str) -> str:
    """What `zoo.export` says of it, in one line."""
    with pytest.raises(zoo.ZooError) as caught:
        zoo.export(model, output, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- each format ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EACH)
def test_onnx_answers_as_the_model_does_at_any_batch(name: str, tmp_path: Path) -> None:
    done = zoo.export(name, tmp_path / "model.onnx")
    assert done.difference <= done.tolerance
    assert done.data == f"{SHIPPED[name].dataset} (test)"
    assert done.batches == (1, 16)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    told = json.loads(session.get_modelmeta().custom_metadata_map["zoo"])
    assert told["labels"] == list(SHIPPED[name].labels)
    module = zoo.load(name)
    torch.manual_seed(0)
    inputs = example_inputs(module.zoo.problem, 5)  # neither of the batches that were tried
    arrays = {given.name: tensor.numpy() for given, tensor in zip(session.get_inputs(), inputs, strict=True)}
    (found,) = session.run(None, arrays)
    with torch.no_grad():
        expected = module(*inputs).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("name", EACH)
def test_an_archive_of_torch_answers_without_a_pickle(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = zoo.export(name, tmp_path / "model.pt2", format="torch")
    assert done.difference <= done.tolerance

    def never(*args: object, **options: object) -> None:
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(torch, "load", never)
    monkeypatch.setattr(pickle, "loads", never)
    monkeypatch.setattr(pickle, "load", never)
    told = {"zoo.json": ""}
    read = torch.export.load(tmp_path / "model.pt2", extra_files=told).module()
    assert json.loads(told["zoo.json"])["model"] == name
    module = zoo.load(name)
    torch.manual_seed(0)
    source, *target = example_inputs(module.zoo.problem, 5)
    inputs = (source, *(tokens[:, :-1] for tokens in target))  # torch.export fixes the steps of an LSTM
    with torch.no_grad():
        torch.testing.assert_close(read(*inputs), module(*inputs), atol=1e-4, rtol=1e-4)


def test_an_archive_that_would_be_unpickled_is_refused(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "model.pt2")  # with its sample inputs, which torch pickles
    with pytest.raises(zoo.ZooError, match="would pickle parts of the model: sample inputs"):
        check_unpickled(tmp_path / "model.pt2")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_whoever_may_read_a_new_file_may_read_an_exported_one(tmp_path: Path, precision: str) -> None:
    (tmp_path / "any").touch()
    output = tmp_path / "mine.safetensors"
    zoo.export(LENET, output, format="safetensors", precision=precision)
    assert output.stat().st_mode == (tmp_path / "any").stat().st_mode


def test_safetensors_are_the_file_of_the_weights_and_load_again(tmp_path: Path) -> None:
    done = zoo.export(LENET, tmp_path / "mine.safetensors", format="safetensors")
    assert done.difference == 0
    original = Path(zoo_weights.__file__).parent / "cnn" / "lenet5.digits.safetensors"
    assert done.path.read_bytes() == original.read_bytes()
    again = zoo.load("cnn/lenet5", weights=str(done.path))
    assert torch.equal(again.head.weight, load_file(original)["head.weight"])


def test_timm_loads_the_folder_of_a_run_of_its_architecture(tmp_path: Path) -> None:
    settings = {"steps": 2, "image_size": 32, "batch_size": 8, "eval_samples": 8}
    run = zoo.train("timm/test_resnet", "digits", output=tmp_path / "run", settings=settings, device="cpu")
    done = zoo.export(run.path, tmp_path / "for-timm", format="timm")
    assert done.difference < 1e-6  # the same network, though timm may order its memory otherwise
    assert sorted(path.name for path in done.path.iterdir()) == ["config.json", "model.safetensors"]
    theirs = timm.create_model(f"local-dir:{done.path}", pretrained=True).eval()
    images = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), zoo.load(run.path)(images), rtol=0, atol=1e-6)


def test_the_layout_of_timm_is_for_runs_of_its_architectures(tmp_path: Path) -> None:
    told = refused(LENET, tmp_path / "for-timm", format="timm")
    assert "cnn/lenet5.digits has no config.json of timm's beside its weights" in told
    assert list(tmp_path.glob("for-timm*")) == []


LAYOUT = """
class Theirs:
    def describe(self, shapes, read):
        if read("config.json") is None:
            raise zoo.WeightsError("no config.json")
        preprocess = zoo.ImagePreprocess(channels=1, height=2, width=2, mean=(0.5,))
        return {"problem": PROBLEM, "preprocess": preprocess, "labels": ("dark", "light")}

    def read(self, tensors, module):
        for name in list(tensors):
            tensors["1." + name.removeprefix("classifier.")] = tensors.pop(name)
        return {}

    def write(self, module):
        found = module.state_dict().items()
        tensors = {"classifier." + name.removeprefix("1."): tensor for name, tensor in found}
        return tensors, {"config.json": b"{}", "more/notes.json": b"[]"}

theirs = Theirs()

@zoo.hookimpl
def zoo_models():
    return [net(layout=f"{__name__}:theirs"), net(name="plain")]
"""


def test_a_plugin_of_somebody_elses_offers_a_layout_of_its_own(install: toys.Site, tmp_path: Path) -> None:
    install("abroad", f"{toys.SPECKS}\n{LAYOUT}")
    settings = {"steps": 1, "batch_size": 4}
    run = zoo.train("abroad/net", "specks", output=tmp_path / "run", settings=settings, device="cpu")
    done = zoo.export(run.path, tmp_path / "theirs", format="huggingface")
    assert done.difference == 0
    found = {str(path.relative_to(done.path)) for path in done.path.rglob("*") if path.is_file()}
    assert found == {"README.md", "config.json", "model.safetensors", "more/notes.json"}
    assert set(load_file(done.path / "model.safetensors")) == {"classifier.weight", "classifier.bias"}
    again = zoo.load("abroad/net", weights=f"file:{done.path}")
    images = torch.randn(3, 1, 2, 2)
    assert torch.equal(again(images), zoo.load(run.path)(images))


def test_a_model_without_a_layout_is_told_what_else_there_is(tmp_path: Path) -> None:
    told = refused(LENET, tmp_path / "theirs", format="huggingface")
    assert told == (
        "cnn/lenet5.digits has no layout that Hugging Face's libraries read; "
        "say --format onnx, torch or safetensors"
    )
    assert list(tmp_path.glob("*theirs*")) == []


def test_a_module_that_was_changed_is_exported_as_it_is(tmp_path: Path) -> None:
    module = zoo.load(LENET)
    with torch.no_grad():
        module.get_parameter("head.bias").add_(1)
    done = zoo.export(module, tmp_path / "model.pt2", format="torch")
    assert done.difference <= done.tolerance
    with pytest.raises(zoo.ZooError, match="answers differently"):  # the file of its weights is another's
        zoo.export(module, tmp_path / "model.safetensors", format="safetensors")


def test_the_command_offers_every_format_and_precision() -> None:
    assert tuple(FORMATS) == CHOICES
    assert {"fp32", *(precision for _, precision in LOWERINGS)} == set(PRECISIONS)


# -- lower precisions -------------------------------------------------------------------------


def test_weights_in_bf16_are_what_the_graph_holds(tmp_path: Path) -> None:
    done = zoo.export(LENET, tmp_path / "less.onnx", precision="bf16")
    model = onnx.load(done.path)
    kinds = {weight.data_type for weight in model.graph.initializer if np.prod(weight.dims) >= 64}
    assert kinds == {onnx.TensorProto.BFLOAT16}
    told = {prop.key: prop.value for prop in model.metadata_props}
    assert json.loads(told["zoo"])["precision"] == "bf16"
    assert done.before
    assert done.after
    assert 0.5 <= done.after.bytes / done.before.bytes < 0.56
    half = zoo.load(LENET)
    for parameter in half.parameters():
        if parameter.numel() >= 64:
            parameter.data = parameter.data.bfloat16().float()
    images = torch.randn(5, 1, 32, 32)
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, half(images).numpy(), atol=1e-4)


def test_weights_in_int8_are_what_the_graph_holds(tmp_path: Path) -> None:
    done = zoo.export(LENET, tmp_path / "less.onnx", precision="int8")
    model = onnx.load(done.path)
    sizes: dict[int, int] = {}
    for weight in model.graph.initializer:
        sizes[weight.data_type] = sizes.get(weight.data_type, 0) + int(np.prod(weight.dims))
        if weight.data_type == onnx.TensorProto.INT8:  # two products of 7 and 8 bits fit into 16
            assert np.abs(onnx.numpy_helper.to_array(weight).astype(int)).max() <= 64
    parameters = sum(parameter.numel() for parameter in zoo.load(LENET).parameters())
    assert sizes[onnx.TensorProto.INT8] > 0.95 * parameters
    assert {prop.key for prop in model.metadata_props} == {"zoo"}
    assert done.after
    assert (done.after.metric, done.after.scored) == ("accuracy", 300)
    judged = zoo.evaluate(LENET, "digits").metrics["accuracy"].value
    assert done.before
    assert done.before.value == pytest.approx(judged)
    assert abs((done.after.value or 0) - judged) < 0.02


READ = """
import sys
sys.modules["torchao"] = None  # as if it were not installed
import pickle, torch

def never(*args, **options):
    raise AssertionError("something was unpickled")

torch.load = pickle.load = pickle.loads = never
module = torch.export.load(sys.argv[1]).module()
kinds = {tensor.dtype for tensor in [*module.parameters(), *module.buffers()] if tensor.numel() > 1000}
print(tuple(module(torch.zeros(3, 1, 32, 32)).shape), torch.int8 in kinds)
"""


def test_an_archive_in_int8_is_read_by_torch_alone(tmp_path: Path) -> None:
    done = zoo.export(LENET, tmp_path / "less.pt2", format="torch", precision="int8")
    command = (sys.executable, "-W", "ignore", "-c", READ, str(done.path))
    read = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read.stdout == "(3, 10) True\n"
    assert done.after
    assert done.before
    assert done.after.bytes < 0.6 * done.before.bytes


def test_an_archive_in_bf16_takes_and_gives_fp32(tmp_path: Path) -> None:
    done = zoo.export(LENET, tmp_path / "less.pt2", format="torch", precision="bf16")
    with warnings.catch_warnings(action="ignore"):
        module = torch.export.load(done.path).module()
    assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}
    assert module(torch.zeros(3, 1, 32, 32)).dtype == torch.float32


def test_a_format_that_cannot_be_int8_says_which_can(tmp_path: Path) -> None:
    told = refused(LENET, tmp_path / "less.safetensors", format="safetensors", precision="int8")
    assert told == "safetensors is not written in int8; say --format onnx or torch"
    assert refused(LENET, precision="int9").startswith("no precision named 'int9'; did you mean 'int8'?")
    assert list(tmp_path.glob("*less*")) == []


def test_without_torchao_the_command_that_brings_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    told = refused(LENET, tmp_path / "less.pt2", format="torch", precision="int8")
    assert told == (
        "to export as torch in int8 needs torchao, not installed here; pip install 'torch-zoo[int8]'"
    )


# -- the check --------------------------------------------------------------------------------


def test_other_data_of_the_task_can_be_checked_on(tmp_path: Path) -> None:
    done = zoo.export("cnn/fcn.control", tmp_path / "model.safetensors", format="safetensors", data="control")
    assert (done.data, done.samples, done.bytes) == ("control (test)", 16, done.path.stat().st_size)


def test_weights_of_unknown_data_are_checked_on_fixed_samples(tmp_path: Path) -> None:
    data = zoo.load_dataset("digits")
    few = {name: {key: part[:32] for key, part in split.items()} for name, split in data.splits.items()}
    mine = zoo.Dataset(name="mine", problem=data.problem, splits=few)
    run = zoo.train("cnn/lenet5", mine, output=tmp_path / "run", settings={"steps": 2}, device="cpu")
    done = zoo.export(run.path, tmp_path / "model.pt2", format="torch")
    assert done.data == "fixed noise and texts"
    assert done.difference <= done.tolerance


def test_a_file_that_answers_otherwise_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FORMATS["torch"]
    other = type(real)(
        suffix=real.suffix,
        write=real.write,
        read=lambda source, path: lambda inputs: source.module(*inputs) + 1,
        package=real.package,
    )
    monkeypatch.setitem(FORMATS, "torch", other)  # type: ignore[arg-type]
    assert "answers differently: by" in refused(LENET, tmp_path / "model.pt2", format="torch")
    assert list(tmp_path.glob("*model*")) == []


CHOOSY = """
def choosy(problem):
    from torch import nn
    class Choosy(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)
        def forward(self, images):
            found = self.head(images.flatten(1))
            return found if found.sum() > 0 else -found
    return Choosy()

@zoo.hookimpl
def zoo_models():
    return [net(builder=f"{__name__}:choosy")]
"""


def test_a_model_that_branches_on_values_is_refused_with_the_reason(
    install: toys.Site, tmp_path: Path
) -> None:
    install("branching", f"{toys.SPECKS}\n{CHOOSY}")
    settings = {"steps": 1, "batch_size": 4}
    run = zoo.train("branching/net", "specks", output=tmp_path / "run", settings=settings, device="cpu")
    told = refused(run.path, tmp_path / "model.onnx")
    assert told.startswith("branching/net.run cannot be exported as onnx: ")
    assert "data-dependent" in told
    assert not (tmp_path / "model.onnx").exists()


# -- what a user may get wrong ----------------------------------------------------------------


def test_a_model_without_weights_is_refused() -> None:
    assert refused("cnn/lenet5").startswith("cnn/lenet5 has no weights loaded; say cnn/lenet5.TAG")


def test_data_of_another_task_is_refused(tmp_path: Path) -> None:
    told = refused(LENET, tmp_path / "model.pt2", format="torch", data="snippets")
    assert told == "cnn/lenet5.digits does image-classification; data 'snippets' is for text-classification"
    assert list(tmp_path.glob("*model*")) == []


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_text("kept")
    assert "exists already; choose another --output" in refused(LENET, tmp_path / "mine.onnx")
    assert (tmp_path / "mine.onnx").read_text() == "kept"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = refused(LENET, tmp_path / "missing" / "mine.pt2", format="torch")
    assert "cannot be written: No such file or directory; choose another --output" in told


def test_an_unknown_format_gets_a_suggestion() -> None:
    assert refused(LENET, format="onx") == "no format named 'onx'; did you mean 'onnx'?"


def test_what_is_not_installed_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # as Python itself notes what cannot be imported
    told = refused(LENET, tmp_path / "mine.onnx")
    assert told == "to export as onnx needs onnxscript, not installed here; pip install 'torch-zoo[export]'"


# -- the command ------------------------------------------------------------------------------


def test_the_command_names_the_file_after_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: toys.Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = toys.run(capsys, "export", LENET, "--format", "torch")
    assert (status, err) == (0, "")
    assert out.startswith("cnn/lenet5.digits as torch: lenet5.digits.pt2 (")
    assert "it answers 16 samples of digits (test) as the model does: differs by" in out
    assert zipfile.is_zipfile(tmp_path / "lenet5.digits.pt2")


def test_the_command_prints_json(tmp_path: Path, capsys: toys.Capture) -> None:
    output = tmp_path / "mine.safetensors"
    told = toys.document(capsys, "export", LENET, "--format", "safetensors", "--output", str(output))
    assert (told["schema"], told["path"], told["bytes"]) == (1, str(output), output.stat().st_size)
    assert told["difference"] == 0
