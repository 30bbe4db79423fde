"""The types of fields: the operators that each takes, how it reads a value, and the SQL of each comparison.

A comparison becomes a `Match`: a form, and values for its parameters. Equal forms have equal SQL, so a statement is
compiled once for all values. Values are always bound. A comparison with a value that is not there is not true.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement
from sqlalchemy.sql.elements import BindParameter

from tenantmesh.chassis.filters.query_text import QueryText
from tenantmesh.chassis.filters.tree import Comparison, Operator
from tenantmesh.interceptors.errors import InvalidArgument

__all__ = ["Bind", "FieldType", "Match"]

Bind: TypeAlias = Callable[[Any], BindParameter[Any]]
"""Makes the parameter for the next value of a match, of a type of SQLAlchemy."""


@dataclass(frozen=True, slots=True)
class Match:
    """One comparison. `form` names the SQL that its field has for it; the values are those of its parameters."""

    form: str
    values: tuple[object, ...] = ()


class FieldType(ABC):
    """A field that filters may compare.

    `operators` are those that it takes; `!=` is the negation of `=` and comes with it.
    """

    operators: frozenset[Operator]

    def checked(self, source: QueryText, comparison: Comparison) -> Match:
        """Return the match of a comparison. Raises InvalidArgument that points at the part which does not fit."""
        name, *keys = comparison.path
        if keys and not self.has_keys:
            raise source.refused(comparison.at, f"{name} has no keys; compare the field itself")
        if comparison.operator not in self.operators:
            raise self.no_operator(source, comparison)
        return self.match(source, comparison)

    def no_operator(self, source: QueryText, comparison: Comparison) -> InvalidArgument:
        """Return the refusal of an operator, with those that are taken."""
        taken = self.operators | ({Operator.UNEQUAL} if Operator.EQUAL in self.operators else set())
        listed = " ".join(operator.value for operator in Operator if operator in taken)
        name = comparison.path[0]
        return source.refused(comparison.at, f"{name} does not take {comparison.operator.value}; it takes {listed}")

    @property
    def has_keys(self) -> bool:
        """Whether a path leads into the field."""
        return False

    @abstractmethod
    def match(self, source: QueryText, comparison: Comparison) -> Match:
        """Return the match of a comparison whose path and operator are right. Raises InvalidArgument for its value."""

    @abstractmethod
    def sql(self, form: str, bind: Bind) -> ColumnElement[bool]:
        """Return the condition of a form. It makes a parameter for each value of the match, in their order."""
