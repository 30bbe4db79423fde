"""A second reading of filters, over rows in memory: the one that SQL must agree with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from tenantmesh.chassis.filters.tree import AllOf, AnyOf, Comparison, Literal, Negation, Node, Operator, Search

Row = Mapping[str, Any]


def matches(row: Row, node: Node | None) -> bool:
    """Whether a row matches a tree."""
    match node:
        case None:
            return True
        case AllOf():
            return all(matches(row, operand) for operand in node.operands)
        case AnyOf():
            return any(matches(row, operand) for operand in node.operands)
        case Negation():
            return not matches(row, node.operand)
        case Search():
            return all(any(have.startswith(want) for have in words(row["title"])) for want in words(node.value.text))
        case Comparison():
            return _compared(row, node)


def words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", text.lower()) if word]


def _compared(row: Row, node: Comparison) -> bool:
    if node.operator is Operator.UNEQUAL:
        return not _compared(row, Comparison(node.path, Operator.EQUAL, node.value))
    name, *keys = node.path
    found = row[name]
    if isinstance(found, dict):
        return _in_map(found, keys, node.value)
    if node.operator is Operator.HAS:
        return _has(found, node.value)
    if found is None:
        return False
    if isinstance(found, str):
        return _like(found, node.value)
    wanted = _read(node.value.text, type(found))
    compared: dict[Operator, bool] = {
        Operator.EQUAL: found == wanted,
        Operator.LESS: found < wanted,
        Operator.LESS_OR_EQUAL: found <= wanted,
        Operator.GREATER: found > wanted,
        Operator.GREATER_OR_EQUAL: found >= wanted,
    }
    return compared[node.operator]


def _in_map(found: Mapping[str, str], keys: list[str], value: Literal) -> bool:
    if not keys:
        return bool(found) if value.anything else value.text in found
    return keys[0] in found and _like(found[keys[0]], value)


def _has(found: Any, value: Literal) -> bool:
    if value.anything:
        return found not in (None, "", [])
    if isinstance(found, list):
        return value.text.lower() in found
    return found is not None and value.text.lower() in found.lower()


def _like(found: str, value: Literal) -> bool:
    return re.fullmatch(".*".join(map(re.escape, value.parts)), found, re.DOTALL) is not None


def _read(text: str, kind: type) -> Any:
    if kind is bool:
        return text == "true"
    if issubclass(kind, datetime):
        return datetime.fromisoformat(text)
    return UUID(text) if issubclass(kind, UUID) else int(text)
