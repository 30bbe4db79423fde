"""Search of words in texts: a word of the search begins a word of the text, whatever its case.

A word is a run of letters and digits. The words of a text are a `tsvector` that PostgreSQL makes without an extension
and without a dictionary, and a GIN index on it finds beginnings of words. The index must be on the same expression.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Text, any_, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import TSQUERY

from tenantmesh.chassis.filters.matches import Bind
from tenantmesh.chassis.filters.texts import folded

__all__ = ["WordSearch"]

_NO_WORD: ColumnElement[str] = literal_column("'[^[:alnum:]]+'")
_NOTHING: ColumnElement[str] = literal_column("''")
_SPACE: ColumnElement[str] = literal_column("' '")


class WordSearch:
    """The search in some columns of a table. As `Fields` takes it, it makes the condition of a search.

    key: the primary key of the table. The index finds the keys first: the planner can't know how rare a beginning of a
        word is, and would walk along the whole order of a list for one item.
    """

    def __init__(self, key: ColumnElement[Any], *columns: ColumnElement[Any]) -> None:
        text: ColumnElement[Any] = func.coalesce(columns[0], _NOTHING)
        for column in columns[1:]:
            text = text.op("||")(_SPACE).op("||")(func.coalesce(column, _NOTHING))
        self._vector = func.array_to_tsvector(_words(text))
        self._key = key

    def __call__(self, bind: Bind) -> ColumnElement[bool]:
        """Return the condition, which makes one parameter for the text."""
        begun = func.nullif(func.array_to_string(_words(bind(Text())), literal_column("':* & '")), _NOTHING)
        query = cast(begun.op("||")(literal_column("':*'")), TSQUERY)
        keys = select(self._key).where(self._vector.bool_op("@@")(query)).scalar_subquery()
        return self._key == any_(func.array(keys))


def _words(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.array_remove(func.regexp_split_to_array(folded(text), _NO_WORD), _NOTHING)
