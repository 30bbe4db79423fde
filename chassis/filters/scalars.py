"""Fields of single values besides texts: whole numbers, yes or no, times and UUIDs."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, ColumnElement
from sqlalchemy.types import TypeEngine

from tenantmesh.chassis.filters.matches import Bind, FieldType, Match
from tenantmesh.chassis.filters.query_text import QueryText
from tenantmesh.chassis.filters.tree import Comparison, Literal, Operator
from tenantmesh.interceptors.tenants import parse_uuid

__all__ = ["BooleanField", "IntegerField", "TimeField", "UuidField"]

_Compare = Callable[[Any, Any], ColumnElement[bool]]
_SQL: Mapping[str, _Compare] = MappingProxyType(
    {
        Operator.EQUAL.value: operator.eq,
        Operator.LESS.value: operator.lt,
        Operator.LESS_OR_EQUAL.value: operator.le,
        Operator.GREATER.value: operator.gt,
        Operator.GREATER_OR_EQUAL.value: operator.ge,
    }
)
_ORDERED = frozenset(Operator) - {Operator.HAS, Operator.UNEQUAL}
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_BOOLEANS = {"true": True, "false": False}


class _Scalar(FieldType):
    """A column of single values, where the form of a match is its operator."""

    wanted: str
    """The values that the field takes, for refusals."""
    bound_as: TypeEngine[Any] | None = None
    """The type of parameters, where it is not the column's."""

    def __init__(self, column: ColumnElement[Any]) -> None:
        self._column = column

    def match(self, source: QueryText, comparison: Comparison) -> Match:
        """As `FieldType.match`."""
        value = comparison.value
        if comparison.operator is Operator.HAS:
            return self._presence(source, value)
        read = None if value.wild else self.read(value.text)
        if read is None:
            raise source.refused(value.at, f"{comparison.path[0]} is compared with {self.wanted}")
        return Match(comparison.operator.value, (read,))

    def _presence(self, source: QueryText, value: Literal) -> Match:
        if not value.anything:
            raise source.refused(value.at, "`:` takes * alone here, and asks whether there is a value")
        return Match("present")

    def read(self, text: str) -> object | None:
        """Return the value of the text; None for a text of no value."""
        raise NotImplementedError

    def sql(self, form: str, bind: Bind) -> ColumnElement[bool]:
        """As `FieldType.sql`."""
        if form == "present":
            return self._column.is_not(None)
        return _SQL[form](self._column, bind(self.bound_as or self._column.type))


class IntegerField(_Scalar):
    """A whole number."""

    operators = _ORDERED
    bound_as = BigInteger()  # a number beyond a smaller column compares like any other
    wanted = "a whole number, such as 3"

    def read(self, text: str) -> int | None:
        """Return the number; None for a text that is none, and for one of more than 18 digits."""
        return int(text) if _INTEGER.fullmatch(text) else None


class BooleanField(_Scalar):
    """True or false."""

    operators = frozenset({Operator.EQUAL})
    wanted = "true or false"

    def read(self, text: str) -> bool | None:
        """Return the truth value of the text, or None."""
        return _BOOLEANS.get(text)


class TimeField(_Scalar):
    """A time, to the microsecond."""

    operators = _ORDERED | {Operator.HAS}
    wanted = "a time of RFC 3339, such as 2026-01-31T12:00:00Z"

    def read(self, text: str) -> datetime | None:
        """Return the time; None for a text that is none, or outside of the years 1 to 9999."""
        if not _TIME.fullmatch(text):
            return None
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            return None


class UuidField(_Scalar):
    """A UUID."""

    operators = frozenset({Operator.EQUAL, Operator.HAS})
    wanted = "a UUID in its canonical form, in lower case"

    def read(self, text: str) -> object | None:
        """Return the UUID; None for a text that is none."""
        return parse_uuid(text)
