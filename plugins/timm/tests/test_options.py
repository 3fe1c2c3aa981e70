"""What may be asked of an architecture: feature maps, sizes, drop paths; asked wrongly, it is one line."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

import zoo

KINDS = ("resnet18", "test_vit", "test_efficientnet", "test_maxvit", "test_convnext", "vgg11")
SIDE = 64


def features(name: str, **options: Any) -> Any:
    return zoo.load(f"timm/{name}", img_size=SIDE, features_only=True, **options)


def theirs(name: str, ours: Any, **options: Any) -> Any:
    """timm's own model of features, with our weights: they are those of the whole architecture."""
    size = {"img_size": SIDE} if timm.models.get_pretrained_cfg(name).fixed_input_size else {}
    with_classes = timm.create_model(name, **size)
    with_classes.load_state_dict(ours.state_dict())
    made = timm.create_model(name, features_only=True, **size, **options).eval()
    own = made.state_dict()
    known = {key.replace("_", ".").removeprefix("model."): value for key, value in ours.state_dict().items()}
    made.load_state_dict({key: known[key.replace("_", ".").removeprefix("model.")] for key in own})
    return made


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("indices", [None, (0, 2), (-1,)])
def test_features_are_those_of_timm_itself(name: str, indices: tuple[int, ...] | None) -> None:
    torch.manual_seed(0)
    chosen = {} if indices is None else {"out_indices": indices}
    ours = features(name, **chosen)
    other = theirs(name, ours, **chosen)
    images = torch.rand(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        found, expected = ours(images), other(images)
    assert len(found) == len(expected) > 0
    for mine, given in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, given)
    assert [maps.shape[1] for maps in found] == ours.feature_info.channels()
    assert ours.feature_info.channels() == other.feature_info.channels()


def test_features_come_from_the_weights_of_the_whole_architecture(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = timm.create_model("resnet18").eval()
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    ours: Any = zoo.load(
        "timm/resnet18", weights=f"{tmp_path}/model.safetensors", features_only=True, out_indices=(4,)
    )
    images = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        (last,) = ours(images)
        torch.testing.assert_close(last, whole.forward_features(images))
        torch.testing.assert_close(copy.deepcopy(ours)(images)[0], last)
    assert set(ours.zoo.report.loaded) == set(whole.state_dict())


def test_features_can_be_had_for_other_channels() -> None:
    ours = features("test_resnet", in_chans=1)
    assert [maps.dim() for maps in ours(torch.rand(1, 1, SIDE, SIDE))] == [4] * 5


@pytest.mark.parametrize("option", ["drop_path", "drop_path_rate"])
def test_drop_path_goes_to_the_blocks(option: str) -> None:
    model: Any = zoo.load("timm/vit_tiny_patch16_224", num_classes=3, img_size=32, **{option: 0.2})
    assert model.blocks[-1].drop_path1.drop_prob == pytest.approx(0.2)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 3)


def test_classes_channels_and_size_go_together() -> None:
    model = zoo.load("timm/test_vit", num_classes=7, in_chans=1, img_size=96)
    assert model(torch.rand(2, 1, 96, 96)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("resnet18", {"drop_path": 1.5}, "drop_path = 1.5: expected a share from 0 to less than 1"),
        ("resnet18", {"drop_path_rate": "much"}, "drop_path_rate = 'much': expected a share"),
        ("resnet18", {"drop_path": 0.1, "drop_path_rate": 0.1}, "are the same; give one"),
        ("vgg11", {"drop_path": 0.1}, "has no drop_path; leave the option out"),
        ("resnet18", {"out_indices": (1,)}, "belongs to feature maps; say features_only=True too"),
        ("resnet18", {"features_only": "yes"}, "features_only = 'yes': expected True or False"),
        (
            "resnet18",
            {"features_only": True, "out_indices": (9,)},
            "out_indices = (9,): it has 5 feature maps, numbered 0 to 4",
        ),
        ("resnet18", {"features_only": True, "out_indices": ()}, "expected numbers of feature maps"),
        ("test_vit", {"features_only": True, "out_indices": "last"}, "expected numbers of feature maps"),
        ("resnet18", {"img_size": "large"}, "'large'"),
        ("test_vit", {"img_size": 8}, "cannot do images of 8 x 8 pixels"),
        ("resnet18", {"num_classes": 0}, "count = 0"),
        ("resnet18", {"widht": 2}, "has no option 'widht'"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(zoo.SpecError) as caught:
        zoo.load(f"timm/{name}", **options)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("samples", "finetune", "expected"),
    [
        (5000, False, {"epochs": 10, "head_epochs": 0, "layer_decay": None}),
        (20, True, {"epochs": 100, "head_epochs": 100}),
        (300, True, {"epochs": 100, "head_epochs": 20}),
        (1000, True, {"epochs": 30, "head_epochs": 8, "layer_decay": 0.75}),
        (5000, True, {"epochs": 15, "head_epochs": 0, "layer_decay": 0.75}),
    ],
)
def test_a_recipe_tunes_more_of_the_network_the_more_images_there_are(
    samples: int, finetune: bool, expected: dict[str, Any]
) -> None:
    from zoo.recipes import resolve_recipe

    recipe = resolve_recipe(
        zoo.info("timm/resnet18"), "image-classification", samples=samples, finetune=finetune
    )
    assert {name: getattr(recipe, name) for name in expected} == expected


def test_a_run_with_drop_path_is_told_to_timm_in_its_own_words(tmp_path: Path) -> None:
    run = zoo.train(
        "timm/test_vit",
        "digits",
        output=tmp_path / "run",
        settings={"steps": 2, "image_size": 32, "batch_size": 8, "eval_samples": 8},
        device="cpu",
        drop_path=0.1,
    )
    again = timm.create_model(f"local-dir:{run.path}", pretrained=True)
    assert again.blocks[-1].drop_path1.drop_prob == pytest.approx(0.1)
