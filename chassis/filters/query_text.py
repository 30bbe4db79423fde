"""The text of a filter or an order as its caller wrote it, and refusals that point into it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tenantmesh.chassis.filters.characters import shown
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument

__all__ = ["QueryText"]

_SHOWN = 20
_BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNREADABLE = re.compile(rf"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029{_BIDI}]")
"""Control characters besides tab and the ends of lines, and those that change the direction of the text after them."""


@dataclass(frozen=True, slots=True)
class QueryText:
    """A text of a request.

    field: the field of the request, which refusals name.
    """

    field: str
    text: str

    @classmethod
    def checked(cls, field: str, text: str, longest: int) -> QueryText:
        """Return the text. Raises InvalidArgument for one that is too long, or that shows another text than it is."""
        source = cls(field, text)
        if len(text) > longest:
            raise source.refusal(f"has {len(text)} characters; write at most {longest}")
        if found := _UNREADABLE.search(text):
            problem = (
                f"control characters are not taken as they are; write this one as {shown(found[0])}, between quotes"
            )
            raise source.refused(found.start(), problem)
        return source

    def refused(self, at: int, problem: str) -> InvalidArgument:
        """Return the refusal that points at a character: its column, counted from 1, and the text there."""
        return self.refusal(f"column {at + 1}, at {self._shown(at)}: {problem}")

    def refusal(self, problem: str) -> InvalidArgument:
        """Return the refusal of the text as a whole."""
        return InvalidArgument.fields([FieldViolation(self.field, problem)])

    def _shown(self, at: int) -> str:
        there = self.text[at : at + _SHOWN]
        if not there:
            return "the end"
        more = "…" if len(self.text) > at + _SHOWN else ""
        return "“" + "".join(map(shown, there)) + more + "”"
