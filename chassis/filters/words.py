"""Search of words in texts: a word of the search begins a word of the text, whatever its case.

A word is a run of letters and digits. The words of a text are a `tsvector`, without an extension and without a
dictionary: `array_to_tsvector` of the text in lower case, split at everything else. A GIN index on it finds beginnings
of words.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, literal_column
from sqlalchemy.dialects.postgresql import TSQUERY

from tenantmesh.chassis.filters.matches import Bind
from tenantmesh.chassis.filters.texts import folded

__all__ = ["WordSearch", "words"]

_NO_WORD: ColumnElement[str] = literal_column("'[^[:alnum:]]+'")
_NOTHING: ColumnElement[str] = literal_column("''")


def words(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the words of a text, as an array."""
    return func.array_remove(func.regexp_split_to_array(folded(text), _NO_WORD), _NOTHING)


class WordSearch:
    """The search in a vector of words. As `Fields` takes it, it makes the condition of a search."""

    def __init__(self, vector: ColumnElement[Any]) -> None:
        self._vector = vector

    def __call__(self, bind: Bind) -> ColumnElement[bool]:
        """Return the condition, which makes one parameter for the text."""
        begun = func.nullif(func.array_to_string(words(bind(Text())), literal_column("':* & '")), _NOTHING)
        query = cast(begun.op("||")(literal_column("':*'")), TSQUERY)
        return self._vector.bool_op("@@")(query)
