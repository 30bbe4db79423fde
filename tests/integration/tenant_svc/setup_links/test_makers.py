"""A link is worth no more than what its maker may do when it is used."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import NotFound, Unavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import setup_link_pb2
from tenantmesh.tenant.v1 import setup_link_service_pb2 as pb
from tenantmesh.tenant.v1.setup_link_service_pb2_grpc import SetupLinkServiceStub
from tenantmesh.tenant_svc.setup_links.makers import LinkMaker
from tenantmesh.tenant_svc.setup_links.setup_link import LinkState, NewSetupLink, SetupIntent
from tenantmesh.tenant_svc.setup_links.setup_links import SetupLinks
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.integration.tenant_svc.serving import Service, refusal, request
from tests.integration.tenant_svc.setup_links.steps import KeysOfMakers, RecordingStep

HOUR = NewSetupLink(SetupIntent.LOGIN_HOST, "", timedelta(hours=1))
HOST = "login.acme.example"
ALL = frozenset({"setup_links.create", "login_hosts.write"})


def of_key() -> tuple[LinkMaker, uuid.UUID]:
    key_id = uuid.uuid4()
    return LinkMaker(str(key_id), key_id), key_id


@pytest.fixture
def makers() -> KeysOfMakers:
    return KeysOfMakers()


@pytest.fixture
def links(doors: Doors, makers: KeysOfMakers) -> SetupLinks:
    return SetupLinks(doors, {SetupIntent.LOGIN_HOST: RecordingStep()}, makers)


@pytest.mark.parametrize("left", [frozenset(), *(ALL - {each} for each in sorted(ALL))], ids=["nothing", *sorted(ALL)])
async def test_a_link_ends_with_what_its_maker_may(
    acme: Tenant, globex: Tenant, links: SetupLinks, makers: KeysOfMakers, left: frozenset[str]
) -> None:
    (maker, key_id), (other, other_id) = of_key(), of_key()
    makers.keys = {key_id: ALL, other_id: frozenset({"*"})}
    _, token = await links.create(acme.id, HOUR, maker)
    _, kept = await links.create(globex.id, HOUR, other)
    await links.look_up(token.text)
    makers.keys[key_id] = left
    for asked in (links.look_up(token.text), links.redeem(token.text, HOST)):
        with pytest.raises(NotFound) as caught:
            await asked
        assert caught.value.reason == "SETUP_LINK_INVALID"
    assert (await links.redeem(kept.text, HOST))[1].name == HOST


async def test_while_nobody_knows_the_link_stays_open(acme: Tenant, links: SetupLinks, makers: KeysOfMakers) -> None:
    maker, key_id = of_key()
    makers.keys[key_id] = ALL
    made, token = await links.create(acme.id, HOUR, maker)
    makers.away = True
    with pytest.raises(Unavailable):
        await links.redeem(token.text, HOST)
    makers.away = False
    assert (await links.redeem(token.text, HOST))[0].id == made.id


async def test_a_link_lasts_no_longer_than_the_credential_of_its_maker(acme: Tenant, links: SetupLinks) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=2)
    made, _ = await links.create(acme.id, HOUR, LinkMaker("token", expire_time=ends))
    assert made.expire_time == ends
    gone = await links.create(acme.id, HOUR, LinkMaker("token", expire_time=datetime.now(UTC) - timedelta(seconds=9)))
    assert gone[0].state is LinkState.EXPIRED
    with pytest.raises(NotFound):
        await links.redeem(gone[1].text, HOST)


async def test_a_key_that_is_revoked_takes_its_links_with_it(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    keys = [service.auth.key(policy_pb2.AUDIENCE_OPERATOR, *sorted(ALL)) for _ in range(3)]
    asked = pb.CreateSetupLinkRequest(id=tenant.id, intent=setup_link_pb2.SETUP_INTENT_LOGIN_HOST)
    made = [await SetupLinkServiceStub(service.channel(key)).CreateSetupLink(asked) for key in keys]
    service.auth.revoke(keys[0])
    service.auth.narrow(keys[1], "setup_links.create")
    anybody = SetupLinkServiceStub(service.channel())
    for each in made[:2]:
        for call in (
            anybody.RedeemSetupLink(pb.RedeemSetupLinkRequest(token=each.token, name="login.people-of-acme.net")),
            anybody.GetSetupLink(pb.GetSetupLinkRequest(token=each.token)),
        ):
            assert await refusal(call) == (grpc.StatusCode.NOT_FOUND, "SETUP_LINK_INVALID")
    redeemed = await anybody.RedeemSetupLink(
        pb.RedeemSetupLinkRequest(token=made[2].token, name="login.people-of-acme.net")
    )
    assert redeemed.setup_link_id == made[2].setup_link.setup_link_id


async def test_a_link_of_a_user_ends_with_the_token(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    admin = SetupLinkServiceStub(service.channel(service.auth.token(TenantId(uuid.UUID(tenant.id)), "admin")))
    asked = pb.CreateSetupLinkRequest(id=tenant.id, intent=setup_link_pb2.SETUP_INTENT_LOGIN_HOST)
    asked.lifetime.FromTimedelta(timedelta(hours=1))
    made = (await admin.CreateSetupLink(asked)).setup_link
    assert made.expire_time.ToDatetime() - made.create_time.ToDatetime() <= timedelta(seconds=300)
