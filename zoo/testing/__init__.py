"""The conformance kit: what zoo asks of every plugin and model, one pytest test for each model and check.

In a plugin's own tests, with pytest installed (`pip install 'torch-zoo[testing]'`):

    import zoo.testing

    @zoo.testing.parametrize("toy")
    def test_conformance(check: zoo.testing.Check) -> None:
        check.run()

`zoo plugins check toy` runs the same without a file of tests. `zoo.testing.kinds` lists the checks.

What a model cannot pass is declared in `conformance.toml` in the plugin's package, and must go on failing:

    [[known_failure]]
    model = "toy/linear"
    check = "compile"
    reason = "its tokenizer is no tensor code"

Checks compute on the CPU, on small problems, with random data: nothing is fetched.
"""

from zoo.testing.check import Check, ConformanceError
from zoo.testing.collection import collect, parametrize

__all__ = ["Check", "ConformanceError", "collect", "parametrize"]
