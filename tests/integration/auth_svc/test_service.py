"""The whole service behind its own chain, over gRPC, on PostgreSQL and Valkey; tenant_svc is stood in for."""

from __future__ import annotations

import asyncio
import base64
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.rpc import error_details_pb2, status_pb2
from redis.asyncio import Redis
from tenantmesh.auth.v1 import auth_service_pb2 as auth
from tenantmesh.auth.v1 import token_service_pb2 as tokens
from tenantmesh.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from tenantmesh.policy.v1 import policy_pb2

from auth_svc.api_keys.bootstrap import create_key, list_keys, revoke_key
from auth_svc.app import build
from auth_svc.tokens.sealing import KekRefused, SealBroken
from deploy.embedded.valkey import Valkey
from interceptors.mesh import Mesh
from interceptors.tenants import TenantRecord, TenantState
from interceptors.tokens import StaticKeySet, TokenVerifier
from runtime.row_security import InsecureDatabase
from runtime.telemetry import Telemetry
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import (
    ISSUER,
    Service,
    a_copy,
    as_superuser,
    database_settings,
    service_settings,
)

PASSWORD = "harbour violet cactus 71 engine"
WRONG = "quilted thunder 88 marmot garden"


@pytest.fixture(autouse=True)
def _fresh_counters(valkey: Valkey) -> None:
    valkey.flush()


@pytest.fixture
def acme(service: Service) -> TenantRecord:
    return service.tenants.add()


async def register(service: Service, tenant: TenantRecord, email: str = "alice@example.com", **fields: str) -> Any:
    request = auth.RegisterRequest(**{"email": email, "password": PASSWORD, **fields})
    return await service.call("Register", request, tenant=tenant)


async def login(
    service: Service, tenant: TenantRecord, email: str = "alice@example.com", password: str = PASSWORD
) -> Any:
    return await service.call("Login", auth.LoginRequest(email=email, password=password), tenant=tenant)


async def refresh(service: Service, token: str, **options: Any) -> Any:
    return await service.call("RefreshToken", auth.RefreshTokenRequest(refresh_token=token), **options)


async def refused(call: Any) -> tuple[grpc.StatusCode, str, grpc.aio.AioRpcError]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = raised.value
    return error.code(), reason_of(error), error


def reason_of(error: grpc.aio.AioRpcError) -> str:
    for detail in details_of(error):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def details_of(error: grpc.aio.AioRpcError) -> Any:
    trailers = dict(error.trailing_metadata() or ())
    return status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details


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


async def test_anybody_can_verify_a_token_with_the_published_keys(service: Service, acme: TenantRecord) -> None:
    await register(service, acme)
    session = await login(service, acme)
    jwks = (await service.call("GetJwks", tokens.GetJwksRequest())).keys
    assert {(key.kty, key.crv, key.alg, key.use) for key in jwks} == {("OKP", "Ed25519", "EdDSA", "sig")}
    keys = {key.kid: Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key.x + "=")) for key in jwks}
    caller = TokenVerifier(ISSUER, "tenantmesh", StaticKeySet(keys)).verify(session.access_token)
    assert (caller.subject, caller.tenant_id) == (session.user.id, acme.id)
    assert jwt.PyJWK({"kty": "OKP", "crv": "Ed25519", "x": jwks[0].x}).key


async def test_discovery_is_under_the_issuer(service: Service) -> None:
    document = await service.call("GetDiscovery", tokens.GetDiscoveryRequest())
    assert (document.issuer, document.jwks_uri) == (ISSUER, f"{ISSUER}/.well-known/jwks.json")
    assert list(document.id_token_signing_alg_values_supported) == ["EdDSA"]


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
    (successor,) = {answer.refresh_token for answer in answers}
    await refresh(service, successor)


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


async def test_introspection_says_whose_a_credential_is(service: Service, acme: TenantRecord) -> None:
    await register(service, acme)
    session = await login(service, acme)

    async def introspect(token: str) -> tokens.IntrospectTokenResponse:
        request = tokens.IntrospectTokenRequest(token=token)
        answer: tokens.IntrospectTokenResponse = await service.call(
            "IntrospectToken", request, credential=service.service_key
        )
        return answer

    person = await introspect(session.access_token)
    assert (person.active, person.audience) == (True, policy_pb2.AUDIENCE_USER)
    assert (person.sub, person.tenant_id, list(person.roles)) == (session.user.id, str(acme.id), ["member"])
    operator = await introspect(service.operator_key)
    assert (operator.active, operator.audience) == (True, policy_pb2.AUDIENCE_OPERATOR)
    assert (operator.sub, list(operator.permissions), operator.tenant_id) == ("operator", ["*"], "")
    assert not operator.HasField("expire_time")
    for worthless in ("nonsense", "tmk_" + "0" * 32 + "_" + "0" * 64, session.refresh_token):
        assert await introspect(worthless) == tokens.IntrospectTokenResponse(active=False)


async def test_other_services_verify_by_the_mesh(service: Service, acme: TenantRecord) -> None:
    mesh = Mesh(
        tenant_target="127.0.0.1:1",
        auth_target=service.target,
        credential=service.service_key,
        issuer=ISSUER,
    )
    await register(service, acme)
    token = (await login(service, acme)).access_token
    kid = jwt.get_unverified_header(token)["kid"]
    await mesh.key_set.refresh(kid)
    assert TokenVerifier(ISSUER, "tenantmesh", mesh.key_set).verify(token).tenant_id == acme.id
    caller = await mesh.api_keys.verify(service.operator_key)
    assert caller is not None
    assert (caller.subject, caller.permissions) == ("operator", frozenset({"*"}))
    assert await mesh.api_keys.verify("tmk_nonsense") is None
    await mesh.close()


async def test_who_may_introspect(service: Service, acme: TenantRecord, postgres: WorkerDatabase) -> None:
    await register(service, acme)
    user = (await login(service, acme)).access_token
    idle = await create_key(database_settings(postgres), "idle_svc", "SERVICE", [])
    request = tokens.IntrospectTokenRequest(token="x")
    expected = {None: "CREDENTIALS_MISSING", user: "AUDIENCE_NOT_ALLOWED", idle: "PERMISSION_MISSING"}
    for credential, reason in expected.items():
        assert (await refused(service.call("IntrospectToken", request, credential=credential)))[1] == reason
    assert not (await service.call("IntrospectToken", request, credential=service.operator_key)).active
    empty = service.call("IntrospectToken", tokens.IntrospectTokenRequest(), credential=service.operator_key)
    assert (await refused(empty))[1] == "INVALID_FIELD"


async def test_a_revoked_or_expired_key_is_refused(service: Service, postgres: WorkerDatabase) -> None:
    settings = database_settings(postgres)
    revoked = await create_key(settings, "to_revoke", "OPERATOR", ["*"])
    (key,) = [key for key in await list_keys(settings) if key.name == "to_revoke"]
    await revoke_key(settings, key.id)
    expired = await create_key(settings, "expired", "OPERATOR", ["*"], timedelta(microseconds=1))
    request = tokens.IntrospectTokenRequest(token="x")
    for credential in (revoked, expired, revoked[:-1] + "0"):
        assert (await refused(service.call("IntrospectToken", request, credential=credential)))[1] == (
            "CREDENTIALS_INVALID"
        )


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


async def test_an_account_that_is_gone_makes_its_token_worthless(
    service: Service, acme: TenantRecord, postgres: WorkerDatabase
) -> None:
    await register(service, acme)
    session = await login(service, acme)
    await as_superuser(postgres, "DELETE FROM auth.users WHERE tenant_id = $1", acme.id)
    answer = await refused(service.call("GetMe", auth.GetMeRequest(), credential=session.access_token))
    assert answer[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")
    assert (await refused(refresh(service, session.refresh_token)))[1] == "SESSION_ENDED"


async def test_guesses_are_counted_for_all_processes_in_the_store(
    service: Service, acme: TenantRecord, valkey: Valkey
) -> None:
    reasons = []
    for _ in range(15):
        reasons.append((await refused(login(service, acme, password=WRONG)))[1])
        await forget_the_address(valkey)
    assert reasons == ["INVALID_CREDENTIALS"] * 10 + ["RATE_LIMITED"] * 5


async def forget_the_address(valkey: Valkey) -> None:
    """The chain's limit per network address would come first: all tests call from one."""
    async with Redis.from_url(valkey.admin_url.get_secret_value()) as client:
        async for key in client.scan_iter("tm:peer:*"):
            await client.delete(key)


async def start(postgres: WorkerDatabase, valkey: Valkey, kek_file: Path) -> None:
    settings = service_settings(postgres, valkey, kek_file, "127.0.0.1:1")
    application = await build(settings, Telemetry(settings.telemetry, "auth_svc"))
    try:
        await application.start()
    finally:
        await application.close()


async def test_it_starts_on_what_is_right(postgres: WorkerDatabase, valkey: Valkey, kek_file: Path) -> None:
    with a_copy(postgres) as fresh:
        await start(fresh, valkey, kek_file)


async def test_it_refuses_a_kek_file_that_others_can_read(
    postgres: WorkerDatabase, valkey: Valkey, tmp_path: Path
) -> None:
    path = tmp_path / "kek"
    path.write_bytes(base64.b64encode(bytes(32)))
    path.chmod(0o644)
    with pytest.raises(KekRefused, match="chmod 600"):
        await start(postgres, valkey, path)


async def test_it_refuses_another_kek_than_its_keys_were_sealed_with(
    postgres: WorkerDatabase, valkey: Valkey, kek_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "kek"
    other.touch(mode=0o600)
    other.write_bytes(base64.b64encode(bytes(32)))
    with a_copy(postgres) as fresh:
        await start(fresh, valkey, kek_file)
        with pytest.raises(SealBroken, match="another key-encryption key"):
            await start(fresh, valkey, other)


async def test_it_refuses_a_database_whose_row_security_is_off(
    postgres: WorkerDatabase, valkey: Valkey, kek_file: Path
) -> None:
    with a_copy(postgres) as fresh:
        await as_superuser(fresh, "ALTER TABLE auth.users NO FORCE ROW LEVEL SECURITY")
        with pytest.raises(InsecureDatabase, match="users"):
            await start(fresh, valkey, kek_file)


async def test_a_refusal_names_the_request_and_nothing_inside(service: Service, acme: TenantRecord) -> None:
    *_, error = await refused(login(service, acme, f"{uuid.uuid4()}@example.com", WRONG))
    text = str(error.details()) + repr(error.trailing_metadata())
    for inside in ("argon2", "SELECT", "asyncpg", "Traceback", WRONG):
        assert inside not in text
