"""No statement of the services reads a whole table that grows: PostgreSQL's own plan of each says so.

The plans are those for any value of the parameters (`force_generic_plan`), on tables that are full and analysed.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.domain.types import QueueManagerId

import tenantmesh.auth_svc
import tenantmesh.chassis
import tenantmesh.tenant_svc
from tenantmesh.auth_svc import tables as auth
from tenantmesh.chassis.jobs import queue
from tenantmesh.runtime.database import Statement, compiled_statements
from tenantmesh.tenant_svc import tables as tenant
from tests.fixtures.engines import WORKER, WorkerDatabase
from tests.integration.grown import fill

PACKAGES = (tenantmesh.tenant_svc, tenantmesh.auth_svc, tenantmesh.chassis)
ROLES = ("tenant_app", "tenant_directory", "auth_app", "auth_directory", "tenant_worker")
TENANT = "01900000-0000-7000-8000-000000000001"
TABLES = [str(table) for metadata in (tenant.metadata, auth.metadata) for table in metadata.tables.values()]
OURS = re.compile(rf"\b({'|'.join(map(re.escape, [*TABLES, 'jobs.pgqueuer']))})\b")

FEW = frozenset(
    {
        "tenant.plans", "tenant.plan_versions", "tenant.features", "tenant.default_plan", "tenant.event_horizon",
        "tenant.default_branding",
        "tenant.followers", "tenant.alembic_version", "auth.alembic_version", "auth.signing_keys", "auth.system_keys",
        "jobs.pgqueuer_schedules", "tenant.purge_keys",
    }
)  # fmt: skip
"""The tables that grow with neither tenants, users nor events: what operators and releases write."""

ALLOWED: dict[str, str] = {
    "tenant_svc.purges.repository._OVERDUE": (
        "a sweep in the background that compares what is left of all purged tenants with their proofs: no call waits"
    ),
}
"""Statements that read a whole table that grows, each with the reason."""

_SCANS = {"Seq Scan", "Sample Scan", "Tid Range Scan"}
_OVER_AN_INDEX = {"Index Scan", "Index Only Scan"}


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    """Every module of a package but its migrations and programs."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if "migration" not in found.name and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def held(value: object, name: str, depth: int = 3) -> Iterator[tuple[str, Statement]]:
    """The statements that a value of a module holds, each with its name."""
    if isinstance(value, Statement):
        yield name, value
    elif depth:
        for key, each in members(value):
            yield from held(each, f"{name}{key}", depth - 1)


def members(value: object) -> Iterator[tuple[str, object]]:
    """What a collection or an object of ours holds."""
    if isinstance(value, dict):
        yield from ((f"[{key}]", each) for key, each in value.items())
    elif isinstance(value, tuple | list):
        yield from ((f"[{number}]", each) for number, each in enumerate(value))
    elif type(value).__module__.startswith("tenantmesh."):
        names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
        yield from ((f".{each}", getattr(value, each, None)) for each in names)


def named() -> dict[str, Statement]:
    """Every statement of the product, by module and name."""
    found: dict[Statement, str] = {}
    for module in (module for package in PACKAGES for module in modules_of(package)):
        for name, value in list(vars(module).items()):
            for full, statement in held(value, name):
                found.setdefault(statement, f"{module.__name__.removeprefix('tenantmesh.')}.{full}")
    return {name: statement for statement, name in found.items()}


def of_the_queue() -> dict[str, str]:
    """What the worker asks of the queue's tables: pgqueuer's statements and our own."""
    builder = QueryQueueBuilder(queue.SETTINGS)
    dequeue = builder.build_dequeue_query(
        batch_size=5,
        entrypoints=[],
        concurrency_limits=[],
        queue_manager_id=QueueManagerId(UUID(int=1)),
        global_concurrency_limit=10,
        heartbeat_timeout=timedelta(seconds=30),
    )
    return {
        "dequeue": dequeue.sql,
        "any work": builder.build_has_eligible_queued_work(),
        "next": builder.build_next_deferred_eta_query(),
        "end": builder.build_log_job_query(),
        "retry": builder.build_retry_job_query(),
        "heartbeat": builder.build_update_heartbeat_query(),
        "failures": queue._STORE_FAILURES,
        "old log": queue._DELETE_LOG,
    }


@pytest.fixture(scope="module")
async def superuser(postgres: WorkerDatabase) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a full database of its own."""
    server, name = postgres.engines.postgres, f"grown_{WORKER}"
    with (postgres.engines.places.state.parent / "engines.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.clone(name)
    connection = await asyncpg.connect(server.url("postgres", name).get_secret_value(), statement_cache_size=0)
    await fill(connection, FEW)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    yield connection
    await connection.close()
    server.drop(name)


async def plans(superuser: asyncpg.Connection, sql: str) -> dict[str, dict[str, Any]]:
    """The plans of a statement, one for each role that may run it."""
    found = {}
    for role in ROLES:
        transaction = superuser.transaction()
        await transaction.start()
        try:
            await superuser.execute(f"SET LOCAL app.tenant_id = '{TENANT}'; SET LOCAL ROLE {role}")
            found[role] = await plan(superuser, sql)
        except asyncpg.InsufficientPrivilegeError:
            continue
        finally:
            await transaction.rollback()
            await superuser.execute("DEALLOCATE ALL")
    return found


async def plan(connection: asyncpg.Connection, sql: str) -> dict[str, Any]:
    """The plan that serves every value of the parameters."""
    await connection.execute(f"PREPARE examined AS {sql}")
    taken = await connection.fetchval("SELECT cardinality(parameter_types) FROM pg_prepared_statements")
    executed = f"EXECUTE examined({', '.join(['NULL'] * taken)})" if taken else "EXECUTE examined"
    explained = await connection.fetchval(f"EXPLAIN (FORMAT json, VERBOSE) {executed}")
    return dict(json.loads(explained)[0]["Plan"])


def scans(node: dict[str, Any], leading: dict[str, str], *, limited: bool = False) -> Iterator[str]:
    """The tables that the plan reads from end to end, itself or by an index. `leading` is each index's first column."""
    kind = node["Node Type"]
    if kind in _SCANS or (kind in _OVER_AN_INDEX and not limited and not narrowed(node, leading)):
        yield f"{node['Schema']}.{node['Relation Name']}"
    for below in node.get("Plans", ()):
        yield from scans(below, leading, limited=limited or kind == "Limit")


def narrowed(node: dict[str, Any], leading: dict[str, str]) -> bool:
    """Whether the condition is on the index's first column. On another one alone all of the index is read."""
    return leading[node["Index Name"]] in node.get("Index Cond", "")


async def leading_columns(superuser: asyncpg.Connection) -> dict[str, str]:
    """The first column, or expression, of every index of ours. In a partial index any condition will do."""
    found = await superuser.fetch(
        """SELECT c.relname::text AS name,
                  CASE WHEN i.indpred IS NULL THEN pg_get_indexdef(i.indexrelid, 1, false) ELSE '' END AS first
           FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
           WHERE i.indrelid::regclass::text ~ '^(tenant|auth|jobs)[.]'"""
    )
    return {row["name"]: row["first"] for row in found}


async def scanned(superuser: asyncpg.Connection, sql: str) -> list[str]:
    """The tables that grow and that the statement reads from end to end, with the role whose plan does."""
    found = await plans(superuser, sql)
    assert found, f"no role may run {sql}"
    leading = await leading_columns(superuser)
    return [f"{table} as {role}" for role, made in found.items() for table in scans(made, leading) if table not in FEW]


async def test_no_statement_reads_a_whole_table(superuser: asyncpg.Connection) -> None:
    statements = {name: statement.sql for name, statement in named().items() if OURS.search(statement.sql)}
    assert len(statements) > 100
    found = {name: await scanned(superuser, sql) for name, sql in (statements | of_the_queue()).items()}
    slow = {name: tables for name, tables in found.items() if tables}
    assert slow.keys() <= ALLOWED.keys(), "add the index that the statement needs: " + json.dumps(slow, indent=1)
    assert ALLOWED.keys() <= slow.keys(), "remove what needs no exception"


def unnamed() -> list[str]:
    """The statements of ours that no name of a module holds."""
    known = set(named().values())
    return [each.sql for each in compiled_statements() if each not in known and OURS.search(each.sql)]


def test_every_compiled_statement_is_among_them() -> None:
    """In a process of its own: other tests compile statements too."""
    program = "from tests.integration.test_query_plans import unnamed; print(unnamed())"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]", "hold it in a name of the module that runs it"


async def test_a_scan_is_found(superuser: asyncpg.Connection) -> None:
    assert await scanned(superuser, "SELECT slug FROM tenant.tenants WHERE display_name = $1") == [
        "tenant.tenants as tenant_directory"
    ]
    assert await scanned(superuser, "SELECT count(tenant_id) FROM tenant.tenants WHERE version > 0")
    assert not await scanned(superuser, "SELECT tenant_id FROM tenant.tenant_slugs WHERE slug = $1")


async def test_an_index_that_is_read_from_end_to_end_is_found(superuser: asyncpg.Connection) -> None:
    await superuser.execute("SET enable_seqscan = off")
    try:
        found = await scanned(superuser, "SELECT tenant_id FROM tenant.tenant_requests WHERE request_id = $1")
    finally:
        await superuser.execute("RESET enable_seqscan")
    assert found == ["tenant.tenant_requests as tenant_directory"]


async def test_no_lookup_reads_a_list_of_pending_entries(superuser: asyncpg.Connection) -> None:
    pending = await superuser.fetch(
        """SELECT c.relname::text AS name FROM pg_class AS c JOIN pg_am AS m ON m.oid = c.relam
           WHERE m.amname = 'gin' AND NOT coalesce('fastupdate=off' = ANY (c.reloptions), false)"""
    )
    assert not pending, "make the index WITH (fastupdate = off): its pending entries are read by every look-up"
