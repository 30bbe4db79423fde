"""Lines of an import: from bytes to new tenants, or to what is wrong with a line. No database is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.tenant.v1.tenant_pb2 import Contact
from tenantmesh.tenant.v1.tenant_service_pb2 import CreateTenantRequest
from tenantmesh.tenant_svc.tenants.mapping import new_tenant_of
from tenantmesh.tenant_svc.tenants.tenant import NewTenant

__all__ = ["MOST_LINES", "ImportLine", "RejectedLine", "TenantLine", "lines_in", "read", "reason_of"]

MOST_LINES = 5000
_LONGEST_LINE = 64 * 1024
_LONGEST_REASON = 300
_LONGEST_NAME = 64
_TWICE = "has a field twice"
_UNREADABLE = (json_format.ParseError, ValueError, TypeError, RecursionError)
"""The errors of a value that a message can't hold."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOT_IN_LINES = frozenset({"request_id", "validate_only"})
_FIELDS = {
    name: field.name
    for field in CreateTenantRequest.DESCRIPTOR.fields
    if field.name not in _NOT_IN_LINES
    for name in (field.name, field.json_name)
}
"""A field as a line may spell it → its name."""
_PYTHON = {FieldDescriptor.TYPE_STRING: str, FieldDescriptor.TYPE_BOOL: bool}
_PLAIN = {field.name: _PYTHON[field.type] for field in CreateTenantRequest.DESCRIPTOR.fields if field.type in _PYTHON}
"""A field that holds what JSON holds → its type."""


@dataclass(frozen=True, slots=True)
class TenantLine:
    """A line that names a tenant, and the fields that it sets. A null is no value: JSON of messages leaves it out."""

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
    """Return the error as the reason for which a line is left out. It names fields as JSON does."""
    if error.violations:
        told = error.told_in_json()
        return _short(
            "; ".join(f"{each.field.removeprefix('tenant.')}: {each.description}" for each in told.violations)
        )
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
    return TenantLine(number, new, frozenset(_FIELDS[name] for name, value in values.items() if value is not None))


def _object(text: bytes) -> Mapping[str, Any]:
    """Return the values of the line. Raises _Wrong."""
    if len(text) > _LONGEST_LINE:
        raise _Wrong(f"is longer than {_LONGEST_LINE} bytes")
    try:
        values = _JSON.decode(text.decode("utf-8"))
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


_JSON = json.JSONDecoder(object_pairs_hook=_once)
"""Made once: `json.loads` makes one for each line."""


def _new_tenant(values: Mapping[str, Any]) -> NewTenant:
    """Return the tenant of the line. Raises _Wrong, InvalidArgument."""
    try:
        message = _message_of(values)
    except _UNREADABLE as error:
        raise _Wrong(f"{_unreadable(values)}: has a value of the wrong type") from error
    if not message.external_id:
        raise _Wrong("externalId: is required: by it the tenant is found when the line is imported again")
    return new_tenant_of(message)


def _message_of(values: Mapping[str, Any]) -> CreateTenantRequest:
    """Return the request that the values say. ParseDict takes ten times as long, and is for values to convert."""
    if all(_is_plain(_FIELDS[name], value) for name, value in values.items()):
        return CreateTenantRequest(**{_FIELDS[name]: value for name, value in values.items()})
    return json_format.ParseDict(dict(values), CreateTenantRequest())


def _is_plain(field: str, value: Any) -> bool:
    if field == "labels":
        return type(value) is dict and all(type(text) is str for text in value.values())
    return type(value) is _PLAIN.get(field)


def _unreadable(values: Mapping[str, Any]) -> str:
    """Return the path of the first value of the wrong type. The value itself stays out of reasons, which are kept for
    longer than the lines."""
    name = next((each for each in values if not _fits(CreateTenantRequest(), each, values[each])), "the line")
    for place, contact in enumerate(values[name] if name == "contacts" and isinstance(values[name], list) else ()):
        if not isinstance(contact, dict):
            return f"{name}[{place}]"
        for field, value in contact.items():
            if not _fits(Contact(), field, value):
                return f"{name}[{place}].{_shown(field)}"
    return name


def _fits(message: Message, name: str, value: Any) -> bool:
    try:
        json_format.ParseDict({name: value}, message)
    except _UNREADABLE:
        return False
    return True


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
