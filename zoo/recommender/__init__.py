"""Which model to take: what each costs on a device, how well it will do, and how sure that is.

Nothing in this package imports torch, so an answer takes no longer than a list of models.
"""

from zoo.recommender.answer import Choice, Recommendation, Rejection
from zoo.recommender.calibration import Calibration, read_calibrations
from zoo.recommender.cost import estimate_memory, estimate_seconds
from zoo.recommender.devices import detect, find_device
from zoo.recommender.facts import Load, load_at
from zoo.recommender.rank import OBJECTIVES, recommend

__all__ = [
    "OBJECTIVES",
    "Calibration",
    "Choice",
    "Load",
    "Recommendation",
    "Rejection",
    "detect",
    "estimate_memory",
    "estimate_seconds",
    "find_device",
    "load_at",
    "read_calibrations",
    "recommend",
]
