"""Fields of texts: one text, one of some names, a list of texts, texts in another table, and a map of texts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ARRAY, Boolean, ColumnElement, Text, and_, any_, collate, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB

from tenantmesh.chassis.filters.matches import Bind, FieldType, Match
from tenantmesh.chassis.filters.query_text import QueryText
from tenantmesh.chassis.filters.tree import Comparison, Literal, Operator

__all__ = ["HeldField", "ListField", "MapField", "NameField", "TextField", "folded", "prefix_bounds", "sortable"]

# Not `false()`: SQLAlchemy would leave out the conditions beside it, and with them the parameters of their values.
_NEVER: ColumnElement[bool] = literal_column("false", Boolean)
_LAST_BEFORE_SURROGATES, _FIRST_AFTER = "\ud7ff", "\ue000"


def sortable(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a text column in the order of code points, which is the same in every database."""
    return column if getattr(column.type, "collation", None) == "C" else collate(column, "C")


def folded(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a text in lower case, by the rules of the database: those of the order of code points know ASCII only."""
    return func.lower(collate(column, "default"))


def _pattern(value: Literal) -> str:
    """Return the value as a pattern of LIKE. Only its wildcards are wildcards there."""
    return "%".join(part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for part in value.parts)


def prefix_bounds(prefix: str) -> tuple[str, str] | None:
    """Return the first text with the prefix and the first one after all with it, by code points; None where no text is
    after all."""
    head = prefix.rstrip(chr(sys.maxunicode))
    if not head:
        return None
    last = head[-1]
    return prefix, head[:-1] + (_FIRST_AFTER if last == _LAST_BEFORE_SURROGATES else chr(ord(last) + 1))


class TextField(FieldType):
    """A text: equal, with wildcards, or with a part that is found whatever its case.

    A wildcard at the end alone is a range of texts, which an index on the column in the order of code points serves.
    """

    operators = frozenset({Operator.EQUAL, Operator.HAS})

    def __init__(self, column: ColumnElement[Any]) -> None:
        self._column = column
        self._exact = sortable(column)

    def match(self, source: QueryText, comparison: Comparison) -> Match:
        """As `FieldType.match`."""
        value = comparison.value
        if comparison.operator is Operator.EQUAL:
            return _equal(value)
        if value.anything:
            return Match("present")
        if value.wild:
            raise source.refused(value.at, "`:` finds the text anywhere in the field; leave out the *")
        return Match("contains", (value.text,))

    def sql(self, form: str, bind: Bind) -> ColumnElement[bool]:
        """As `FieldType.sql`."""
        match form:
            case "present":
                return self._column != ""
            case "contains":
                return func.strpos(folded(self._column), func.lower(bind(Text()))) > 0
            case "range" | "range like":
                return and_(*_range(self._exact, form, bind))
            case "like":
                return self._exact.like(bind(Text()))
        return self._exact == bind(Text())


def _equal(value: Literal) -> Match:
    if not value.wild:
        return Match("equal", (value.text,))
    bounds = prefix_bounds(value.parts[0])
    if bounds is None:
        return Match("like", (_pattern(value),))
    if value.parts[1:] == ("",):
        return Match("range", bounds)
    return Match("range like", (*bounds, _pattern(value)))


def _range(column: ColumnElement[Any], form: str, bind: Bind) -> list[ColumnElement[bool]]:
    conditions = [column >= bind(Text()), column < bind(Text())]
    return [*conditions, column.like(bind(Text()))] if form == "range like" else conditions


class NameField(FieldType):
    """One of the names of an enum, as JSON has it or without the enum's prefix.

    names: the stored value of each name without the prefix.
    """

    operators = frozenset({Operator.EQUAL})

    def __init__(self, column: ColumnElement[Any], names: Mapping[str, object], prefix: str = "") -> None:
        self._column = column
        self._names = names
        self._prefix = prefix

    def match(self, source: QueryText, comparison: Comparison) -> Match:
        """As `FieldType.match`."""
        value = comparison.value
        name = value.text.removeprefix(self._prefix)
        if value.wild or name not in self._names:
            raise source.refused(value.at, f"{comparison.path[0]} is one of {', '.join(self._names)}")
        return Match("equal", (self._names[name],))

    def sql(self, form: str, bind: Bind) -> ColumnElement[bool]:
        """As `FieldType.sql`."""
        del form
        return self._column == bind(self._column.type)


class ListField(FieldType):
    """A list of texts, which has a text or does not. `normal` brings the text of a filter into the form of the list."""

    operators = frozenset({Operator.HAS})

    def __init__(self, column: ColumnElement[Any], normal: Callable[[str], str] = str) -> None:
        self._column = column
        self._normal = normal

    def match(self, source: QueryText, comparison: Comparison) -> Match:
        """As `FieldType.match`."""
        value = comparison.value
        if value.anything:
            return Match("present")
        if value.wild:
            raise source.refused(value.at, "`:` finds whole entries of the list; leave out the *")
        return Match("has", ([self._normal(value.text)],))

    def sql(self, form: str, bind: Bind) -> ColumnElement[bool]:
        """As `FieldType.sql`."""
        if form == "present":
            return func.cardinality(self._column) > 0
        return self._column.bool_op("@>")(bind(ARRAY(Text())))


class HeldField(ListField):
    """Texts that the items of a list hold in a table of their own. One item at most holds a text.

    item: the id of an item. holder: the id of the item that holds `text`. held: the rows that count.
    """

    def __init__(
        self,
        item: ColumnElement[Any],
        holder: ColumnElement[Any],
        text: ColumnElement[Any],
        held: ColumnElement[bool],
        normal: Callable[[str], str] = str,
    ) -> None:
        super().__init__(text, normal)
        self._item = item
        self._holders = select(holder).where(held)

    def sql(self, form: str, bind: Bind) -> ColumnElement[bool]:
        """As `FieldType.sql`. The holder is looked up once, before the list is read."""
        if form == "present":
            return self._item.in_(self._holders)
        return self._item == self._holders.where(self._column == any_(bind(ARRAY(Text())))).scalar_subquery()


class MapField(FieldType):
    """A map of texts by key, in a JSONB column. `labels:env` and `labels.env:*` ask for a key, `labels.env = "x"` for
    its value.

    entries: an array of the map's keys and of `key=value`, which an index serves, for maps whose keys hold no `=`.
        Without it every map is looked into.
    """

    operators = frozenset({Operator.EQUAL, Operator.HAS})

    def __init__(self, column: ColumnElement[Any], entries: ColumnElement[Any] | None = None) -> None:
        self._column = column
        self._entries = entries

    @property
    def has_keys(self) -> bool:
        """As `FieldType.has_keys`."""
        return True

    def match(self, source: QueryText, comparison: Comparison) -> Match:
        """As `FieldType.match`."""
        name, *keys = comparison.path
        value = comparison.value
        if len(keys) > 1:
            raise source.refused(comparison.at, f"{name} has one level of keys; put quotes around a key with dots")
        if not keys:
            return self._of_the_map(source, comparison)
        if self._entries is not None and "=" in keys[0]:
            return Match("never")
        if value.anything:
            return self._with_key(keys[0])
        if value.wild:
            return Match("like", (*self._with_key(keys[0]).values, keys[0], _pattern(value)))
        return Match("entry", ({keys[0]: value.text} if self._entries is None else [f"{keys[0]}={value.text}"],))

    def _of_the_map(self, source: QueryText, comparison: Comparison) -> Match:
        name, value = comparison.path[0], comparison.value
        if comparison.operator is Operator.EQUAL:
            raise source.refused(comparison.at, f"{name} is a map; write {name}.KEY = VALUE, or {name}:KEY")
        if value.anything:
            return Match("present")
        if value.wild:
            raise source.refused(value.at, "`:` finds whole keys of the map; leave out the *")
        return Match("never") if self._entries is not None and "=" in value.text else self._with_key(value.text)

    def _with_key(self, key: str) -> Match:
        return Match("key", (key if self._entries is None else [key],))

    def sql(self, form: str, bind: Bind) -> ColumnElement[bool]:
        """As `FieldType.sql`."""
        match form:
            case "present":
                return self._column != func.jsonb_build_object()
            case "never":
                return _NEVER
            case "entry":
                return self._has(bind, "@>", JSONB())
        has_key = self._has(bind, "?", Text())
        return and_(has_key, self._column[bind(Text())].astext.like(bind(Text()))) if form == "like" else has_key

    def _has(self, bind: Bind, operator: str, kind: Any) -> ColumnElement[bool]:
        """Return the condition for an entry, by the array of entries or by an operator of the map itself."""
        if self._entries is None:
            return self._column.bool_op(operator)(bind(kind))
        return self._entries.bool_op("@>")(bind(ARRAY(Text())))
