"""How long one connection serves before the next is opened, where the address leads by then."""

from __future__ import annotations

import secrets
from datetime import timedelta

__all__ = ["lifetime"]

_JITTER_STEPS = 1_000


def lifetime(age: timedelta) -> float:
    """Return the seconds for which one connection serves: `age`, less up to a quarter by lot, so that not all end at
    once."""
    lot = secrets.randbelow(_JITTER_STEPS) / _JITTER_STEPS
    return age.total_seconds() * (1 - lot / 4)
