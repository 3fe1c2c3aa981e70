import pytest

import zoo
import zoo.testing
from zoo_toy.linear import linear


@zoo.testing.parametrize("toy")
def test_conformance(check: zoo.testing.Check) -> None:
    check.run()


def test_a_text_is_no_image() -> None:
    text = zoo.TokenInput(vocab_size=259, length=9)
    problem = zoo.Problem(task="text-classification", input=text, output=zoo.Classes(count=2))
    with pytest.raises(zoo.SpecError, match="maps ImageInput to Classes, not TokenInput"):
        linear(problem)
