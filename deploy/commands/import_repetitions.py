"""Lines of a file that name a tenant of an earlier slice.

The service sees one slice at a time, and rejects a repetition within it. A file is treated alike wherever it is cut, in
a dry run too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from tenantmesh.deploy.commands.import_slices import FileSlice
from tenantmesh.tenant.v1.tenant_bulk_service_pb2 import ImportTenantsResponse, RejectedLine

__all__ = ["Repetitions"]

_NAMES = {"externalId": "externalId", "external_id": "externalId", "slug": "slug"}
"""A field with a name of the tenant, as a line may spell it → its name."""


class Repetitions:
    """Remembers the names in the slices that were imported, by their hashes."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def imported(self, part: FileSlice, send: Callable[[FileSlice], ImportTenantsResponse]) -> ImportTenantsResponse:
        """Send the slice without its repetitions. Return what became of all of its lines."""
        rest, twice = self._without(part)
        response = ImportTenantsResponse() if rest.empty else send(rest)
        self._add(rest, {each.line for each in response.rejected_lines})
        return _with(response, twice)

    def _without(self, part: FileSlice) -> tuple[FileSlice, list[RejectedLine]]:
        """Return the slice with empty lines instead of repetitions, and the reasons of these."""
        lines, rejected = list(part.lines), list[RejectedLine]()
        for place, line in enumerate(part.lines):
            twice = [
                f"{field}: is that of line {self._seen[key]} too" for field, key in _keys(line) if key in self._seen
            ]
            if twice:
                lines[place] = b"\n"
                rejected.append(RejectedLine(line=part.first + place, reason="; ".join(twice)))
        return replace(part, lines=tuple(lines)), rejected

    def _add(self, part: FileSlice, rejected: Collection[int]) -> None:
        """Remember the names in the slice, without those of lines that were rejected."""
        for number, line in enumerate(part.lines, part.first):
            if number not in rejected:
                for _, key in _keys(line):
                    self._seen.setdefault(key, number)


def _keys(line: bytes) -> Iterator[tuple[str, int]]:
    """Yield the fields with names, each with the hash of the field and the name."""
    for field, name in _named(line):
        if field in _NAMES and isinstance(name, str):
            digest = blake2b(f"{_NAMES[field]} {name}".encode("utf-8", "replace"), digest_size=8).digest()
            yield _NAMES[field], int.from_bytes(digest)


def _named(line: bytes) -> Iterable[tuple[str, Any]]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):  # the service rejects the line
        return ()
    return values.items() if isinstance(values, dict) else ()


def _with(response: ImportTenantsResponse, rejected: Collection[RejectedLine]) -> ImportTenantsResponse:
    """Return the response with repetitions among the rejected lines."""
    whole = ImportTenantsResponse(counts=response.counts)
    whole.counts.rejected += len(rejected)
    whole.rejected_lines.extend(sorted((*response.rejected_lines, *rejected), key=lambda each: each.line))
    return whole
