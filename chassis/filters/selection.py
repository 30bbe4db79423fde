"""The filter of one list: a text, checked against the fields of the list, as a shape with values, and as a condition.

    FIELDS = Fields({"slug": TextField(THINGS.c.slug)})
    selection = FIELDS.selected(request.filter)         # one call's
    FIELDS.condition(selection.shape)                   # SQL, the same for every selection of that shape

A condition of a shape has parameters instead of values: `selection.parameters` are its arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, and_, bindparam, or_, true
from sqlalchemy.sql.elements import BindParameter

from tenantmesh.chassis.filters.matches import Bind, FieldType
from tenantmesh.chassis.filters.parser import parsed
from tenantmesh.chassis.filters.query_text import QueryText
from tenantmesh.chassis.filters.tree import AllOf, AnyOf, Comparison, Literal, Negation, Node, Operator, Search

__all__ = ["Fields", "Selection", "Shape", "needs_search"]

_PARAMETER = "filter_{}"
_LONGEST_WORD = 500
"""Characters, of up to 4 bytes: PostgreSQL fails for a word of 2047 bytes."""
_TOO_LONG = re.compile(rf"[a-z0-9\x80-\U0010ffff]{{{_LONGEST_WORD + 1}}}", re.IGNORECASE)
"""The letters and digits that a database knows, and more: those outside of ASCII may all be some."""


@dataclass(frozen=True, slots=True)
class FieldMatch:
    """The shape of one comparison: a field, and the form of its SQL."""

    field: str
    form: str


_SEARCH = FieldMatch("", "")
"""The shape of a search: of all fields, in one form."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The shape of conditions that are joined: `kind` is the class of their node."""

    kind: type[AllOf | AnyOf | Negation]
    operands: tuple[Shape, ...]


Shape: TypeAlias = FieldMatch | Joined


def needs_search(shape: Shape | None) -> bool:
    """Return whether each item of the filter has the words of a search."""
    if isinstance(shape, Joined):
        return shape.kind is AllOf and any(map(needs_search, shape.operands))
    return shape == _SEARCH


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter of one call.

    text: the filter in the one spelling that equal filters share.
    shape: None for the empty filter.
    """

    text: str = ""
    shape: Shape | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)


class Fields:
    """The fields of a list that its filters may compare, by name.

    search: makes the condition of a text without a field, from the parameter for it; None where nothing is searched.
        The text is sent without its wildcards.
    """

    def __init__(
        self, fields: Mapping[str, FieldType], search: Callable[[Bind], ColumnElement[bool]] | None = None
    ) -> None:
        self._fields = dict(fields)
        self._search = search

    def selected(self, text: str, field: str = "filter") -> Selection:
        """Return the filter. Raises InvalidArgument that names the field of the request and points at the place."""
        source, node = parsed(field, text)
        if node is None:
            return Selection()
        values: list[object] = []
        shape = self._shape(source, node, values)
        return Selection(str(node), shape, {_PARAMETER.format(number): value for number, value in enumerate(values)})

    def condition(self, shape: Shape | None) -> ColumnElement[bool]:
        """Return the condition of a shape, with parameters for its values."""
        numbers = count()

        def bind(kind: Any) -> BindParameter[Any]:
            return bindparam(_PARAMETER.format(next(numbers)), type_=kind)

        return true() if shape is None else self._condition(shape, bind)

    def _shape(self, source: QueryText, node: Node, values: list[object]) -> Shape:
        """Return the shape of a node, and append its values in the order in which the condition takes them."""
        if isinstance(node, Comparison):
            return self._comparison(source, node, values)
        if isinstance(node, Search):
            return self._searched(source, node.value, values)
        operands = (node.operand,) if isinstance(node, Negation) else node.operands
        return Joined(type(node), tuple(self._shape(source, operand, values) for operand in operands))

    def _comparison(self, source: QueryText, node: Comparison, values: list[object]) -> Shape:
        found = self._fields.get(node.path[0])
        if found is None:
            raise source.refused(node.at, f"there is no such field; filter by {', '.join(self._fields)}")
        unequal = node.operator is Operator.UNEQUAL and Operator.EQUAL in found.operators
        compared = Comparison(node.path, Operator.EQUAL, node.value, node.at) if unequal else node
        match = found.checked(source, compared)
        values += match.values
        shape = FieldMatch(node.path[0], match.form)
        return Joined(Negation, (shape,)) if unequal else shape

    def _searched(self, source: QueryText, value: Literal, values: list[object]) -> Shape:
        if self._search is None:
            raise source.refused(value.at, f"this list has no search; compare one of {', '.join(self._fields)}")
        if any(value.parts[1:]):
            raise source.refused(value.at, "words are found by their beginning; a * stands at the end only")
        if not any(map(str.isalnum, value.parts[0])):
            raise source.refused(value.at, "a search needs a letter or a digit")
        if _TOO_LONG.search(value.parts[0]):
            raise source.refused(value.at, f"a word of a search has at most {_LONGEST_WORD} characters")
        values.append(value.parts[0])
        return _SEARCH

    def _condition(self, shape: Shape, bind: Bind) -> ColumnElement[bool]:
        if isinstance(shape, Joined):
            operands = [self._condition(operand, bind) for operand in shape.operands]
            return _JOINED[shape.kind](operands)
        if self._search is not None and shape == _SEARCH:
            return self._search(bind)
        return self._fields[shape.field].sql(shape.form, bind)


def _negated(operands: list[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Return the opposite of a condition, which is true where the condition is unknown: NULL is not what was asked."""
    return operands[0].is_not(true())


_Join: TypeAlias = Callable[[list[ColumnElement[bool]]], ColumnElement[bool]]
_JOINED: Mapping[type[AllOf | AnyOf | Negation], _Join] = {
    AllOf: lambda operands: and_(*operands),
    AnyOf: lambda operands: or_(*operands),
    Negation: _negated,
}
