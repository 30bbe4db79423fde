"""Who reads an answer, and so what the answer may say. Messages that hold operators' notes are made for a reader."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.caller import Caller

__all__ = ["Reader"]


@dataclass(frozen=True, slots=True)
class Reader:
    """What the reader of an answer may see.

    notes: operators' reasons and credentials, which are theirs and the services'. Users see none.
    every_plan: the names of plans that are neither listed nor the tenant's own. Operators alone see those.
    """

    notes: bool
    every_plan: bool

    @classmethod
    def of(cls, caller: Caller) -> Reader:
        """The caller as the reader of the answer to its call."""
        return cls(notes=caller.kind is not CallerKind.USER, every_plan=caller.kind is CallerKind.OPERATOR)

    def note(self, text: str) -> str:
        """An operator's note, or the empty text where the reader may not see it."""
        return text if self.notes else ""
