"""What login hosts have beside other names: pages that prove them, the tenant's hosts, and the primary one."""

from __future__ import annotations

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import FailedPrecondition
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.domain_proofs.evidence import Evidence
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof, ProofReason, ProofState
from tenantmesh.tenant_svc.domain_proofs.resolver import NoAnswer, NoRecords, Texts
from tenantmesh.tenant_svc.domain_proofs.web_pages import NoPage, PageBody
from tenantmesh.tenant_svc.login_hosts.login_hosts import LoginHosts, ServedHosts
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.integration.tenant_svc.domain_proofs.conftest import Names
from tests.integration.tenant_svc.domain_proofs.test_proofs import tenant, unused


@pytest.fixture
async def login_hosts(hosts: Names, doors: Doors) -> LoginHosts:
    return LoginHosts(doors, hosts.proofs, hosts.kind.rows, ServedHosts(hosts.kind.rows))


async def served(hosts: Names, tenant_id: TenantId) -> tuple[list[str], str]:
    """The hosts of the tenant's own row, and its primary one."""
    query = "select login_hosts, primary_login_host from tenant.tenants where tenant_id = $1"
    (row,) = await hosts.world.rows(query, tenant_id)
    return list(row["login_hosts"]), row["primary_login_host"]


async def events(hosts: Names, tenant_id: TenantId) -> list[list[str]]:
    """The hosts that each event of the tenant itself tells of, oldest first."""
    query = (
        "select login_hosts from tenant.tenant_events where tenant_id = $1 and name_change is null order by position"
    )
    return [list(row["login_hosts"]) for row in await hosts.world.rows(query, tenant_id)]


async def test_a_verified_host_leads_to_the_tenant_until_it_lapses(hosts: Names, tenants: Tenants) -> None:
    tenant_id, host = await tenant(hosts), unused()
    await hosts.added(tenant_id, host)
    assert await tenants.find_by_name(host) is None
    proof = await hosts.verified(tenant_id, host)
    found = await tenants.find_by_name(host)
    assert found is not None
    assert found.id == tenant_id
    hosts.zone.remove(f"_tenantmesh.{host}")
    assert (await hosts.checked(tenant_id, proof)).state is ProofState.FAILING
    assert await tenants.find_by_name(host) == found
    await hosts.aged(proof, 8)
    assert (await hosts.checked(tenant_id, proof)).state is ProofState.LAPSED
    assert await tenants.find_by_name(host) is None
    assert await events(hosts, tenant_id) == [[], [host], []]


async def test_the_first_verified_host_is_primary_until_another_is_made_so(
    hosts: Names, login_hosts: LoginHosts
) -> None:
    tenant_id = await tenant(hosts)
    first, second = await hosts.verified(tenant_id, unused()), await hosts.verified(tenant_id, unused())
    pending = await hosts.added(tenant_id, unused())
    assert await served(hosts, tenant_id) == ([first.name, second.name], first.name)
    made = await login_hosts.make_primary(tenant_id, second.name)
    assert made.primary
    assert not (await hosts.proofs.get(tenant_id, first.name)).primary
    assert await login_hosts.make_primary(tenant_id, second.name) == made
    with pytest.raises(FailedPrecondition) as refused:
        await login_hosts.make_primary(tenant_id, pending.name)
    assert refused.value.reason == "LOGIN_HOST_NOT_VERIFIED"
    await hosts.proofs.remove(tenant_id, second.name)
    assert await served(hosts, tenant_id) == ([first.name], first.name)
    await hosts.proofs.remove(tenant_id, first.name)
    assert await served(hosts, tenant_id) == ([], "")


class Fixed:
    """As NameResolver and WebPages: the same answers about every name."""

    def __init__(self, dns: Texts | NoRecords | NoAnswer, page: PageBody | NoPage | NoAnswer) -> None:
        self._dns, self._page = dns, page

    async def texts(self, name: str) -> Texts | NoRecords | NoAnswer:
        return self._dns

    async def addresses(self, host: str) -> NoAnswer:
        return NoAnswer("never asked")

    async def read(self, host: str, path: str) -> PageBody | NoPage | NoAnswer:
        return self._page


async def look(proof: NameProof, dns: Texts | NoRecords | NoAnswer, page: PageBody | NoPage | NoAnswer) -> ProofReason:
    fixed = Fixed(dns, page)
    result, _ = await Evidence(fixed, fixed, "_tenantmesh").look(proof, by_http=True)
    return result


async def test_a_page_proves_a_host_too(hosts: Names) -> None:
    tenant_id = await tenant(hosts)
    proof = await hosts.added(tenant_id, unused())
    right, gone, unknown = f"tenantmesh-proof={proof.token}\n", NoRecords(""), NoAnswer("")
    assert await look(proof, gone, PageBody(right)) is ProofReason.PROVEN_BY_HTTP
    assert await look(proof, unknown, PageBody(right)) is ProofReason.PROVEN_BY_HTTP
    assert await look(proof, Texts((right,)), NoPage("")) is ProofReason.PROVEN_BY_DNS
    assert await look(proof, gone, PageBody("<html>")) is ProofReason.NO_RECORD
    assert await look(proof, unknown, NoPage("")) is ProofReason.NO_ANSWER


async def test_a_web_server_that_is_away_keeps_only_what_a_page_has_proven(hosts: Names) -> None:
    tenant_id = await tenant(hosts)
    by_dns = await hosts.verified(tenant_id, unused())
    assert by_dns.proven_by is ProofReason.PROVEN_BY_DNS
    assert await look(by_dns, NoRecords(""), NoAnswer("")) is ProofReason.NO_RECORD
    by_page = await hosts.added(tenant_id, unused())
    fixed = Fixed(NoRecords(""), PageBody(f"tenantmesh-proof={by_page.token}"))
    hosts.checks._evidence = Evidence(fixed, fixed, "_tenantmesh")
    proven = await hosts.checked(tenant_id, by_page)
    assert (proven.state, proven.reason) == (ProofState.VERIFIED, ProofReason.PROVEN_BY_HTTP)
    assert await look(proven, NoRecords(""), NoAnswer("")) is ProofReason.NO_ANSWER
    assert await look(proven, NoRecords(""), NoPage("")) is ProofReason.NO_RECORD
