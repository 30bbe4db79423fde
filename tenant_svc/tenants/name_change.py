"""A change of the proof of a tenant's name, as the log of tenants' events stores it. The names themselves, and the life
of their proofs, belong to capabilities above."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["NameChange"]

_REMOVED, _READ_BEFORE = "REMOVED", "NO_RECORD"
"""The reason of a removal, and the one that its row has: processes from before know no other, and end their watch at a
reason that they do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameChange:
    """A change of the proof of a name.

    type: the type of the event, LOGIN_HOST_CHANGED or EMAIL_DOMAIN_CHANGED.
    state, reason: the proof's, in the words of the contract. LAPSED and REMOVED for a name that was removed.
    lapse_time: when a failing proof lapses; None in other states.
    """

    type: str
    name: str
    state: str
    reason: str
    time: datetime
    lapse_time: datetime | None = None

    def to_json(self) -> dict[str, str | bool | None]:
        """Return the change as a row stores it."""
        lapse = None if self.lapse_time is None else self.lapse_time.isoformat()
        removed = self.reason == _REMOVED
        return {
            "type": self.type,
            "name": self.name,
            "state": self.state,
            "reason": _READ_BEFORE if removed else self.reason,
            "removed": removed,
            "time": self.time.isoformat(),
            "lapse_time": lapse,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> NameChange:
        """Return the change that `to_json` wrote."""
        lapse = stored["lapse_time"]
        return cls(
            type=stored["type"],
            name=stored["name"],
            state=stored["state"],
            reason=_REMOVED if stored.get("removed") else stored["reason"],
            time=datetime.fromisoformat(stored["time"]),
            lapse_time=None if lapse is None else datetime.fromisoformat(lapse),
        )
