"""A purge: its steps, how far it is, and what it found. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

from tenantmesh.chassis.moments import timestamp
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.tenants.content import Content, ContentKind

__all__ = ["PURGE", "Amounts", "PurgeProgress", "PurgeStep", "StoredPurge", "Wanted", "subject_of", "tenant_of_purge"]

PURGE = "PURGE_TENANT"
"""The type of these operations."""


class Wanted(Enum):
    """Why a tenant is purged: an operator asked for it, or its grace period has ended."""

    OPERATOR = "OPERATOR"
    GRACE_PERIOD_ENDED = "GRACE_PERIOD_ENDED"


class PurgeStep(Enum):
    """The steps, in their order. Each may be repeated: what it has done already, it finds done."""

    COUNT = "COUNT"
    ANNOUNCE = "ANNOUNCE"
    ACCOUNTS = "ACCOUNTS"
    ROWS = "ROWS"
    JOBS = "JOBS"
    STORE = "STORE"
    SCAN = "SCAN"
    TENANT = "TENANT"
    SIGN = "SIGN"


@dataclass(frozen=True, slots=True)
class Amounts:
    """The amounts of everything that there is of a tenant.

    rows: by table with its schema, of both services. sessions, passwords: of them, those that are credentials.
    store_keys: in the store of limits. jobs: in the queue. files: none are stored yet.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    sessions: int = 0
    passwords: int = 0
    store_keys: int = 0
    jobs: int = 0
    files: int = 0

    @property
    def total_rows(self) -> int:
        """The number of rows, over all tables."""
        return sum(self.rows.values())

    @property
    def contents(self) -> list[Content]:
        """Return the amounts one by one, tables first."""
        return [
            *(Content(ContentKind.ROWS, table, rows) for table, rows in sorted(self.rows.items())),
            Content(ContentKind.SESSIONS, "", self.sessions),
            Content(ContentKind.CREDENTIALS, "passwords", self.passwords),
            Content(ContentKind.STORE_KEYS, "", self.store_keys),
            Content(ContentKind.JOBS, "", self.jobs),
            Content(ContentKind.FILES, "", self.files),
        ]


@dataclass(frozen=True, slots=True)
class PurgeProgress:
    """How far a purge is: JSON in the row of its operation.

    done: the steps that have ended, with their times. before: what there was when it began. deletion: who deleted the
    tenant, and when. table, rows_done: what the step under way has reached, for those who look.
    """

    done: Mapping[str, str] = field(default_factory=dict)
    before: Amounts | None = None
    after: Mapping[str, int] = field(default_factory=dict)
    deletion: Mapping[str, str] = field(default_factory=dict)
    table: str = ""
    rows_done: int = 0

    @classmethod
    def of(cls, operation: Operation) -> PurgeProgress:
        """Return the progress of the operation."""
        return cls.from_json(operation.progress)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> PurgeProgress:
        """Return the progress that `to_json` wrote. What it did not write, such as an operation's end, is left out."""
        known = {name: stored[name] for name in cls.__slots__ if name in stored}
        before = known.pop("before", None)
        return cls(**known, before=None if before is None else Amounts(**before))

    def to_json(self) -> dict[str, Any]:
        """Return the progress as it is stored."""
        return asdict(self)

    @property
    def next_step(self) -> PurgeStep | None:
        """The first step that has not ended; None when all have."""
        return next((step for step in PurgeStep if step.value not in self.done), None)

    @property
    def percent(self) -> int:
        """The progress, 0 to 99: the operation's end is the last hundredth."""
        return 99 * len(self.done) // len(PurgeStep)

    @property
    def contents(self) -> list[Content]:
        """The contents of the tenant when the purge began; empty until they are counted."""
        return [] if self.before is None else self.before.contents

    def finished(self, step: PurgeStep, now: datetime) -> PurgeProgress:
        """Return the progress after the step."""
        return replace(self, done={**self.done, step.value: timestamp(now).ToJsonString()}, table="")


@dataclass(frozen=True, slots=True)
class StoredPurge:
    """The account of a purge that has ended, with its signed proof."""

    tenant_id: TenantId
    operation_id: uuid.UUID
    purge_time: datetime
    kid: str
    proof: str
    signature: str


def subject_of(tenant_id: TenantId) -> str:
    """Return the subject of the operation: one is under way for a tenant at a time."""
    return f"tenants/{tenant_id}"


def tenant_of_purge(operation: Operation) -> TenantId:
    """Return the tenant that the operation purges."""
    return TenantId(uuid.UUID(operation.request["tenant_id"]))
