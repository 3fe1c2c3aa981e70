"""Every model of the plugin passes the kit, through the same door as anyone's."""

import pytest

import zoo.testing


@zoo.testing.parametrize("transformer", models="transformer/gpt")
def test_conformance_of_one(check: zoo.testing.Check) -> None:
    check.run()


@pytest.mark.slow
@zoo.testing.parametrize("transformer")
def test_conformance(check: zoo.testing.Check) -> None:
    check.run()
