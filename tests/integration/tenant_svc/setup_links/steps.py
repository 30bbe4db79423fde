"""A step of the tests' own: it stores the name as a label of the tenant's history, and can refuse or wait."""

from __future__ import annotations

import asyncio
import uuid

from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument, Unavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.history.event import ChangeType, NewChange
from tenantmesh.tenant_svc.history.repository import record
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.setup_links.steps import StepResult

__all__ = ["KeysOfMakers", "RecordingStep"]


class KeysOfMakers:
    """As LinkMakers: keys with their permissions."""

    def __init__(self) -> None:
        self.keys: dict[uuid.UUID, frozenset[str]] = {}
        self.away = False

    async def permissions(self, key_id: uuid.UUID) -> frozenset[str]:
        if self.away:
            raise Unavailable("CREDENTIALS_UNVERIFIABLE", "auth_svc can't be asked right now.")
        return self.keys.get(key_id, frozenset())


class RecordingStep:
    """As SetupStep. Its effect is a row of the tenant's history, written in the transaction that it is given."""

    permission = "login_hosts.write"

    def __init__(self) -> None:
        self.runs = 0
        self.entered = asyncio.Event()
        self.leave: asyncio.Event | None = None

    async def run(self, connection: Connection, tenant_id: TenantId, name: str, actor: str) -> StepResult:
        self.runs += 1
        await lock_log(connection)
        change = NewChange(
            type=ChangeType.OVERRIDE_SET, feature="core", actor=actor, reason=name, before="", after=name
        )
        await record(connection, tenant_id, change)
        self.entered.set()
        if self.leave is not None:
            await self.leave.wait()
        if name.startswith("bad"):
            raise InvalidArgument.fields([FieldViolation("name", "must not be bad")])
        return StepResult(name, f"_proof.{name}", "value", f"http://{name}/proof")
