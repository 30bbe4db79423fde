"""One level of a gauge, and the changes that requests ask for. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Adjustment", "Gauge", "Report"]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge's level, in the feature's unit. `limit` is how far it may rise; None is unlimited."""

    id: str
    level: int
    limit: int | None

    @property
    def is_over(self) -> bool:
        """Whether the level is above the limit."""
        return self.limit is not None and self.level > self.limit

    def __str__(self) -> str:
        return f"{self.level} of {'unlimited' if self.limit is None else self.limit}"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A change of a level by `delta`. `key` identifies it among the requester's. An operator `overrules` the owner."""

    gauge: str
    delta: int
    key: str
    requester: str
    overrules: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A level as the service that keeps it, `reporter`, reports it. `version` counts that service's changes of it."""

    gauge: str
    level: int
    version: int
    reporter: str
