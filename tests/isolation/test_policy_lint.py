"""A linter of others (pgrls) reads the row-level security of both services: each finding is declared, with its reason.

`make lint-policies` runs this alone. Hints of the level `info` are left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData

from tenantmesh.auth_svc import tables as auth
from tenantmesh.runtime.database import PURGE_FENCE
from tenantmesh.runtime.migrations import VERSION_POLICY, VERSION_TABLE
from tenantmesh.runtime.row_security import Catalog, TenantOwned, declaration_of
from tenantmesh.runtime.row_security.declaration import (
    cross_tenant_policy,
    library_schemas,
    open_commands,
)
from tenantmesh.runtime.row_security.purging import purger_of
from tenantmesh.tenant_svc import tables as tenant
from tests.fixtures.engines import WorkerDatabase

Finding = tuple[str, str]
"""A rule, and the place where it is broken."""
LINTER = Path(sys.executable).with_name("pgrls")
OF_OPEN_POLICIES = {"SEC005", "SEC008", "SEC028", "SEC038"}
"""The rules against policies that are true for every row. Which roles have such policies is declared by table."""
EXCEPTIONS: dict[Finding, str] = {
    ("SEC002", "tenant.alembic_version"): "its owner writes it when it migrates, and holds no tenant's rows there",
    ("SEC002", "auth.alembic_version"): "the same",
    ("SEC048", "tenantmesh_migrate"): "migrating is becoming the owner; a service can't",
    ("SEC013", "auth.system_keys.keep_revoked"): "refuses a change, as its caller",
    ("SEC013", "jobs.pgqueuer.tg_pgqueuer_changed"): "the library's: notifies, as its caller, without content",
    ("SEC013", "tenant.entitlement_events.number_entitlement_event"): "counts the tenant's own rows, as its caller",
    ("SEC013", "tenant.catalog_events.number_catalog_event"): "counts rows that belong to no tenant",
    ("SEC013", "tenant.tenants.take_first_slugs"): "takes the new tenants' own slugs, as its caller",
    ("SEC035", "jobs.pgqueuer (pgqueuer_picked_slot_idx)"): "the worker's: tenants can't set a slot",
    ("SEC035", "jobs.pgqueuer (pgqueuer_unique_dedupe_key)"): "tenants can't set a key",
    ("PERF003", "jobs.pgqueuer.own_jobs"): "a check of inserted rows reads no index",
    ("PERF003", "jobs.pgqueuer.mesh_jobs"): "a check of inserted rows reads no index",
    ("PERF004", "jobs.pgqueuer.own_jobs"): "the same",
    ("PERF004", "jobs.pgqueuer.mesh_jobs"): "the same",
    ("PERF003", "tenant.tenants.purge_delete"): "the tenant's row is found by its key; its state is then a check",
}


def declared(metadata: MetaData) -> Iterator[Finding]:
    """The findings that follow from what the tables declare."""
    opened = [(f"{metadata.schema}.{VERSION_TABLE}", VERSION_POLICY)]
    for table in metadata.tables.values():
        declaration = declaration_of(table)
        grants = declaration.grants if isinstance(declaration, Catalog) else declaration.cross_tenant
        opened += [(table.fullname, cross_tenant_policy(*each)) for each in open_commands(grants)]
        if isinstance(declaration, TenantOwned):
            if (purger := purger_of(metadata)) is not None and purger.fence is not None:
                yield "SEC005", f"{table.fullname}.{PURGE_FENCE}"  # it asks about the transaction's tenant, and narrows
            yield from (("SEC035", f"{table.fullname} ({key})") for key in declaration.unique_across_tenants)
    for library in library_schemas(metadata):
        for name, granted in library.tables.items():
            opened += [(f"{library.name}.{name}", cross_tenant_policy(*each)) for each in open_commands(granted)]
    for place, policy in opened:
        yield from ((rule, f"{place}.{policy}") for rule in OF_OPEN_POLICIES)


@pytest.fixture(scope="module")
def findings(postgres: WorkerDatabase) -> set[Finding]:
    url = postgres.admin_url.get_secret_value()
    arguments = [str(LINTER), "lint", "--database-url", url, "--schemas", "tenant,auth,jobs", "--format", "json"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["violations"]
    return {(each["rule_id"], each["location"]) for each in found if each["severity"] != "info"}


def test_every_finding_of_the_linter_is_declared(findings: set[Finding]) -> None:
    expected = {*declared(auth.metadata), *declared(tenant.metadata), *EXCEPTIONS}
    assert findings - expected == set(), "narrow these, or declare them with their reason"


def test_every_exception_is_needed(findings: set[Finding]) -> None:
    assert EXCEPTIONS.keys() - findings == set()
