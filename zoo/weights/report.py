"""What became of every tensor when weights were loaded into a model."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """Every tensor's name under what became of it; `adapted` and `new` map names to the reason."""

    source: str
    loaded: tuple[str, ...] = ()
    adapted: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        if self.adapted:
            parts.append(f"{len(self.adapted)} adapted ({_listed(self.adapted)})")
        if self.unused:
            parts.append(f"{len(self.unused)} unused")
        if self.new:
            parts.append(f"{len(self.new)} newly initialised ({_listed(self.new)})")
        return f"{self.source}: {', '.join(parts)}"


def _listed(reasons: dict[str, str]) -> str:
    return "; ".join(dict.fromkeys(reasons.values()))
