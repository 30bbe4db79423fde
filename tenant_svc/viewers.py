"""The viewer of an answer. What the answer shows depends on it, such as the notes of operators."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.caller import Caller

__all__ = ["Viewer"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """The viewer of an answer, by what the answer may show.

    notes: operators' reasons and credentials, and places in the log of all tenants, for operators and services. Users
        see none: places would tell them how much happens in other tenants.
    every_plan: the names of plans that are neither listed nor the tenant's own, for operators alone.
    deleted: deleted tenants, for operators alone.
    """

    notes: bool
    every_plan: bool
    deleted: bool = False

    @classmethod
    def of(cls, caller: Caller) -> Viewer:
        """Return the caller as the viewer of the answer to its call."""
        operator = caller.kind is CallerKind.OPERATOR
        return cls(notes=caller.kind is not CallerKind.USER, every_plan=operator, deleted=operator)

    def note(self, text: str) -> str:
        """Return an operator's note, or the empty text where the viewer may not see it."""
        return text if self.notes else ""

    def position(self, position: int) -> int:
        """Return a place in the log of all tenants, or 0 where the viewer may not see it."""
        return position if self.notes else 0
