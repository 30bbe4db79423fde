"""The whole service behind its own chain, over gRPC, on PostgreSQL and Valkey; tenant_svc is stood in for."""

from __future__ import annotations

import asyncio
import base64
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from google.rpc import error_details_pb2
from redis.asyncio import Redis

from tenantmesh.auth.v1 import auth_service_pb2 as auth
from tenantmesh.auth.v1 import token_service_pb2 as tokens
from tenantmesh.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from tenantmesh.auth_svc.sessions.attempts import ATTEMPTS
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.tenants import TenantRecord, TenantState
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.calls import PASSWORD, WRONG, details_of, login, reason_of, refresh, refused, register
from tests.integration.auth_svc.conftest import (
    Service,
    as_superuser,
)


async def test_the_main_job(service: Service, acme: TenantRecord) -> None:
    assert (await register(service, acme, display_name="Alice")).email == "alice@example.com"
    session = await login(service, acme)
    assert (session.user.tenant_id, session.user.display_name) == (str(acme.id), "Alice")
    assert (list(session.user.roles), session.expires_in) == (["member"], 300)
    me = await service.call("GetMe", auth.GetMeRequest(), credential=session.access_token)
    assert me == session.user
    renewed = await refresh(service, session.refresh_token)
    assert renewed.refresh_token != session.refresh_token
    assert await service.call("GetMe", auth.GetMeRequest(), credential=renewed.access_token) == me


async def test_registering_a_known_address_answers_the_same_bytes(service: Service, acme: TenantRecord) -> None:
    first = await register(service, acme)
    again = await register(service, acme, password=WRONG)
    assert again.SerializeToString() == first.SerializeToString()
    await login(service, acme)
    assert (await refused(login(service, acme, password=WRONG)))[:2] == (
        grpc.StatusCode.UNAUTHENTICATED, "INVALID_CREDENTIALS",
    )  # fmt: skip


async def test_unknown_addresses_and_wrong_passwords_answer_the_same_bytes(
    service: Service, acme: TenantRecord
) -> None:
    await register(service, acme)
    *_, wrong = await refused(login(service, acme, password=WRONG))
    *_, unknown = await refused(login(service, acme, "nobody@example.com", WRONG))
    assert reason_of(wrong) == "INVALID_CREDENTIALS"
    assert (unknown.code(), unknown.details()) == (wrong.code(), wrong.details())
    for here, there in zip(details_of(wrong), details_of(unknown), strict=True):
        if not here.Is(error_details_pb2.RequestInfo.DESCRIPTOR):
            assert here == there


async def test_a_full_tenant_refuses_known_and_unknown_addresses_in_the_same_bytes(
    service: Service, acme: TenantRecord
) -> None:
    service.tenant_svc.entitlements.users[acme.id] = 2
    for email in ("alice@example.com", "alice@example.com", "bob@example.com"):
        await register(service, acme, email)
    *_, known = await refused(register(service, acme))
    *_, unknown = await refused(register(service, acme, "carol@example.com"))
    assert (known.code(), reason_of(known)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED")
    assert (known.code(), known.details()) == (unknown.code(), unknown.details())
    assert [each.SerializeToString() for each in details_of(known)] == [
        each.SerializeToString() for each in details_of(unknown)
    ]
    assert not any(detail.Is(error_details_pb2.QuotaFailure.DESCRIPTOR) for detail in details_of(known))
    assert str(acme.id) not in f"{known.details()} {details_of(known)}", "a stranger learns nothing of the tenant"
    await login(service, acme)
    await register(service, service.tenants.add(), "carol@example.com")


async def test_nobody_is_added_while_the_limit_can_not_be_known(service: Service, acme: TenantRecord) -> None:
    await register(service, acme)
    umbrella = service.tenants.add()
    service.tenant_svc.entitlements.away = True
    try:
        assert (await refused(register(service, umbrella)))[:2] == (
            grpc.StatusCode.UNAVAILABLE, "ENTITLEMENTS_UNAVAILABLE",
        )  # fmt: skip
        await register(service, acme, "bob@example.com")
    finally:
        service.tenant_svc.entitlements.away = False
    await register(service, umbrella)


async def test_every_broken_field_is_named_at_once(service: Service, acme: TenantRecord) -> None:
    code, reason, error = await refused(register(service, acme, "nonsense", password="short", display_name="x" * 201))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in details_of(error))
    assert [violation.field for violation in bad.field_violations] == ["email", "password", "display_name"]


async def test_the_same_address_in_two_tenants_is_two_people(service: Service, acme: TenantRecord) -> None:
    umbrella = service.tenants.add()
    await register(service, acme)
    assert (await refused(login(service, umbrella)))[1] == "INVALID_CREDENTIALS"
    await register(service, umbrella, password=WRONG)
    here, there = await login(service, acme), await login(service, umbrella, password=WRONG)
    assert here.user.id != there.user.id
    code, reason, _ = await refused(
        service.call("GetMe", auth.GetMeRequest(), credential=here.access_token, tenant=umbrella)
    )
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "TENANT_MISMATCH")


async def test_a_refresh_token_may_be_sent_without_naming_its_tenant_but_not_with_another(
    service: Service, acme: TenantRecord
) -> None:
    await register(service, acme)
    token = (await login(service, acme)).refresh_token
    assert (await refused(refresh(service, token, tenant=service.tenants.add())))[1] == "TENANT_MISMATCH"
    await refresh(service, token, tenant=acme)


async def test_parallel_refreshes_yield_one_successor(service: Service, acme: TenantRecord) -> None:
    await register(service, acme)
    token = (await login(service, acme)).refresh_token
    async with service.channel() as connection:
        stub: Any = AuthServiceStub(connection)
        request = auth.RefreshTokenRequest(refresh_token=token)
        # As many as the chain admits from one address at once; test_refresh.py has more.
        answers = await asyncio.gather(*(stub.RefreshToken(request, timeout=10) for _ in range(15)))
    successors = {answer.refresh_token for answer in answers}
    assert len(successors) == 1
    await refresh(service, successors.pop())


async def test_reuse_after_the_grace_ends_the_session_for_good(
    service: Service, acme: TenantRecord, postgres: WorkerDatabase
) -> None:
    await register(service, acme)
    session = await login(service, acme)
    successor = (await refresh(service, session.refresh_token)).refresh_token
    assert (await refresh(service, session.refresh_token)).refresh_token == successor
    await let_the_grace_pass(postgres, acme)
    assert (await refused(refresh(service, session.refresh_token)))[:2] == (
        grpc.StatusCode.UNAUTHENTICATED, "SESSION_ENDED",
    )  # fmt: skip
    assert (await refused(refresh(service, successor)))[1] == "SESSION_ENDED"
    (row,) = await as_superuser(
        postgres, "SELECT revoke_reason, spent FROM auth.sessions WHERE tenant_id = $1", acme.id
    )
    assert row == {"revoke_reason": "reuse", "spent": "[]"}
    answer = await service.call(
        "IntrospectToken",
        tokens.IntrospectTokenRequest(token=session.access_token),
        credential=service.service_key,
    )
    assert not answer.active


async def let_the_grace_pass(postgres: WorkerDatabase, tenant: TenantRecord) -> None:
    await as_superuser(
        postgres,
        """UPDATE auth.sessions SET spent = (
             SELECT jsonb_agg(jsonb_set(each, '{use_time}', to_jsonb((each->>'use_time')::timestamptz - $2::interval)))
             FROM jsonb_array_elements(spent) AS each
           ) WHERE tenant_id = $1 AND spent <> '[]'""",
        tenant.id,
        timedelta(seconds=10),
    )


async def test_nothing_secret_is_stored_readable(
    service: Service, acme: TenantRecord, postgres: WorkerDatabase
) -> None:
    await register(service, acme)
    session = await login(service, acme)
    successor = (await refresh(service, session.refresh_token)).refresh_token
    stored = [
        *await as_superuser(postgres, "SELECT u::text AS row FROM auth.users u WHERE tenant_id = $1", acme.id),
        *await as_superuser(postgres, "SELECT s::text AS row FROM auth.sessions s WHERE tenant_id = $1", acme.id),
    ]
    for secret in (PASSWORD, session.refresh_token.rpartition(".")[2], successor.rpartition(".")[2]):
        spellings = (secret, secret.encode().hex(), base64.b64encode(secret.encode()).decode())
        assert not any(spelling in repr(stored) for spelling in spellings)


@pytest.mark.parametrize(
    ("state", "reason"), [(TenantState.SUSPENDED, "TENANT_SUSPENDED"), (TenantState.DELETED, "TENANT_NOT_FOUND")]
)
async def test_a_tenant_that_is_not_active_is_not_served(service: Service, state: TenantState, reason: str) -> None:
    tenant = service.tenants.add(state)
    assert (await refused(register(service, tenant)))[1] == reason
    assert (await refused(login(service, tenant)))[1] == reason


async def test_a_call_without_a_tenant_is_refused(service: Service) -> None:
    request = auth.LoginRequest(email="alice@example.com", password=PASSWORD)
    assert (await refused(service.call("Login", request)))[1] == "TENANT_REQUIRED"


async def test_guesses_are_counted_for_all_processes_in_the_store(
    service: Service, acme: TenantRecord, store: Store
) -> None:
    reasons = []
    for _ in range(ATTEMPTS.burst + 3):
        reasons.append((await refused(login(service, acme, password=WRONG)))[1])
        await forget_the_address(store)
    assert reasons[: ATTEMPTS.burst] == ["INVALID_CREDENTIALS"] * ATTEMPTS.burst
    assert reasons[-1] == "RATE_LIMITED"


async def forget_the_address(store: Store) -> None:
    """The chain's limit per network address would come first: all tests call from one."""
    parts = urlsplit(store.admin_url.get_secret_value())
    user, at, hosts = parts.netloc.rpartition("@")
    for host in hosts.split(","):
        async with Redis.from_url(parts._replace(netloc=f"{user}{at}{host}").geturl()) as client:
            async for key in client.scan_iter("tm:peer:*"):
                await client.delete(key)


async def test_a_refusal_names_the_request_and_nothing_inside(service: Service, acme: TenantRecord) -> None:
    *_, error = await refused(login(service, acme, f"{uuid.uuid4()}@example.com", WRONG))
    text = str(error.details()) + repr(error.trailing_metadata())
    for inside in ("argon2", "SELECT", "asyncpg", "Traceback", WRONG):
        assert inside not in text
