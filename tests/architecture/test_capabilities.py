"""Every capability is listed, every method has one that answers it, every job a handler, every tenant's row a place."""

from __future__ import annotations

import ast
import base64
import importlib
import tomllib
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf import descriptor_pb2
from pydantic import SecretStr
from sqlalchemy import MetaData, Table

from tenantmesh.auth_svc import app as auth_app
from tenantmesh.auth_svc import capabilities as auth
from tenantmesh.auth_svc import schema as auth_schema
from tenantmesh.auth_svc import tables as auth_tables
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.auth_svc.settings import AuthSettings, SigningSettings
from tenantmesh.chassis.capability import Capability, TenantPart, jobs_of
from tenantmesh.chassis.contract import CONTRACT
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.erasure import ErasureDoor
from tenantmesh.chassis.servicers import registrations
from tenantmesh.chassis.settings import EventSettings, MeshSettings
from tenantmesh.interceptors import TenantDirectory
from tenantmesh.interceptors.backends.memory.sources import MemoryTenantSource
from tenantmesh.runtime import redis_client
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.encryption import KeyEncryptionKey, read_kek
from tenantmesh.runtime.row_security import TenantOwned, declaration_of
from tenantmesh.runtime.row_security.purging import purger_of
from tenantmesh.runtime.settings import DatabaseSettings, RedisSettings, TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant_svc import app as tenant_app
from tenantmesh.tenant_svc import capabilities as tenant
from tenantmesh.tenant_svc import schema as tenant_schema
from tenantmesh.tenant_svc import tables as tenant_tables
from tenantmesh.tenant_svc.purges.proof import KEPT
from tenantmesh.tenant_svc.resources import PurgeResources, TenantResources
from tenantmesh.tenant_svc.settings import LifeSettings, PurgeSettings, QuotaSettings

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTORS = ROOT / "gen" / "descriptors.binpb"
_PLACE = SecretStr("postgresql://nobody@127.0.0.1:1/nothing")
NOWHERE = DatabaseSettings(url=_PLACE)  # as the worker, which has no system role
SERVICES: dict[str, tuple[ModuleType, ModuleType]] = {"tenant_svc": (tenant_app, tenant), "auth_svc": (auth_app, auth)}
METADATA = {"tenant_svc": tenant_tables.metadata, "auth_svc": auth_tables.metadata}
# Folders that bring nothing of their own to a process.
WITHOUT_WIRING = {"tenant_svc/catalog_log": "SQL that features and plans write the log of the catalog with"}


def tenant_capabilities(_folder: Path) -> Sequence[Capability]:
    database = Database(NOWHERE, schema="tenant")
    doors = Doors(database, tenant_schema.OUTAGE)
    purging = PurgeResources(
        erasing=ErasureDoor(_PLACE, NOWHERE, tenant_tables.metadata, tenant_schema.OUTAGE),
        queue=Database(NOWHERE, schema="jobs"),
        kek=KeyEncryptionKey(bytes(32)),
        settings=PurgeSettings(),
    )
    resources = TenantResources(
        purging=purging,
        database=database,
        doors=doors,
        events=EventSettings(),
        quotas=QuotaSettings(),
        tenants=LifeSettings(),
        pool=None,
    )
    return tenant.TenantCapabilities(resources).all


def auth_capabilities(folder: Path) -> Sequence[Capability]:
    kek = folder / "kek"
    kek.touch(mode=0o600)
    kek.write_bytes(base64.b64encode(bytes(range(32))))
    settings = AuthSettings(
        mesh=MeshSettings(credential=SecretStr("tmk_0000000000000000")), tokens=SigningSettings(kek_file=kek)
    )
    resources = AuthResources(
        settings=settings,
        doors=Doors(Database(NOWHERE, schema="auth"), auth_schema.OUTAGE),
        redis=redis_client.connect(RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"))),
        kek=read_kek(kek, "TENANTMESH_TOKENS_KEK_FILE"),
        tenants=TenantDirectory(MemoryTenantSource()),
        tenant_source=MemoryTenantSource(),
        telemetry=Telemetry(TelemetrySettings(), "auth_svc"),
    )
    return auth.AuthCapabilities(resources).all


MAKERS: dict[str, Callable[[Path], Sequence[Capability]]] = {
    "tenant_svc": tenant_capabilities,
    "auth_svc": auth_capabilities,
}


@pytest.fixture(params=sorted(path.name for path in ROOT.glob("*_svc")))
async def service(request: pytest.FixtureRequest) -> str:
    """The name of a service. Capabilities are made on a running loop, as in a process."""
    return str(request.param)


@pytest.fixture
async def capabilities(service: str, tmp_path: Path) -> Sequence[Capability]:
    """All capabilities of the service. Made on the tests' loop, to which a channel of one of them belongs."""
    return MAKERS[service](tmp_path)


def folders(service: str) -> set[str]:
    """The capability folders: those with a module of their own."""
    found = {path.parent for path in (ROOT / service).glob("*/*.py")}
    return {path.name for path in found if path.name not in {"migrations", "worker"}}


async def test_every_folder_is_a_listed_capability(service: str) -> None:
    _, listed = SERVICES[service]
    without = {name.partition("/")[2] for name in WITHOUT_WIRING if name.startswith(service)}
    assert folders(service) - without == set(listed.CAPABILITIES), "list the folder in capabilities.py, with a reason"
    assert all((ROOT / service / name / "wiring.py").exists() for name in listed.CAPABILITIES)
    assert not [name for name in without if (ROOT / service / name / "wiring.py").exists()], "it has a wiring now"


async def test_capabilities_are_built_in_the_listed_order(service: str, capabilities: Sequence[Capability]) -> None:
    _, listed = SERVICES[service]
    assert [capability.name for capability in capabilities] == list(listed.CAPABILITIES)


def layers(service: str) -> list[set[str]]:
    """The folders of the service by the layers of their imports (pyproject.toml), those below first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    of_service = next(each for each in contracts if each.get("containers") == [f"tenantmesh.{service}"])
    return [{name.strip() for name in layer.split("|")} for layer in reversed(of_service["layers"])]


async def test_the_listed_order_is_that_of_the_imports(service: str) -> None:
    _, listed = SERVICES[service]
    place = {name: number for number, layer in enumerate(layers(service)) for name in layer}
    places = [place[name] for name in listed.CAPABILITIES]
    assert places == sorted(places), "a capability stands after those that it imports"


async def test_every_method_is_answered_by_one_capability(service: str, capabilities: Sequence[Capability]) -> None:
    app, _ = SERVICES[service]
    made = registrations(app.SERVICES, capabilities)
    assert len(made) == len(app.SERVICES)


async def test_every_service_of_the_contract_is_served_by_one_process() -> None:
    served = [service.full_name for app, _ in SERVICES.values() for service in app.SERVICES]
    assert sorted(served) == sorted(service.full_name for service in CONTRACT), "list it in SERVICES of an app.py"


async def test_the_contract_lists_every_service_of_ours() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file
    declared = [f"{file.package}.{each.name}" for file in files for each in file.service if _ours(file)]
    assert sorted(declared) == sorted(service.full_name for service in CONTRACT), "add it to chassis/contract.py"


def _ours(file: descriptor_pb2.FileDescriptorProto) -> bool:
    return file.package.startswith("tenantmesh.")


async def test_every_kind_of_job_has_a_handler(service: str, capabilities: Sequence[Capability]) -> None:
    assert enqueued(service) == set(jobs_of(capabilities)), "name the handler in `jobs` of the capability's wiring.py"


def enqueued(service: str) -> set[str]:
    """The kinds of job that the service puts into the queue."""
    kinds = set()
    for path in (ROOT / service).rglob("*.py"):
        if found := kinds_in(ast.parse(path.read_text())):
            module = importlib.import_module(".".join(("tenantmesh", *path.relative_to(ROOT).with_suffix("").parts)))
            kinds |= {attrgetter(name)(module) for name in found}
    return kinds


def kinds_in(tree: ast.Module) -> set[str]:
    """The names of the kinds of job that a module enqueues, by the function's own name or as its module's attribute."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        ast.unparse(next((each.value for each in call.keywords if each.arg == "kind"), None) or call.args[1])
        for call in calls
        if ast.unparse(call.func).rpartition(".")[2] == "enqueue"
    }


@pytest.mark.parametrize(
    "call", ["enqueue(c, KIND, s, t)", "jobs.enqueue(c, KIND, s, t)", "enqueue(c, kind=KIND, subject=s, not_before=t)"]
)
def test_an_enqueued_kind_is_found_however_it_is_written(call: str) -> None:
    assert kinds_in(ast.parse(f"async def use_case():\n    await {call}")) == {"KIND"}


def test_two_handlers_of_one_kind_are_refused() -> None:
    class Nothing:
        at_once = 0

        async def cause(self, subject: str) -> None: ...
        async def work(self, subject: str) -> None: ...
        async def give_up(self, subject: str) -> None: ...

    twice = [Capability(name=name, jobs={"purge": Nothing()}) for name in ("one", "two")]
    with pytest.raises(ValueError, match="two capabilities handle jobs of the kind purge; the second is two"):
        jobs_of(twice)


def owned(metadata: MetaData) -> set[Table]:
    """The tables whose rows belong to a tenant."""
    return {table for table in metadata.tables.values() if isinstance(declaration_of(table), TenantOwned)}


async def test_every_table_of_a_tenant_is_claimed_once(service: str) -> None:
    _, listed = SERVICES[service]
    claimed = [table for part in listed.PARTS for table in part.tables]
    assert len(claimed) == len(set(claimed)), "one capability claims a table"
    assert set(claimed) == owned(METADATA[service]), "claim the table in PART of its capability's wiring.py"


async def test_every_part_is_its_capabilitys(service: str, capabilities: Sequence[Capability]) -> None:
    _, listed = SERVICES[service]
    parts: list[TenantPart] = [capability.part for capability in capabilities if capability.part is not None]
    assert sorted(map(id, parts)) == sorted(map(id, listed.PARTS)), "add the part to PARTS, parents before children"


def without_export_rule(part: TenantPart) -> set[str]:
    """The tables of the part that are neither exported nor left out, both, or left out for no reason; and strangers."""
    exported, left_out = {table.name for table in part.exported}, set(part.not_exported)
    unexplained = {name for name, reason in part.not_exported.items() if len(reason.split()) <= 3}
    return ({table.name for table in part.tables} ^ (exported | left_out)) | (exported & left_out) | unexplained


async def test_every_table_of_a_tenant_has_an_export_rule(service: str) -> None:
    _, listed = SERVICES[service]
    for part in listed.PARTS:
        assert not without_export_rule(part), "name it in `exported` of its part, or in `not_exported` with the reason"


def test_a_table_without_an_export_rule_is_found() -> None:
    """A table that somebody adds to a part, and one to each of the rules."""
    metadata = MetaData()
    known, new = (Table(name, metadata) for name in ("known", "new"))
    reason = "for a reason of several words"
    assert without_export_rule(TenantPart(tables=(known, new), exported=(known,))) == {"new"}
    assert without_export_rule(TenantPart(tables=(known,), exported=(known, new))) == {"new"}
    assert without_export_rule(TenantPart(tables=(new,), exported=(new,), not_exported={"new": reason})) == {"new"}
    assert without_export_rule(TenantPart(tables=(new,), not_exported={"new": "no reason"})) == {"new"}
    assert not without_export_rule(TenantPart(tables=(known, new), exported=(known,), not_exported={"new": reason}))


async def test_what_outlives_a_tenant_is_in_the_proof(service: str) -> None:
    """A table that keeps ids of tenants, though no part of a tenant owns it."""
    kept = {
        table.fullname
        for table in METADATA[service].tables.values()
        if "tenant_id" in table.columns and not isinstance(declaration_of(table), TenantOwned)
    }
    assert kept
    assert kept <= KEPT.keys(), "name it in KEPT of tenant_svc/purges/proof.py, with the reason"


async def test_nothing_is_written_for_a_tenant_that_is_gone(service: str) -> None:
    """A row of a tenant refers to the tenant's own, or a fence keeps it out: what was purged does not come back."""
    metadata = METADATA[service]
    purger = purger_of(metadata)
    assert purger is not None
    tenants = metadata.tables.get(f"{metadata.schema}.tenants")
    alone = [table.name for table in owned(metadata) if tenants is None or not leads(table, tenants)]
    assert not alone or purger.fence is not None, f"give these a foreign key to the tenant: {alone}"


def leads(table: Table, tenants: Table) -> bool:
    """Whether a row of the table needs one of `tenants`, over foreign keys with the tenant's id."""
    parents = {key.column.table for key in table.columns["tenant_id"].foreign_keys}
    return table is tenants or any(leads(parent, tenants) for parent in parents)


async def test_rows_can_be_imported_in_the_order_of_the_parts(service: str) -> None:
    _, listed = SERVICES[service]
    seen: set[Table] = set()
    tables = [table for part in listed.PARTS for table in part.tables]
    assert tables
    for table in tables:
        parents = {key.column.table for key in table.foreign_keys if key.column.table is not table}
        missing = {parent.name for parent in parents if isinstance(declaration_of(parent), TenantOwned)} - {
            known.name for known in seen
        }
        assert not missing, f"{table.name} needs rows of {missing} first: order PARTS, or the part's tables"
        seen.add(table)
