"""The use case of starting an import. It opens the door. A job does the work (`import_executor.py`)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.chassis.requests import RequestKey, refuse
from tenantmesh.interceptors import trace_context
from tenantmesh.interceptors.errors import AlreadyExists
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.bulk import repository as bulk
from tenantmesh.tenant_svc.bulk.lines import MOST_LINES, RejectedLine, lines_in
from tenantmesh.tenant_svc.bulk.tables import IMPORT
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState

__all__ = ["IMPORT_JOB", "ImportProgress", "ImportRequest", "TenantImports"]

IMPORT_JOB = "import_tenants"
"""The kind of job that does an import."""
_LAST_LINE = 2**53


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A request to import lines.

    first_line: the number of the first line in its file.
    updates: whether tenants that exist with other values are changed, or else their lines rejected.
    dry_run: whether everything is checked and nothing changed.
    """

    lines: bytes
    first_line: int
    updates: bool
    dry_run: bool

    @classmethod
    def checked(cls, *, lines: bytes, first_line: int, updates: bool | None, dry_run: bool) -> ImportRequest:
        """Check the request. Raises InvalidArgument. `updates` is None for a value that the contract does not have."""
        count = len(lines_in(lines))
        refuse(
            {
                "lines": None if 0 < count <= MOST_LINES else f"must be 1 to {MOST_LINES} lines that are not empty",
                "first_line": None if 0 <= first_line <= _LAST_LINE else "must be the number of a line",
                "on_existing": "must be one of OnExisting" if updates is None else None,
            }
        )
        return cls(lines, first_line or 1, bool(updates), dry_run)

    @property
    def digest(self) -> str:
        """The digest of the request. It tells a repeated request from a different one with the same id."""
        return sha256(f"{self.first_line} {self.updates} {self.dry_run} ".encode() + self.lines).hexdigest()


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far an import has come.

    lines: the lines that are not empty; `done` of them are done.
    rejected: the lines that were left out. A page of operations has none of them, but their number as `unread`.
    """

    lines: int
    done: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: tuple[RejectedLine, ...] = ()
    unread: int = 0

    @property
    def percent(self) -> int:
        """The progress, 0 to 100."""
        return 100 * self.done // max(1, self.lines)

    @property
    def rejections(self) -> int:
        """The number of lines that were left out."""
        return len(self.rejected) + self.unread

    def to_json(self) -> dict[str, Any]:
        """Return the progress as an operation stores it."""
        return {
            "lines": self.lines,
            "done": self.done,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "rejected": [[each.number, each.reason] for each in self.rejected],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ImportProgress:
        """Return the progress that `to_json` wrote, whole or as a page of operations has it."""
        rejected = stored["rejected"]
        if isinstance(rejected, int):
            return cls(**{**stored, "rejected": (), "unread": rejected})
        return cls(**{**stored, "rejected": tuple(RejectedLine(*each) for each in rejected)})


class TenantImports:
    """The use case. Raises Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs."""

    def __init__(self, doors: Doors, new_id: Callable[[], uuid.UUID]) -> None:
        self._doors = doors
        self._new_id = new_id

    async def start(self, request: ImportRequest, key: RequestKey | None, actor: str) -> Operation:
        """Start the import, with the job that does it. A repeated request gets the operation that it started the first
        time. Raises AlreadyExists `REQUEST_ID_REUSED`."""
        try:
            async with self._doors.system("start an import of tenants") as connection:
                made = await _made_by(connection, request, key)
                return made or await self._store(connection, request, key, actor)
        except UniqueViolation:
            async with self._doors.system("find the import of a repeated request", read_only=True) as connection:
                made = await _made_by(connection, request, key)
            if made is None:
                raise
            return made

    async def _store(
        self, connection: Connection, request: ImportRequest, key: RequestKey | None, actor: str
    ) -> Operation:
        now = await repository.now(connection)
        operation = Operation(
            tenant_id=None,
            id=self._new_id(),
            type=IMPORT,
            state=OperationState.SCHEDULED,
            request={"first_line": request.first_line, "updates": request.updates, "dry_run": request.dry_run},
            progress=ImportProgress(len(lines_in(request.lines))).to_json(),
            actor=actor,
            effective_time=now,
            create_time=now,
            cause=trace_context(),
        )
        await repository.create(connection, operation, key, request.digest)
        await bulk.keep_lines(connection, operation.id, request.lines)
        await enqueue(connection, IMPORT_JOB, operation.name, now)
        return operation


async def _made_by(connection: Connection, request: ImportRequest, key: RequestKey | None) -> Operation | None:
    made = None if key is None else await repository.made_by(connection, None, key)
    if made is None:
        return None
    digest, operation = made
    if digest != request.digest:
        raise AlreadyExists("REQUEST_ID_REUSED", "This request_id has started another operation. Send a new one.")
    return operation
