"""Discovery documents, key set and token answers as other programs read them, with the time that caches may keep."""

from __future__ import annotations

import json

import jwt
import pytest

from tests.fixtures.mesh import AUTH, PASSWORD, Mesh, World
from tests.transports import RestTransport, Transport

TOKENS = "tenantmesh.auth.v1.TokenService"
PATHS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


@pytest.mark.parametrize("path", PATHS)
async def test_discovery_names_nothing_that_a_standard_client_can_not_use(mesh: Mesh, path: str) -> None:
    rest = RestTransport(mesh.edge_target)
    status, headers, body = rest.send("GET", path, ())
    document = json.loads(body)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert document == {
        "issuer": mesh.edge_url,
        "jwks_uri": f"{mesh.edge_url}/.well-known/jwks.json",
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }
    form = b"grant_type=refresh_token&refresh_token=x"
    for name, endpoint in document.items():
        if name.endswith("_endpoint"):
            kind = "application/x-www-form-urlencoded"
            assert rest.send("POST", endpoint.removeprefix(mesh.edge_url), (), form, kind)[0] != 415


async def test_a_token_verifies_with_the_published_keys_and_has_its_client(mesh: Mesh, world: World) -> None:
    user = await world.user(await world.tenant())
    rest = RestTransport(mesh.edge_target)
    _, _, body = rest.send("GET", "/.well-known/jwks.json", ())
    header = jwt.get_unverified_header(user.token)
    key = next(each for each in jwt.PyJWKSet.from_json(body.decode()).keys if each.key_id == header["kid"])
    claims = jwt.decode(user.token, key, ["EdDSA"], issuer=mesh.edge_url, audience="tenantmesh")
    assert header["typ"] == "at+jwt"
    assert set(claims) >= {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}


async def test_caches_keep_keys_and_discovery_but_no_tokens(mesh: Mesh, transport: Transport, world: World) -> None:
    user = await world.user(await world.tenant())
    here = [("x-tenant-slug", user.tenant.slug)]
    account = {"email": user.email, "password": PASSWORD}
    answers = {
        "keys": await transport.call(f"{TOKENS}/GetJwks"),
        "discovery": await transport.call(f"{TOKENS}/GetDiscovery"),
        "login": await transport.call(f"{AUTH}/Login", account, metadata=here),
        "refresh": await transport.call(f"{AUTH}/RefreshToken", {"refreshToken": user.refresh_token}),
        "introspection": await transport.call(
            f"{TOKENS}/IntrospectToken", {"token": user.token}, token=mesh.operator_key
        ),
    }
    assert {name: answer.headers.get("cache-control") for name, answer in answers.items()} == {
        "keys": "public, max-age=480",
        "discovery": "public, max-age=3600",
        "login": "no-store",
        "refresh": "no-store",
        "introspection": "no-store",
    }
