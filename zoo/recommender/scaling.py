"""The loss of a language model from its size and the text it sees, and what a budget is best spent on."""

from __future__ import annotations

import math

from zoo.specs import Record

PER_TOKEN = 6  # operations for each parameter and token of a training
REPEATS = 4  # passes over the same text that are worth about as much as new text (Muennighoff et al. 2023)


class LossLaw(Record, frozen=True, kw_only=True):
    """L(N, D) = E + A / N^a + B / D^b, in nats a token, of N parameters and D tokens (Hoffmann et al. 2022).

    Fitted on models of `fewest` parameters and more: below, it is an extrapolation. `share` is how much
    of what it says of two models' losses, in logarithms, is taken to hold for other text and other tokens.
    """

    task: str
    floor: float
    parameters_factor: float
    parameters_exponent: float
    tokens_factor: float
    tokens_exponent: float
    fewest: int
    share: float = 1.0
    source: str

    def loss(self, parameters: float, tokens: float) -> float:
        """The loss of a model that saw so many tokens, each of them once."""
        by_parameters = self.parameters_factor / parameters**self.parameters_exponent
        return float(self.floor + by_parameters + self.tokens_factor / tokens**self.tokens_exponent)

    def advantage(self, parameters: float, seen: float, unique: float) -> float:
        """By how much the logarithm of the loss is less than that of one parameter and token.

        Of `seen` tokens those count that are among the first `REPEATS` passes over the `unique` ones.
        """
        loss = self.loss(parameters, max(1.0, min(seen, REPEATS * unique)))
        return self.share * math.log(self.loss(1.0, 1.0) / loss)

    def best_parameters(self, operations: float) -> float:
        """The size that is best for so many operations in training."""
        a, b = self.parameters_exponent, self.tokens_exponent
        balance = (a * self.parameters_factor / (b * self.tokens_factor)) ** (1 / (a + b))
        return float(balance * (operations / PER_TOKEN) ** (b / (a + b)))

    def balanced_parameters(self, tokens: float) -> float:
        """The size at which so many tokens, each seen once, are spent best."""
        a, b = self.parameters_exponent, self.tokens_exponent
        ratio = a * self.parameters_factor / (b * self.tokens_factor)
        return float((ratio * tokens**b) ** (1 / a))
