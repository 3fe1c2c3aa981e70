"""Every model of the plugin passes the kit, through the same door as anyone's.

Of those with more than 200 million parameters the kit checks what needs no memory: manifest, meta, facts.
"""

import pytest

import zoo.testing
from zoo.testing import collect

QUICK = ("meta", "build", "copy", "facts", "forward", "batch", "padding", "bf16", "gradients", "head")
PUBLISHED = ("bert*", "distilbert", "gpt*", "minilm*")  # or written as such


@zoo.testing.parametrize("transformer", models="transformer/gpt")
def test_conformance_of_one(check: zoo.testing.Check) -> None:
    check.run()


@zoo.testing.parametrize("transformer", models="transformer/minilm", checks=QUICK)
def test_conformance_of_a_published_encoder(check: zoo.testing.Check) -> None:
    check.run()


@pytest.mark.slow
@zoo.testing.parametrize("transformer")
def test_conformance(check: zoo.testing.Check) -> None:
    check.run()


def test_no_published_model_is_left_out_or_known_to_fail() -> None:
    checks = [check for models in PUBLISHED for check in collect("transformer", models=models)]
    layouts = {name for name in zoo.list_models("transformer/*") if zoo.info(name).spec.layout}
    assert {check.subject for check in checks if check.kind.of == "model"} == layouts
    assert not any(check.known for check in checks)
