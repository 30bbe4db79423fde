"""Lines of an import: from bytes to new tenants, or to what is wrong with a line. No database is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.tenant.v1.tenant_service_pb2 import CreateTenantRequest
from tenantmesh.tenant_svc.tenants.mapping import new_tenant_of
from tenantmesh.tenant_svc.tenants.tenant import NewTenant

__all__ = ["MOST_LINES", "ImportLine", "RejectedLine", "TenantLine", "lines_in", "read", "reason_of"]

MOST_LINES = 5000
_LONGEST_LINE = 64 * 1024
_LONGEST_REASON = 300
_LONGEST_NAME = 64
_TWICE = "has a field twice"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PLACES = re.compile(r"Failed to parse (\w+) field")
_UNKNOWN = "has no field named"
"""The text of protobuf about a field that does not exist, and how it names the fields that lead to a wrong value."""
_NOT_IN_LINES = frozenset({"request_id", "validate_only"})
_FIELDS = {
    name: field.name
    for field in CreateTenantRequest.DESCRIPTOR.fields
    if field.name not in _NOT_IN_LINES
    for name in (field.name, field.json_name)
}
"""A field as a line may spell it → its name."""


@dataclass(frozen=True, slots=True)
class TenantLine:
    """A line that names a tenant, and the fields that it sets."""

    number: int
    new: NewTenant
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that is left out, and the reason."""

    number: int
    reason: str


ImportLine = TenantLine | RejectedLine


def lines_in(data: bytes, first: int = 1) -> list[tuple[int, bytes]]:
    """Return the lines that are not empty, each with its number. `first` is that of the first line."""
    data = data.removeprefix(_BYTE_ORDER_MARK)
    numbered = enumerate(data.split(b"\n"), first)
    return [(number, line.rstrip(b"\r")) for number, line in numbered if line.strip()]


def read(lines: list[tuple[int, bytes]]) -> list[ImportLine]:
    """Return each line as a tenant, or why it is left out. A line that names a tenant of an earlier one is left out."""
    return list(_without_repetitions(map(_read, lines)))


def reason_of(error: MeshError) -> str:
    """Return the error as the reason for which a line is left out."""
    if error.violations:
        return _short("; ".join(f"{each.field}: {each.description}" for each in error.violations))
    return _short(f"{error.reason}: {error.message}")


def _read(line: tuple[int, bytes]) -> ImportLine:
    number, text = line
    try:
        values = _object(text)
        new = _new_tenant(values)
    except MeshError as error:
        return RejectedLine(number, reason_of(error))
    except _Wrong as wrong:
        return RejectedLine(number, str(wrong))
    return TenantLine(number, new, frozenset(_FIELDS[name] for name in values))


def _object(text: bytes) -> Mapping[str, Any]:
    """Return the values of the line. Raises _Wrong."""
    if len(text) > _LONGEST_LINE:
        raise _Wrong(f"is longer than {_LONGEST_LINE} bytes")
    try:
        values = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise _Wrong(f"is not UTF-8: the byte at position {error.start + 1} does not belong there") from error
    except json.JSONDecodeError as error:
        raise _Wrong(f"is not JSON: {error.msg} at character {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise _Wrong("is JSON that is nested too deeply, or has a number that is too long") from error
    if not isinstance(values, dict):
        raise _Wrong("must be a JSON object with the fields of a tenant")
    unknown = [name for name in values if name not in _FIELDS]
    if unknown:
        raise _Wrong(f"{_shown(unknown[0])} is no field of a new tenant")
    if len({_FIELDS[name] for name in values}) < len(values):
        raise _Wrong(_TWICE)
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise _Wrong(_TWICE)
    return values


def _new_tenant(values: Mapping[str, Any]) -> NewTenant:
    """Return the tenant of the line. Raises _Wrong, InvalidArgument."""
    try:
        message = json_format.ParseDict(dict(values), CreateTenantRequest())
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        raise _Wrong(_misfit(str(error))) from error
    if not message.external_id:
        raise _Wrong("externalId: is required: by it the tenant is found when the line is imported again")
    return new_tenant_of(message)


def _misfit(error: str) -> str:
    """Return the problem without the value, which the error repeats: a tenant's text must not outlive the tenant in the
    operation of an import."""
    place = ".".join(_PLACES.findall(error))
    problem = "has a field that does not exist" if _UNKNOWN in error else "has a value of the wrong type"
    return f"{place}: {problem}" if place else problem


def _without_repetitions(lines: Iterator[ImportLine]) -> Iterator[ImportLine]:
    seen: dict[tuple[str, str], int] = {}
    for line in lines:
        if isinstance(line, RejectedLine):
            yield line
            continue
        names = {"externalId": line.new.profile.external_id, "slug": line.new.slug}
        twice = [
            f"{field}: is that of line {seen[field, name]} too"
            for field, name in names.items()
            if seen.setdefault((field, name), line.number) != line.number
        ]
        yield RejectedLine(line.number, "; ".join(twice)) if twice else line


def _shown(name: str) -> str:
    return name if name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME else "a name"


def _short(text: str) -> str:
    line = " ".join(text.split())
    printable = "".join(each if each.isprintable() else "?" for each in line)
    return printable if len(printable) <= _LONGEST_REASON else f"{printable[: _LONGEST_REASON - 1]}…"


class _Wrong(Exception):
    """The reason for which a line is left out."""
