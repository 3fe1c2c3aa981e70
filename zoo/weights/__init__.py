"""Weights: where they come from, whether they can be trusted, how they met the model."""

from zoo.weights.report import LoadReport
from zoo.weights.sources import fetch_weights

__all__ = ["LoadReport", "fetch_weights"]
