"""Databases of earlier versions: their schema in a database of its own, and tenants as those versions stored them."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tenantmesh.tenant_svc
from tenantmesh.runtime.ids import uuid7
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import as_superuser, unused_slug


@contextmanager
def migrations_through(last: str, root: Path) -> Iterator[str]:
    """A package with the migrations through that one."""
    name = f"migrations_through_{last}"
    versions = root / name / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions.parents[1] / "__init__.py").write_text("")
    for path in sorted((Path(tenantmesh.tenant_svc.__file__).parent / "migrations" / "versions").glob("*.py")):
        if path.name < f"{last}~":
            shutil.copy(path, versions)
    sys.path.append(str(root))
    try:
        yield name
    finally:
        sys.path.remove(str(root))


@contextmanager
def empty_database(postgres: WorkerDatabase) -> Iterator[WorkerDatabase]:
    """A database without a schema."""
    own = WorkerDatabase(postgres.engines, f"before_{uuid.uuid4().hex[:12]}")
    own.engines.postgres.install(own.name)
    try:
        yield own
    finally:
        own.engines.postgres.drop(own.name)


async def tenant_of_before(database: WorkerDatabase, state: str = "ACTIVE", reason: str = "") -> uuid.UUID:
    """A tenant on the plan premium, with the last event of its state."""
    tenant_id, slug = uuid7(), unused_slug()
    fields = "slug, display_name, plan_id, plan_version, state, create_time, update_time, version, position"
    await as_superuser(
        database,
        f"insert into tenant.tenants (tenant_id, {fields}) "
        "values ($1, $2, $2, 'premium', 1, $3, now(), now(), 1, nextval('tenant.tenant_event_positions'))",
        tenant_id, slug, state,
    )  # fmt: skip
    await as_superuser(
        database,
        f"insert into tenant.tenant_events (tenant_id, type, reason, {fields}) "
        f"select tenant_id, $2, $3, {fields} from tenant.tenants where tenant_id = $1",
        tenant_id, "SUSPENDED" if state == "SUSPENDED" else "CREATED", reason,
    )  # fmt: skip
    return tenant_id
