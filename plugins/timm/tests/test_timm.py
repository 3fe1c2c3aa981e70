"""The plugin against timm itself: the same names, tensors, numbers and weights."""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import zoo
import zoo.training
import zoo_timm
from zoo.manifests import read_recipe
from zoo.profile import count_parameters, example_inputs, profile
from zoo_timm import installed, manifest
from zoo_timm.build import build
from zoo_timm.weights import read_table

SPREAD = (  # over families, over those built for one size of image and for any
    "resnet18",
    "efficientnet_b0",
    "mobilenetv4_conv_small",
    "vgg11",
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "swin_tiny_patch4_window7_224",
    "levit_128s",
    "mixer_s32_224",
    "sequencer2d_s",
    "mobilenetv5_300m_enc",
    "vit_5b_patch16_sapiens2",
)
TOKENS = zoo.Problem(
    task="text-classification",
    input=zoo.TokenInput(vocab_size=259, length=8),
    output=zoo.Classes(count=2),
)
SMALL = ("test_resnet", "test_vit", "test_efficientnet", "test_maxvit")
FACTS = ("resnet18", "test_vit", "mixer_s32_224")


@pytest.fixture(scope="module")
def models() -> dict[str, zoo.ModelSpec]:
    return {model.name: model for model in zoo_timm.zoo_models()}


@pytest.fixture(scope="module")
def weights() -> dict[str, zoo.WeightsSpec]:
    return {record.name: record for record in zoo_timm.zoo_weights()}


def _problem(classes: int = 10, channels: int = 3, height: int = 160, width: int = 160) -> zoo.Problem:
    return zoo.Problem(
        task="image-classification",
        input=zoo.ImageInput(channels=channels, height=height, width=width),
        output=zoo.Classes(count=classes),
    )


def _on_meta(model: zoo.ModelSpec, problem: zoo.Problem | None = None) -> nn.Module:
    with torch.device("meta"):
        return build(problem or model.reference, **model.options)


# -- models -----------------------------------------------------------------------------------


def test_the_models_are_all_that_timm_knows(models: dict[str, zoo.ModelSpec]) -> None:
    assert list(models) == timm.list_models()


def test_names_can_be_told_without_importing_timm() -> None:
    assert installed.architectures() == set(timm.list_models())


def test_models_that_the_installed_timm_lacks_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo_timm, "has_all_of", lambda release: False)
    monkeypatch.setattr(zoo_timm, "architectures", lambda: {"resnet18", "one_of_tomorrow"})
    assert [model.name for model in zoo_timm.zoo_models()] == ["resnet18"]


def test_the_hooks_import_neither_torch_nor_timm() -> None:
    code = (
        "import sys, zoo_timm; zoo_timm.zoo_models(); zoo_timm.zoo_weights();"
        "print(sorted({'torch', 'timm', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_model_says_what_it_is_and_how_it_is_trained(models: dict[str, zoo.ModelSpec]) -> None:
    for model in models.values():
        assert model.options == {"architecture": model.name}
        assert model.family in {"cnn", "transformer", "hybrid", "mlp", "rnn"}
        assert model.summary
        assert model.head, model.name
        assert manifest.reference(model.name) == model.reference
        assert set(model.recipes) == {"*"}


def test_every_variant_in_the_families_table_matches_an_architecture() -> None:
    families = manifest.read_families()
    for module, family in families.items():
        names = timm.list_models(module=module)
        assert names, module
        for variant in family.get("variant", ()):
            assert any(fnmatchcase(name, variant["names"]) for name in names), variant


@pytest.mark.parametrize("name", SPREAD)
def test_an_architecture_has_as_many_parameters_as_its_facts_say(
    name: str, models: dict[str, zoo.ModelSpec]
) -> None:
    assert count_parameters(_on_meta(models[name])) == models[name].facts.parameters


@pytest.mark.parametrize("name", FACTS)
def test_facts_traced_anew_are_those_of_the_manifest(name: str, models: dict[str, zoo.ModelSpec]) -> None:
    model = models[name]
    traced = profile(
        lambda: build(model.reference, **model.options), lambda batch: example_inputs(model.reference, batch)
    )
    assert traced == model.facts


@pytest.mark.parametrize("name", SPREAD[:-2])
def test_only_the_head_depends_on_the_number_of_classes(name: str, models: dict[str, zoo.ModelSpec]) -> None:
    seven, ten = (_shapes(models[name], classes) for classes in (7, 10))
    assert seven.keys() == ten.keys()
    differing = [key for key in seven if seven[key] != ten[key]]
    assert differing
    assert {key.rpartition(".")[0] for key in differing} == set(models[name].head)


def _shapes(model: zoo.ModelSpec, classes: int) -> dict[str, torch.Size]:
    module = _on_meta(model, model.reference.replace(output=zoo.Classes(count=classes)))
    return {key: tensor.shape for key, tensor in module.state_dict().items()}


@pytest.mark.parametrize("name", SMALL)
def test_logits_are_those_of_timm_itself(name: str) -> None:
    images = torch.randn(2, 1, 160, 160)
    ours = build(_problem(classes=7, channels=1), architecture=name).eval()
    theirs = timm.create_model(name, num_classes=7, in_chans=1).eval()
    theirs.load_state_dict(ours.state_dict())
    with torch.inference_mode():
        logits = ours(images)
        assert logits.shape == (2, 7)
        assert torch.equal(logits, theirs(images))


@pytest.mark.parametrize("name", SMALL)
def test_a_model_is_built_for_the_size_of_the_images(name: str) -> None:
    model = build(_problem(channels=1, height=64, width=96), architecture=name).eval()
    with torch.inference_mode():
        assert model(torch.randn(3, 1, 64, 96)).shape == (3, 10)


def test_options_go_to_timm() -> None:
    model = build(_problem(), architecture="test_vit", drop_path_rate=0.5, patch_size=32)
    assert model.patch_embed.patch_size == (32, 32)
    assert model.blocks[-1].drop_path1.drop_prob == 0.5


ENCODERS = {  # a size that each can do
    "qwen3_vit_88m_enc": 64,
    "qwen3_vit_306m_enc": 64,
    "qwen3_vit_416m_enc": 64,
    "deepseek_vit_412m_enc": 84,
    "gemma4_vit_167m_enc": 96,
    "gemma4_vit_570m_enc": 96,
    "mobilenetv5_300m_enc": 192,
}
QUICK = ("qwen3_vit_88m_enc", "mobilenetv5_300m_enc")  # tokens, feature maps


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ENCODERS]
)
def test_encoders_without_classes_get_a_head(name: str) -> None:
    problem = _problem(classes=5, height=ENCODERS[name], width=ENCODERS[name])
    with torch.device("meta"):
        model = build(problem, architecture=name)
        encoder = timm.create_model(name)
        assert model(*example_inputs(problem, 2)).shape == (2, 5)
    assert set(model.state_dict()) - set(encoder.state_dict()) == {"head.weight", "head.bias"}


def test_the_encoders_are_those_that_timm_has_without_classes() -> None:
    assert set(ENCODERS) == set(timm.list_models("*_enc"))


def test_the_head_of_an_encoder_sees_the_mean_of_its_tokens() -> None:
    model = build(_problem(classes=5, height=64, width=64), architecture="qwen3_vit_88m_enc", depth=1).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        logits = model(images)
        encoder = copy.deepcopy(model)
        encoder._forward_hooks.clear()
        tokens = encoder(images)
    assert tokens.dim() == 3
    torch.testing.assert_close(logits, model.head(tokens.mean(dim=1)))


@pytest.mark.parametrize(
    ("problem", "architecture", "fault"),
    [
        (TOKENS, "resnet18", "maps ImageInput to Classes, not TokenInput to Classes"),
        (_problem(), "resnet19", "no such architecture in timm"),
        (_problem(height=8, width=8), "test_vit", "cannot do images of 8 x 8 pixels"),
        (_problem(height=50, width=50), "levit_128s", "cannot do images of 50 x 50 pixels"),
        (_problem(height=30, width=30), "xcit_nano_12_p8_224", "cannot do images of 30 x 30 pixels"),
    ],
)
def test_a_problem_that_does_not_fit_is_told_in_one_line(
    problem: zoo.Problem, architecture: str, fault: str
) -> None:
    with pytest.raises(zoo.SpecError, match=fault) as caught:
        build(problem, architecture=architecture)
    assert "\n" not in str(caught.value)


def test_an_option_that_timm_does_not_know_is_named() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'widht'"):
        build(_problem(), architecture="test_vit", widht=2)


# -- weights ----------------------------------------------------------------------------------


def test_the_weights_are_timms_own_where_they_have_a_repository_of_their_own_name(
    weights: dict[str, zoo.WeightsSpec],
) -> None:
    expected = {
        f"timm/{name}": f"hf://{owner}/{name}/model.safetensors"
        for name in timm.list_models(pretrained=True)
        for owner, _, repository in [(_cfg(name).hf_hub_id or "").partition("/")]
        if repository == name
    }
    assert {name: record.source for name, record in weights.items()} == expected
    assert len(expected) > 0.95 * len(timm.list_models(pretrained=True))


def test_weights_say_how_images_are_prepared_and_what_they_were_trained_for(
    weights: dict[str, zoo.WeightsSpec],
) -> None:
    for name, record in weights.items():
        cfg, prepared = _cfg(name), record.preprocess
        assert (prepared.channels, prepared.height, prepared.width) == tuple(cfg.input_size)
        assert (prepared.mean, prepared.std) == (tuple(cfg.mean), tuple(cfg.std))
        assert (prepared.interpolation, prepared.crop_pct) == (cfg.interpolation, min(1, cfg.crop_pct))
        assert record.problem == manifest.problem_of(cfg, classes=1)
        assert record.license.lower() == (cfg.license or "")


def test_every_weights_record_is_sound_and_belongs_to_a_model(
    weights: dict[str, zoo.WeightsSpec], models: dict[str, zoo.ModelSpec]
) -> None:
    for record in weights.values():
        assert record.model.removeprefix("timm/") in models
        assert record.replace(tag=record.tag) == record  # the constructor checks every field


def test_top1_is_a_share_and_known_for_most_classifiers_of_imagenet(
    weights: dict[str, zoo.WeightsSpec],
) -> None:
    known = {name: record.metrics["top1"] for name, record in weights.items() if record.metrics}
    assert all(0.3 < share < 1 for share in known.values())
    assert all(weights[name].dataset == "ImageNet-1k" for name in known)
    assert len(known) > 1000
    assert known["timm/resnet18.tv_in1k"] == pytest.approx(0.6976, abs=0.002)  # torchvision: 69.758


def test_a_models_weights_fit_it(tmp_path: Path, weights: dict[str, zoo.WeightsSpec]) -> None:
    record = weights["timm/test_vit.r160_in1k"]
    theirs = timm.create_model("test_vit").eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = zoo.load("timm/test_vit", weights=f"file:{tmp_path}", problem=record.problem)
    images = torch.randn(2, 3, record.preprocess.height, record.preprocess.width)
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


def _cfg(name: str) -> Any:
    return timm.models.get_pretrained_cfg(name.removeprefix("timm/"))


# -- the manifest -----------------------------------------------------------------------------


def test_a_trace_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "facts.jsonl"
    first = manifest.trace_models(["test_resnet"], cache)
    both = manifest.trace_models(["test_resnet", "test_vit"], cache)
    assert both["test_resnet"] == first["test_resnet"]
    assert both["test_vit"].facts.parameters == count_parameters(timm.create_model("test_vit"))
    said = capsys.readouterr().err
    assert said.count("test_resnet") == said.count("test_vit") == 1


def test_what_the_manifest_has_is_not_traced_again_and_what_most_want_comes_first() -> None:
    table = read_table()
    known = manifest.recorded(table)
    assert known["resnet18"].facts.parameters == count_parameters(timm.create_model("resnet18"))
    assert {entry.timm for entry in known.values()} == {timm.__version__}
    assert manifest.recorded(msgspec.structs.replace(table, timm="0.9")) == {}
    counts = [
        sum(row.model == name for row in table.weights)
        for name in manifest.wanted_first(["test_nfnet", "resnet50", "vit_base_patch16_224"], table)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_a_call_fills_in_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(zoo_timm.__file__).parent
    for file in ("families.toml", "models.json", "weights.json"):
        (tmp_path / file).write_bytes((package / file).read_bytes())
    monkeypatch.setattr(manifest, "HERE", tmp_path)
    known = manifest.recorded(read_table())
    monkeypatch.setattr(
        manifest, "recorded", lambda table: {k: v for k, v in known.items() if k != "test_resnet"}
    )
    manifest.main(["--cache", str(tmp_path / "facts.jsonl"), "--only", "test_resnet", "--limit", "1"])
    assert (tmp_path / "weights.json").read_bytes() == (package / "weights.json").read_bytes()
    made = msgspec.json.decode((tmp_path / "models.json").read_bytes(), type=dict[str, list[zoo.ModelSpec]])
    assert made["models"] == zoo_timm.zoo_models()
    assert len((tmp_path / "facts.jsonl").read_bytes().splitlines()) == 1


def test_what_takes_too_long_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*arguments: object) -> None:
        time.sleep(30)

    monkeypatch.setattr(manifest, "TIMEOUT_SECONDS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "profile", hang)
        late = manifest.trace_models(["test_resnet"], tmp_path / "facts.jsonl")["test_resnet"]
    assert (late.facts, late.fault) == (None, "not traced within 1 s")
    monkeypatch.setattr(manifest, "TIMEOUT_SECONDS", 600)
    assert manifest.trace_models(["test_resnet"], tmp_path / "facts.jsonl")["test_resnet"].facts


def test_the_manifest_is_what_its_command_makes(
    models: dict[str, zoo.ModelSpec], weights: dict[str, zoo.WeightsSpec]
) -> None:
    families = manifest.read_families()
    for name, model in models.items():
        traced = manifest.Traced(
            name=name,
            timm=timm.__version__,
            head=model.head,
            facts=model.facts,
            image_size=model.image_size,
        )
        assert msgspec.convert(manifest.describe_model(name, families, traced), zoo.ModelSpec) == model
    table = read_table()
    results = {
        (f"{row.model}.{row.tag}", table.preprocess[row.preprocess].height, crop): row.top1
        for row in table.weights
        for crop in [round(table.preprocess[row.preprocess].crop_pct, 3)]
        if row.top1 is not None
    }
    assert manifest.make_table(timm.list_models(pretrained=True), results) == table


# -- training ---------------------------------------------------------------------------------


def test_every_recipe_is_sound_and_used(models: dict[str, zoo.ModelSpec]) -> None:
    files = {f"recipes/{path.name}" for path in Path(zoo_timm.__file__).with_name("recipes").iterdir()}
    assert files == {model.recipes["*"] for model in models.values()}
    for file in files:
        assert read_recipe("zoo_timm", file).settings["image_size"] == 64


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_tiny_batch_is_overfitted(name: str) -> None:
    torch.manual_seed(0)
    model = build(_problem(channels=1, height=32, width=32), architecture=name).train()
    images, labels = torch.randn(16, 1, 32, 32), torch.arange(16) % 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_a_recipe_trains_a_tiny_model_far_beyond_chance(name: str, tmp_path: Path) -> None:
    run = zoo.train(f"timm/{name}", "digits", output=tmp_path / "run")
    assert run.record.metrics["accuracy"] > 0.6


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("resnet18", {"in_chans": 1}, {"conv1.weight": "3 to 1 input channels"}),
        (
            "vit_tiny_patch16_224",
            {"img_size": 160},
            {"pos_embed": "resampled from 1 x 197 x 192 to 1 x 101 x 192"},
        ),
    ],
)
def test_weights_are_adapted_as_timm_adapts_them(
    name: str, changes: dict[str, int], told: dict[str, str], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    file = tmp_path / "model.safetensors"
    save_file(timm.create_model(name).state_dict(), file)
    ours = zoo.load(f"timm/{name}", weights=str(file), **changes)
    theirs = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay={"file": str(file)}, **changes
    ).eval()
    side = changes.get("img_size", 224)
    images = torch.rand(1, changes.get("in_chans", 3), side, side)
    assert ours.zoo.report.adapted == told
    torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize(
    ("name", "options"), [("test_resnet", {}), ("test_vit", {"drop_path_rate": 0.1}), ("resnet18", {})]
)
def test_timm_itself_loads_a_finished_run(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    run = zoo.train(
        f"timm/{name}",
        "digits",
        output=tmp_path / "run",
        settings={"steps": 2, "image_size": 32, "batch_size": 8, "eval_samples": 8},
        device="cpu",
        **options,
    )
    ours = zoo.load(run.path)
    theirs = timm.create_model(f"local-dir:{run.path}", pretrained=True).eval()
    images = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images), rtol=0, atol=1e-6)
    wanted = timm.data.resolve_data_config(model=theirs)
    assert (wanted["input_size"], wanted["mean"]) == ((1, 32, 32), list(run.record.preprocess.mean))
    again = timm.create_model(f"local-dir:{run.path}", pretrained=True, num_classes=3).eval()
    assert again(images).shape == (3, 3)
    assert torch.equal(again.forward_features(images), theirs.forward_features(images))


def test_a_run_that_is_interrupted_is_not_told_to_timm(tmp_path: Path) -> None:
    class Stop(zoo.training.Callback):
        def step(self, step: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zoo.train("timm/test_resnet", "digits", output=tmp_path / "run", device="cpu", callbacks=[Stop()])
    assert not (tmp_path / "run" / "config.json").exists()
