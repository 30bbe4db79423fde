"""The methods as tenant_svc serves them to the people of a tenant: by role, and for their own tenant alone."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import email_domain_service_pb2 as mail
from tenantmesh.tenant.v1 import login_host_service_pb2 as hosts
from tenantmesh.tenant.v1.email_domain_service_pb2_grpc import EmailDomainServiceStub
from tenantmesh.tenant.v1.login_host_service_pb2_grpc import LoginHostServiceStub
from tests.integration.tenant_svc.serving import Service, refusal
from tests.integration.tenant_svc.world import World


class People:
    """Calls of one person, to both services."""

    def __init__(self, service: Service, tenant_id: TenantId, role: str) -> None:
        opened = service.channel(service.auth.token(tenant_id, role))
        self.id = str(tenant_id)
        self.hosts: Any = LoginHostServiceStub(opened)
        self.domains: Any = EmailDomainServiceStub(opened)


def unused() -> str:
    return f"n{uuid.uuid4().hex[:16]}.com"


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_administrators_add_read_and_remove_names(service: Service, world: World, role: str) -> None:
    ada, name = People(service, (await world.tenant()).id, role), unused()
    host = await ada.hosts.CreateLoginHost(hosts.CreateLoginHostRequest(id=ada.id, host=name))
    domain = await ada.domains.CreateEmailDomain(mail.CreateEmailDomainRequest(id=ada.id, domain=name))
    assert host.proof.dns_value == domain.proof.dns_value  # one record proves both
    listed = await ada.hosts.ListLoginHosts(hosts.ListLoginHostsRequest(id=ada.id))
    assert list(listed.login_hosts) == [host]
    assert (await ada.domains.GetEmailDomain(mail.GetEmailDomainRequest(id=ada.id, domain=name))) == domain
    await ada.hosts.DeleteLoginHost(hosts.DeleteLoginHostRequest(id=ada.id, host=name))
    await ada.domains.DeleteEmailDomain(mail.DeleteEmailDomainRequest(id=ada.id, domain=name))


async def test_members_neither_read_nor_change_names(service: Service, world: World) -> None:
    bob = People(service, (await world.tenant()).id, "member")
    refused = (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert await refusal(bob.hosts.ListLoginHosts(hosts.ListLoginHostsRequest(id=bob.id))) == refused
    create = hosts.CreateLoginHostRequest(id=bob.id, host=unused())
    assert await refusal(bob.hosts.CreateLoginHost(create)) == refused


async def test_a_name_of_another_tenant_answers_as_a_missing_one(service: Service, world: World) -> None:
    ada = People(service, (await world.tenant()).id, "owner")
    grace = People(service, (await world.tenant()).id, "owner")
    name = unused()
    await ada.hosts.CreateLoginHost(hosts.CreateLoginHostRequest(id=ada.id, host=name))
    for asked in (name, unused()):
        own = grace.hosts.GetLoginHost(hosts.GetLoginHostRequest(id=grace.id, host=asked))
        assert await refusal(own) == (grpc.StatusCode.NOT_FOUND, "LOGIN_HOST_NOT_FOUND")
    foreign = grace.hosts.GetLoginHost(hosts.GetLoginHostRequest(id=ada.id, host=name))
    assert await refusal(foreign) == (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND")


async def test_an_e_mail_domain_of_everybody_is_refused_with_the_reason(service: Service, world: World) -> None:
    ada = People(service, (await world.tenant()).id, "owner")
    for domain, words in (("gmail.com", "consumers"), ("mailinator.com", "disposable")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ada.domains.CreateEmailDomain(mail.CreateEmailDomainRequest(id=ada.id, domain=domain))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert words in str(caught.value.details())
