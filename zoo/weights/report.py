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
        parts += [
            f"{len(names)} {what}"
            for names, what in ((self.adapted, "adapted"), (self.unused, "unused"))
            if names
        ]
        if self.new:
            reasons = dict.fromkeys(self.new.values())
            parts.append(f"{len(self.new)} newly initialised ({'; '.join(reasons)})")
        return f"{self.source}: {', '.join(parts)}"
