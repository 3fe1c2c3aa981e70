"""Every model of the plugin passes the kit, through the same door as anyone's."""

import pytest

import zoo.testing


@zoo.testing.parametrize("cnn", models="cnn/lenet5")
def test_conformance_of_one(check: zoo.testing.Check) -> None:
    check.run()


@pytest.mark.slow
@zoo.testing.parametrize("cnn")
def test_conformance(check: zoo.testing.Check) -> None:
    check.run()
