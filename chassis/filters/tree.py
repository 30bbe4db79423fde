"""The nodes of a filter, and a filter as text again.

Equal nodes mean the same: the place where a node was written does not count. `str` of a node is a filter with this
meaning, in one spelling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from tenantmesh.chassis.filters.characters import shown

__all__ = ["KEYWORDS", "AllOf", "AnyOf", "Comparison", "Literal", "Negation", "Node", "Operator", "Search"]

KEYWORDS = frozenset({"AND", "OR", "NOT"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SPECIAL = {"\\": "\\\\", '"': '\\"', "*": "\\*"}


class Operator(Enum):
    """The comparison of a field with a value."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    HAS = ":"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it was written.

    parts: the text between its wildcards; one part is a text without wildcards.
    at: the index of its first character.
    """

    parts: tuple[str, ...]
    at: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """The text, with `*` for each wildcard."""
        return "*".join(self.parts)

    @property
    def wild(self) -> bool:
        """Whether it has a wildcard."""
        return len(self.parts) > 1

    @property
    def anything(self) -> bool:
        """True when the value is the wildcard `*` and nothing else."""
        return self.parts == ("", "")

    def __str__(self) -> str:
        return "*" if self.anything else _quoted(self.parts)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field, or a key in a field, compared with a value.

    path: the field's name, and keys below it.
    """

    path: tuple[str, ...]
    operator: Operator
    value: Literal
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        name, *keys = self.path
        path = ".".join([name, *(key if _is_plain(key) else _quoted((key,)) for key in keys)])
        if self.operator is Operator.HAS:
            return f"{path}:{self.value}"
        return f"{path} {self.operator.value} {self.value}"


@dataclass(frozen=True, slots=True)
class Search:
    """A text that is searched in the fields that the list searches."""

    value: Literal

    def __str__(self) -> str:
        return _quoted(self.value.parts)


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite of its operand."""

    operand: Node

    def __str__(self) -> str:
        return f"NOT {_grouped(self.operand, AllOf, AnyOf, Negation)}"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Conditions that must all match. None of the two or more operands is an AllOf."""

    operands: tuple[Node, ...]

    def __str__(self) -> str:
        return " AND ".join(map(str, self.operands))


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions of which one must match. None of the two or more operands is an AnyOf."""

    operands: tuple[Node, ...]

    def __str__(self) -> str:
        return " OR ".join(_grouped(operand, AllOf) for operand in self.operands)


Node: TypeAlias = AllOf | AnyOf | Negation | Comparison | Search


def _grouped(node: Node, *kinds: type[Node]) -> str:
    return f"({node})" if isinstance(node, kinds) else str(node)


def _is_plain(key: str) -> bool:
    return _PLAIN.fullmatch(key) is not None and key not in KEYWORDS


def _quoted(parts: tuple[str, ...]) -> str:
    return '"' + "*".join("".join(map(_escaped, part)) for part in parts) + '"'


def _escaped(character: str) -> str:
    return _SPECIAL.get(character) or shown(character)
