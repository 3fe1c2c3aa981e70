"""All of timm's architectures on the meta device, and sixty of all kinds for real."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import zoo
import zoo_timm
from zoo.profile import count_parameters, example_inputs, profile
from zoo_timm.build import build, config_of

SHARDS = 12
SIDES = (32, 64, 96, 128, 160, 192, 224)
OTHER_SIDES = (192, 256)  # beside an architecture's own
SIXTY = (
    "botnet26t_256",
    "gernet_s",
    "repvgg_a0",
    "mobileone_s0",
    "cait_xxs24_224",
    "coat_lite_tiny",
    "convit_tiny",
    "convnext_atto",
    "convnextv2_atto",
    "crossvit_tiny_240",
    "darknet17",
    "deit_tiny_patch16_224",
    "densenet121",
    "dla46_c",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientformerv2_s0",
    "efficientnet_lite0",
    "efficientvit_b0",
    "efficientvit_m0",
    "eva02_tiny_patch14_224",
    "fastvit_t8",
    "gcvit_xxtiny",
    "ghostnet_050",
    "hardcorenas_a",
    "hgnetv2_b0",
    "inception_next_atto",
    "lcnet_035",
    "levit_128s",
    "mambaout_femto",
    "coatnet_nano_rw_224",
    "poolformer_s12",
    "caformer_s18",
    "gmlp_ti16_224",
    "resmlp_12_224",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small_035",
    "mobilevit_xxs",
    "mobilevitv2_050",
    "nf_regnet_b0",
    "pit_ti_224",
    "pvt_v2_b0",
    "regnetx_002",
    "repghostnet_050",
    "repvit_m0_9",
    "resnest14d",
    "resnet10t",
    "resnetv2_18",
    "rexnet_100",
    "sequencer2d_s",
    "shvit_s1",
    "skresnet18",
    "starnet_s050",
    "swiftformer_xs",
    "tiny_vit_5m_224",
    "tinynet_e",
    "vit_tiny_patch16_224",
    "vit_tiny_r_s16_p8_224",
    "ese_vovnet19b_slim",
    "xcit_nano_12_p8_224",
)
THIRTY = SIXTY[::2]


@cache
def models() -> dict[str, zoo.ModelSpec]:
    return {model.name: model for model in zoo_timm.zoo_models()}


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_architecture_has_as_many_parameters_as_its_facts_say(shard: int) -> None:
    chosen = list(models().values())[shard::SHARDS]
    counts = {model.name: _parameters(model) for model in chosen}
    known = {model.name: model.facts.parameters for model in chosen if model.facts}
    assert {name: counts[name] for name in known} == known
    assert all(counts.values())


def _parameters(model: zoo.ModelSpec) -> int:
    with torch.device("meta"):
        return count_parameters(build(model.reference, **model.options))


def test_the_sixty_are_of_as_many_groups_and_of_every_family() -> None:
    chosen = [models()[name] for name in SIXTY]
    assert len({model.name for model in chosen}) == 60
    assert len({model.group for model in chosen}) >= 55
    assert {model.family for model in chosen} == {model.family for model in models().values()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of timm's own doing, such as scripts that torch no longer likes
@pytest.mark.parametrize("name", SIXTY)
def test_an_architecture_learns_from_the_smallest_images_that_it_can_do(name: str) -> None:
    torch.manual_seed(0)
    problem, model = _smallest(name)
    images = torch.randn(2, 1, problem.input.height, problem.input.width)
    logits = model.train()(images)
    assert logits.shape == (2, 3)
    nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    learned = [parameter for parameter in model.parameters() if parameter.grad is not None]
    assert all(parameter.grad.isfinite().all() for parameter in learned)
    assert any(parameter.grad.any() for parameter in learned)


def _smallest(name: str) -> tuple[zoo.Problem, nn.Module]:
    """The problem of the least size of image that the architecture can be trained on, and its model."""
    return next(_buildable(name, (*SIDES, config_of(name).input_size[1]), classes=3, device="cpu"))


def _buildable(
    name: str, sides: Iterable[int], *, classes: int, device: str
) -> Iterator[tuple[zoo.Problem, nn.Module]]:
    """Problems with grey images of those sizes that the architecture can do, and its model for each."""
    for side in sides:
        problem = zoo.Problem(
            task="image-classification",
            input=zoo.ImageInput(channels=1, height=side, width=side),
            output=zoo.Classes(count=classes),
        )
        try:
            with torch.device(device):
                model = build(problem, architecture=name)
        except zoo.SpecError:
            continue
        yield problem, model


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SIXTY)
def test_facts_traced_anew_are_those_of_the_manifest(name: str) -> None:
    model = models()[name]
    traced = profile(
        lambda: build(model.reference, **model.options), lambda batch: example_inputs(model.reference, batch)
    )
    assert traced == model.facts


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", THIRTY)
def test_a_file_gives_timms_logits_for_other_classes_channels_and_sizes(name: str, tmp_path: Path) -> None:
    """Sizes for which timm itself cannot fit the file are an error here, too; one more is then tried."""
    torch.manual_seed(0)
    file = tmp_path / "model.safetensors"
    save_file(timm.create_model(name).state_dict(), file)
    for problem in _resized(name):
        theirs = _timms_own(name, problem, file)
        if theirs is not None:
            break
        with pytest.raises(zoo.WeightsError, match="does not fit the model"):
            zoo.load(f"timm/{name}", weights=f"file:{file}", problem=problem)
    ours = zoo.load(f"timm/{name}", weights=f"file:{file}", problem=problem)
    drawn = {key: value for key, value in ours.state_dict().items() if _is_in(key, models()[name].head)}
    assert drawn  # those of the new classes, which are random on both sides
    theirs.load_state_dict(drawn, strict=False)
    images = torch.randn(2, 1, problem.input.height, problem.input.width)
    with torch.inference_mode():
        logits = ours(images)
        assert logits.shape == (2, 7)
        torch.testing.assert_close(logits, theirs(images), rtol=0, atol=1e-6)


def _timms_own(name: str, problem: zoo.Problem, file: Path) -> nn.Module | None:
    """The architecture with the file's weights as timm itself makes it; None where it cannot."""
    image = problem.input
    sized = {"img_size": (image.height, image.width)} if config_of(name).fixed_input_size else {}
    given = {"file": str(file)}
    try:
        return timm.create_model(
            name,
            pretrained=True,
            pretrained_cfg_overlay=given,
            num_classes=7,
            in_chans=image.channels,
            **sized,
        ).eval()
    except RuntimeError:
        return None


def _resized(name: str) -> Iterator[zoo.Problem]:
    """Seven classes and grey images, of the sizes that the architecture can do, its own last."""
    own = config_of(name).input_size[1]
    sides = (*(side for side in OTHER_SIDES if side != own), own)
    return (problem for problem, _ in _buildable(name, sides, classes=7, device="meta"))


def _is_in(key: str, modules: tuple[str, ...]) -> bool:
    return any(key.startswith(f"{module}.") for module in modules)
