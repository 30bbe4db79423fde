"""Operations that were stored before they could be of any type: they are read, shown and carried on."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.row_security import verify
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.mapping import operation_message
from tenantmesh.tenant_svc.operations.operation import CANCELLED, OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.plan_changes.mapping import PlanChangeMessages
from tenantmesh.tenant_svc.plan_changes.plan_change import PLAN_CHANGE, OverLimit, PlanChange, PlanPin
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.tables import metadata
from tenantmesh.tenant_svc.viewers import Viewer
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.earlier import empty_database, migrations_through, tenant_of_before
from tests.integration.tenant_svc.stage import as_superuser

LAST_BEFORE = "0012"
NOON = datetime(2026, 5, 17, 12, tzinfo=UTC)
BEGUN = {"from_plan": {"id": "premium", "version": 1}, "to_plan": {"id": "basic", "version": 1}, "over_limits": []}
OVER = {**BEGUN, "over_limits": [{"feature": "users", "used": 101, "limit": 100}]}
REQUEST = {
    "plan_id": "basic",
    "plan_version": 0,
    "timing": "IMMEDIATE",
    "over_limit_policy": "REJECT",
    "grace_until": None,
}
RESULT = {
    "slug": "acme",
    "display_name": "Acme",
    "plan_id": "basic",
    "plan_version": 1,
    "state": "ACTIVE",
    "create_time": "2026-05-01T00:00:00+00:00",
    "update_time": "2026-05-17T12:00:00+00:00",
    "version": 2,
}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A package with the migrations of before."""
    with migrations_through(LAST_BEFORE, tmp_path_factory.mktemp("before")) as package:
        yield package


class Old:
    """A tenant, and operations of it as the version before stored them."""

    def __init__(self, database: WorkerDatabase, opened: Database, tenant_id: TenantId) -> None:
        self.database = database
        self.opened = opened
        self.doors = Doors(opened, OUTAGE)
        self.tenant_id = tenant_id

    async def row(self, state: str, progress: dict[str, Any], error: dict[str, Any] | None = None) -> uuid.UUID:
        operation_id, ended = uuid7(), state in {"SUCCEEDED", "FAILED", "CANCELLED"}
        await as_superuser(
            self.database,
            """insert into tenant.operations (tenant_id, operation_id, type, state, request, progress, error,
            cancel_requested, actor, effective_time, create_time, end_time)
            values ($1, $2, 'MIGRATE_TENANT_PLAN', $3, $4, $5, $6, $7, 'key', $8, $8, $9)""",
            self.tenant_id, operation_id, state, json.dumps(REQUEST), json.dumps(progress),
            None if error is None else json.dumps(error), state == "CANCELLED", NOON, NOON if ended else None,
        )  # fmt: skip
        return operation_id


@pytest.fixture
async def old(postgres: WorkerDatabase, before: str) -> AsyncIterator[Old]:
    with empty_database(postgres) as own:
        await migrations.upgrade(before, own.url("tenantmesh_migrate"), "tenant_owner")
        settings = DatabaseSettings(url=own.url("tenant_app"), system_url=own.url("tenant_directory"))
        database = Database(settings, schema="tenant")
        await database.open()
        yield Old(own, database, TenantId(await tenant_of_before(own)))
        await database.close()


async def upgraded(old: Old) -> Operations:
    revisions = await migrations.upgrade(
        "tenantmesh.tenant_svc", old.database.url("tenantmesh_migrate"), "tenant_owner"
    )
    assert (revisions.current, revisions.pending) == (LAST_BEFORE, True)
    return Operations(old.doors, Endings())


async def test_operations_of_before_are_read_and_shown(old: Old) -> None:
    done = await old.row("SUCCEEDED", {**BEGUN, "result": RESULT})
    failure = {"code": "FAILED_PRECONDITION", "reason": "OVER_LIMIT", "message": "too much", "metadata": {"plan": "x"}}
    failed = await old.row("FAILED", OVER, failure)
    cancelled = await old.row(
        "CANCELLED",
        {**BEGUN, "cancelled_by": "key-of-an-operator"},
        {"code": CANCELLED.code, "reason": CANCELLED.reason, "message": CANCELLED.message, "metadata": {}},
    )
    operations = await upgraded(old)
    page = await operations.page(old.tenant_id, 0, "")
    assert [(each.id, each.type, each.done) for each in page.items] == [
        (cancelled, PLAN_CHANGE, True),
        (failed, PLAN_CHANGE, True),
        (done, PLAN_CHANGE, True),
    ]
    ended = await operations.get(old.tenant_id, str(done))
    assert ended.result == RESULT
    assert PlanChange.of(ended).to_plan == PlanPin("basic", 1)
    message = operation_message(ended, PlanChangeMessages(), Viewer(notes=True, every_plan=True))
    tenant = tenant_pb2.Tenant()
    assert message.response.Unpack(tenant)
    assert (tenant.id, tenant.slug, tenant.plan_id) == (str(old.tenant_id), "acme", "basic")
    refused = await operations.get(old.tenant_id, str(failed))
    assert refused.error is not None
    assert (refused.error.reason, PlanChange.of(refused).over_limits) == ("OVER_LIMIT", (OverLimit("users", 101, 100),))
    stopped = await operations.get(old.tenant_id, str(cancelled))
    assert (stopped.error, stopped.cancelled_by) == (CANCELLED, "key-of-an-operator")


@pytest.mark.parametrize("notes", [True, False])
async def test_who_cancelled_one_of_before_is_shown_to_staff_only(old: Old, notes: bool) -> None:
    cancelled = await old.row("CANCELLED", {**BEGUN, "cancelled_by": "key-of-an-operator"})
    found = await (await upgraded(old)).get(old.tenant_id, str(cancelled))
    metadata_message = pb.MigrateTenantPlanMetadata()
    assert operation_message(found, PlanChangeMessages(), Viewer(notes, False)).metadata.Unpack(metadata_message)
    assert metadata_message.cancelled_by == ("key-of-an-operator" if notes else "")


@pytest.mark.parametrize("state", ["SCHEDULED", "CHECKING", "APPLYING"])
async def test_one_that_has_not_ended_is_carried_on(old: Old, state: str) -> None:
    operation_id = await old.row(state, BEGUN)
    await upgraded(old)
    ended = await PlanChangeExecutor(old.doors).run(old.tenant_id, operation_id)
    assert ended is not None
    assert (ended.state, ended.error) == (OperationState.SUCCEEDED, None)
    assert ended.result is not None
    assert ended.result["plan_id"] == "basic"


async def test_another_type_can_be_stored_only_after_it(old: Old) -> None:
    other = """insert into tenant.operations select tenant_id, gen_random_uuid(), 'EXPORT_TENANT', state, request,
        progress, error, cancel_requested, actor, effective_time, create_time, end_time from tenant.operations"""
    await old.row("SUCCEEDED", {**BEGUN, "result": RESULT})
    with pytest.raises(asyncpg.CheckViolationError):
        await as_superuser(old.database, other)
    await upgraded(old)
    await as_superuser(old.database, other)
    await verify(old.opened, metadata, package="tenantmesh.tenant_svc")
