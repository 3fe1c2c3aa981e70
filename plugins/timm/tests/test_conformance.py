"""One model of each kind passes the kit; the weights are on the hub, and their check needs the files."""

import pytest

import zoo.testing

WITHOUT_WEIGHTS = "[!w]*"


@zoo.testing.parametrize("timm", models="resnet18", checks=WITHOUT_WEIGHTS)
def test_a_convolutional_network(check: zoo.testing.Check) -> None:
    check.run()


@pytest.mark.slow
@zoo.testing.parametrize("timm", models="vit_tiny_patch16_224", checks=WITHOUT_WEIGHTS)
def test_a_transformer(check: zoo.testing.Check) -> None:
    check.run()
