"""One check of one plugin, model or set of weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from zoo.registry import Registry
from zoo.testing.kinds import Kind


class ConformanceError(AssertionError):
    """What does not keep to the contract: a fact, the value at fault, what to do."""


class NotCheckedError(Exception):
    """Why a check cannot be made here."""


@dataclass(frozen=True)
class Check:
    """A check to `run`; `subject` is the full name of the model or weights, empty for the plugin itself.

    `known` is the reason for which it is known to fail.
    """

    plugin: str
    subject: str
    kind: Kind = field(repr=False)
    registry: Registry = field(repr=False, compare=False)
    known: str = ""

    @property
    def name(self) -> str:
        """The check's own name, such as `gradients`."""
        return self.kind.name

    @property
    def id(self) -> str:
        """The test's name, such as `toy/linear-gradients`."""
        return f"{self.subject or self.plugin}-{self.name}"

    def is_about(self, pattern: str) -> bool:
        """Whether a glob matches the model that it is about, by its full name or without the plugin's."""
        plugin, _, model = self.subject.partition("/")
        if self.kind.of == "weights":  # of a model, whose name has no dot
            model = model.partition(".")[0]
        return bool(model) and any(fnmatchcase(name, pattern) for name in (f"{plugin}/{model}", model))

    def run(self) -> None:
        """Raises `ConformanceError` with what is wrong; skips the test where the check cannot be made."""
        __tracebackhide__ = True
        import pytest

        try:
            self._run()
        except NotCheckedError as reason:
            pytest.skip(f"{self.id}: {reason}")
        except ConformanceError as fault:  # says it all: how the kit found it is of no interest
            raise fault.with_traceback(None) from fault.__cause__

    def _run(self) -> None:
        check = self.kind.resolve()
        if self.kind.of == "plugin":
            check(self.registry, self.registry.plugins[self.plugin])
            return
        import torch

        from zoo.testing.subject import subject_of

        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)  # of torch's own parts
            if self.kind.of == "model":
                check(subject_of(self.registry, self.subject))
            else:
                check(self.registry, self.subject)
