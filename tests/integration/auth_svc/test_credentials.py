"""How others verify what auth_svc issued: published keys, introspection, the mesh."""

from __future__ import annotations

import base64
from datetime import timedelta

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenantmesh.auth.v1 import auth_service_pb2 as auth
from tenantmesh.auth.v1 import token_service_pb2 as tokens
from tenantmesh.auth_svc.api_keys.bootstrap import create_key, list_keys, revoke_key
from tenantmesh.interceptors.caller import ALL_USAGE, UsageScope
from tenantmesh.interceptors.mesh import Mesh
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.interceptors.tokens import JwtVerifier, StaticKeySet
from tenantmesh.policy.v1 import policy_pb2
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.calls import login, refresh, refused, register
from tests.integration.auth_svc.conftest import (
    ISSUER,
    Service,
    as_superuser,
    database_settings,
)


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


async def test_other_services_verify_by_the_mesh(
    service: Service, acme: TenantRecord, postgres: WorkerDatabase
) -> None:
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
    assert JwtVerifier(ISSUER, "tenantmesh", mesh.key_set).verify(token).tenant_id == acme.id
    caller = await mesh.api_keys.verify(service.operator_key)
    assert caller is not None
    assert (caller.subject, caller.permissions) == ("operator", frozenset({"*"}))
    assert caller.usage == ALL_USAGE
    database, named = database_settings(postgres), UsageScope(frozenset({"api_requests"}), frozenset({"seats"}))
    counts = ["quota.lease"]
    narrow = await create_key(database, "narrow", "SERVICE", counts, meters=named.meters, gauges=named.gauges)
    caller = await mesh.api_keys.verify(narrow)
    assert caller is not None
    assert caller.usage == named
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


async def test_a_key_is_asked_about_by_its_id(service: Service, postgres: WorkerDatabase) -> None:
    settings = database_settings(postgres)
    await create_key(settings, "begins_things", "OPERATOR", ["tenants.read"])
    (key,) = [key for key in await list_keys(settings) if key.name == "begins_things"]

    async def introspect(**fields: str) -> tokens.IntrospectTokenResponse:
        request = tokens.IntrospectTokenRequest(**fields)
        answer: tokens.IntrospectTokenResponse = await service.call(
            "IntrospectToken", request, credential=service.service_key
        )
        return answer

    active = await introspect(key_id=str(key.id))
    assert (active.active, active.sub, list(active.permissions)) == (True, "begins_things", ["tenants.read"])
    assert active.credential_id == str(key.id)
    await revoke_key(settings, key.id)
    for unknown in (str(key.id), "00000000-0000-7000-8000-000000000001"):
        assert await introspect(key_id=unknown) == tokens.IntrospectTokenResponse(active=False)
    for wrong in (
        {"key_id": "x"},
        {"key_id": str(key.id).upper(), "token": "x"},
        {"key_id": str(key.id), "token": "x"},
    ):
        assert (await refused(introspect(**wrong)))[1] == "INVALID_FIELD"


async def test_anybody_can_verify_a_token_with_the_published_keys(service: Service, acme: TenantRecord) -> None:
    await register(service, acme)
    session = await login(service, acme)
    jwks = (await service.call("GetJwks", tokens.GetJwksRequest())).keys
    assert {(key.kty, key.crv, key.alg, key.use) for key in jwks} == {("OKP", "Ed25519", "EdDSA", "sig")}
    keys = {key.kid: Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key.x + "=")) for key in jwks}
    caller = JwtVerifier(ISSUER, "tenantmesh", StaticKeySet(keys)).verify(session.access_token)
    assert (caller.subject, caller.tenant_id) == (session.user.id, acme.id)
    assert jwt.PyJWK({"kty": "OKP", "crv": "Ed25519", "x": jwks[0].x}).key


async def test_discovery_is_under_the_issuer(service: Service) -> None:
    document = await service.call("GetDiscovery", tokens.GetDiscoveryRequest())
    assert (document.issuer, document.jwks_uri) == (ISSUER, f"{ISSUER}/.well-known/jwks.json")
    assert list(document.id_token_signing_alg_values_supported) == ["EdDSA"]


async def test_an_account_that_is_gone_makes_its_token_worthless(
    service: Service, acme: TenantRecord, postgres: WorkerDatabase
) -> None:
    await register(service, acme)
    session = await login(service, acme)
    await as_superuser(postgres, "DELETE FROM auth.users WHERE tenant_id = $1", acme.id)
    answer = await refused(service.call("GetMe", auth.GetMeRequest(), credential=session.access_token))
    assert answer[:2] == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")
    assert (await refused(refresh(service, session.refresh_token)))[1] == "SESSION_ENDED"
