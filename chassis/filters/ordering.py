"""The order of one list: AIP-132's `order_by`, its clauses of SQL, and the condition for what comes after an item.

    ORDERS = Orders({"slug": SortField(THINGS.c.slug, lambda thing: thing.slug)}, last=SortField(THINGS.c.id, …))
    order = ORDERS.ordered(request.order_by)            # one call's
    select(…).where(ORDERS.after(order, absent)).order_by(*ORDERS.clauses(order))

The last key of every order is unique, so that no item is on two pages or on none while others come and go. It has the
direction of the key before it. Texts are in the order of code points. Items without a value come last, in the opposite
direction first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Text, UnaryExpression, and_, bindparam, false, or_, tuple_

from tenantmesh.chassis.filters.places import SortPlace, place_tokens
from tenantmesh.chassis.filters.query_text import QueryText
from tenantmesh.chassis.filters.texts import sortable
from tenantmesh.chassis.pages import PageTokens

__all__ = ["Order", "Orders", "SortField"]

_LONGEST = 512
_PART = re.compile(r"\s*([^\s,]*)(?:[^\S,]+([^\s,]+))?\s*")
_DIRECTIONS = {"asc": False, "desc": True}
_PARAMETER = "after_{}"

_Item = TypeVar("_Item")
_Key: TypeAlias = tuple[str, bool]
"""The name of a field, and whether the order is descending. The last key has the empty name."""


@dataclass(frozen=True, slots=True)
class SortField(Generic[_Item]):
    """A field by which a list is ordered: its column, and its value in an item."""

    column: ColumnElement[Any]
    value: Callable[[_Item], object]

    @property
    def key(self) -> ColumnElement[Any]:
        """The expression that is ordered."""
        return sortable(self.column) if isinstance(self.column.type, Text) else self.column

    @property
    def nullable(self) -> bool:
        """Whether an item may have no value."""
        return bool(getattr(self.column, "nullable", True))


@dataclass(frozen=True, slots=True)
class Order:
    """The order of one call. Equal orders have equal clauses."""

    keys: tuple[_Key, ...]

    @property
    def text(self) -> str:
        """The order in the one spelling that equal orders share."""
        return ", ".join(f"{name} desc" if descending else name for name, descending in self.keys[:-1])


class Orders(Generic[_Item]):
    """The orders of a list. `last` is the unique key that ends each of them, and the order of a call without one."""

    def __init__(self, fields: Mapping[str, SortField[_Item]], *, last: SortField[_Item]) -> None:
        self._fields = dict(fields)
        self._last = last

    def ordered(self, text: str, field: str = "order_by") -> Order:
        """Return the order. Raises InvalidArgument that names the field of the request and points at the place."""
        source = QueryText.checked(field, text, _LONGEST)
        keys: dict[str, bool] = {}
        at = 0
        while text.strip() and at <= len(text):
            found = _PART.match(text, at)
            if found is None or (found.end() < len(text) and text[found.end()] != ","):
                raise source.refused(found.end() if found else at, "a comma is missing here, or the end")
            name, descending = self._key(source, found)
            if name in keys:
                raise source.refused(found.start(1), "the list is in the order of this field already")
            keys[name] = descending
            at = found.end() + 1
        return Order((*keys.items(), ("", list(keys.values())[-1] if keys else False)))

    def _key(self, source: QueryText, found: re.Match[str]) -> _Key:
        name, direction = found[1], found[2] or "asc"
        if name not in self._fields:
            raise source.refused(found.start(1), f"there is no order by this; order by {', '.join(self._fields)}")
        if direction not in _DIRECTIONS:
            raise source.refused(found.start(2), "a direction is asc or desc")
        return name, _DIRECTIONS[direction]

    def clauses(self, order: Order) -> list[UnaryExpression[Any]]:
        """Return what `order_by` of a statement takes."""
        return [
            field.key.desc() if descending else field.key.asc()
            for field, (_, descending) in zip(self._sorted_by(order), order.keys, strict=True)
        ]

    def place(self, order: Order, item: _Item) -> SortPlace:
        """Return the place of an item in the order."""
        return tuple(field.value(item) for field in self._sorted_by(order))

    def tokens(self, order: Order, purpose: bytes) -> PageTokens[SortPlace]:
        """Return the page tokens of the order."""
        return place_tokens(purpose, [field.column.type.python_type for field in self._sorted_by(order)])

    def parameters(self, place: SortPlace) -> dict[str, object]:
        """Return the arguments of `after`."""
        return {_PARAMETER.format(number): value for number, value in enumerate(place) if value is not None}

    def after(self, order: Order, absent: Sequence[bool]) -> ColumnElement[bool]:
        """Return the condition for items after a place. `absent` says which of the place's values are None."""
        fields = self._sorted_by(order)
        parameters = [bindparam(_PARAMETER.format(n), type_=field.column.type) for n, field in enumerate(fields)]
        directions = {descending for _, descending in order.keys}
        if len(directions) == 1 and not any(field.nullable for field in fields):
            place, keys = tuple_(*parameters), tuple_(*(field.key for field in fields))
            return keys < place if directions == {True} else keys > place
        steps = [
            _Step(field, descending, None if missing else parameter)
            for field, (_, descending), missing, parameter in zip(fields, order.keys, absent, parameters, strict=True)
        ]
        later = [
            and_(*(before.same() for before in steps[:number]), step.beyond()) for number, step in enumerate(steps)
        ]
        return and_(steps[0].same_or_beyond(), or_(*later))

    def _sorted_by(self, order: Order) -> list[SortField[_Item]]:
        return [self._fields[name] if name else self._last for name, _ in order.keys]


@dataclass(frozen=True, slots=True)
class _Step:
    """One key of a place. `value` is its parameter; None where the place has no value."""

    field: SortField[Any]
    descending: bool
    value: ColumnElement[Any] | None

    def same(self) -> ColumnElement[bool]:
        return self.field.key.is_(None) if self.value is None else self.field.key == self.value

    def beyond(self) -> ColumnElement[bool]:
        key = self.field.key
        if self.value is None:
            return key.is_not(None) if self.descending else false()
        if self.descending:
            return key < self.value
        return or_(key > self.value, key.is_(None)) if self.field.nullable else key > self.value

    def same_or_beyond(self) -> ColumnElement[bool]:
        """Return what all later items match, in a form that an index serves."""
        if self.value is None or (self.field.nullable and not self.descending):
            return or_(self.same(), self.beyond())
        return self.field.key <= self.value if self.descending else self.field.key >= self.value
