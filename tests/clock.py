"""A clock that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def timestamp(self) -> float:
        return self.now.timestamp()

    def advance(self, **units: float) -> None:
        self.now += timedelta(**units)
