"""What licences permit, as far as their names tell. No legal advice: read the licence itself."""

from __future__ import annotations

from zoo.specs import WeightsSpec

# SPDX identifiers (spdx.org/licenses), in lower case, of licences that permit commercial use to everybody.
COMMERCIAL = frozenset(
    {
        "0bsd",
        "apache-2.0",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsl-1.0",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "cdla-permissive-2.0",
        "isc",
        "mit",
        "odc-by-1.0",
        "pddl-1.0",
        "psf-2.0",
        "unlicense",
        "zlib",
    }
)


def commercial(*names: str) -> bool:
    """Whether every licence permits commercial use; one that is not known here, or not stated, does not."""
    return all(name.lower() in COMMERCIAL for name in names)


def applying(weights: WeightsSpec) -> tuple[str, ...]:
    """The licences that hold for weights: their own, and that of their data where it is stated."""
    return (weights.license, weights.data_license) if weights.data_license else (weights.license,)
