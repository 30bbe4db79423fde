"""Access tokens as issued here and verified everywhere, and what must not pass for one."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.json_format import MessageToDict

from tenantmesh.auth_svc.tokens.mapping import discovery_document
from tenantmesh.auth_svc.tokens.tokens import AccessTokens, Discovery, Introspection, TokenSubject
from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.credentials import UnknownKey
from tenantmesh.interceptors.errors import Unauthenticated
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.interceptors.testing import MemoryApiKeys
from tenantmesh.interceptors.tokens import JwtVerifier, StaticKeySet
from tests.signing import OneKey

ISSUER, AUDIENCE, CLIENT = "http://issuer.test", "tenantmesh", "tenantmesh"
SUBJECT = TokenSubject(uuid.uuid4(), TenantId(uuid.uuid4()), uuid.uuid4(), epoch=3, roles=("member",))


class AllAlive:
    """As LiveSessions."""

    def __init__(self) -> None:
        self.ended: set[uuid.UUID] = set()

    async def is_live(self, tenant_id: TenantId, session_id: uuid.UUID) -> bool:
        return session_id not in self.ended


@dataclass
class Mint:
    """A key, an issuer and a verifier that belong together."""

    keys: OneKey
    tokens: AccessTokens
    verifier: JwtVerifier

    def payload(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": str(SUBJECT.user_id), "tid": str(SUBJECT.tenant_id),
            "sid": str(SUBJECT.session_id), "jti": "j", "iat": now, "exp": now + 300, "epoch": 0, "roles": ["member"],
            "client_id": CLIENT,
        }  # fmt: skip
        return {name: value for name, value in {**claims, **changes}.items() if value is not ...}

    def sign(self, payload: dict[str, Any] | str, **header: Any) -> str:
        """A token with our signature over whatever it says."""
        kid, key = self.keys.signer()
        head = {"alg": "EdDSA", "kid": kid, "typ": "at+jwt", **header}
        body = payload if isinstance(payload, str) else json.dumps(payload)
        signed = f"{b64(json.dumps({k: v for k, v in head.items() if v is not ...}))}.{b64(body)}"
        return f"{signed}.{b64(key.sign(signed.encode()))}"


def b64(data: str | bytes) -> str:
    raw = data if isinstance(data, bytes) else data.encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def mint() -> Mint:
    keys = OneKey()
    kid, private = keys.signer()
    verifier = JwtVerifier(ISSUER, AUDIENCE, StaticKeySet({kid: private.public_key()}))
    return Mint(keys, AccessTokens(ISSUER, AUDIENCE, CLIENT, keys), verifier)


async def test_a_token_says_what_the_design_says_and_nothing_else(mint: Mint) -> None:
    token = mint.tokens.issue(SUBJECT)
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "typ": "at+jwt", "kid": mint.keys.signer()[0]}
    claims = mint.verifier.claims(token)
    assert (claims.issuer, claims.audience) == (ISSUER, AUDIENCE)
    assert (claims.subject, claims.tenant_id) == (str(SUBJECT.user_id), SUBJECT.tenant_id)
    assert (claims.session_id, claims.epoch, claims.roles) == (str(SUBJECT.session_id), 3, ("member",))
    assert claims.expires_at - claims.issued_at == 300
    assert mint.verifier.claims(mint.tokens.issue(SUBJECT)).token_id != claims.token_id


async def test_a_token_has_the_claims_that_standard_validators_demand(mint: Mint) -> None:
    """Those of RFC 9068, section 2.2."""
    claims = jwt.decode(mint.tokens.issue(SUBJECT), options={"verify_signature": False})
    assert set(claims) >= {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}
    assert claims["client_id"] == CLIENT


async def test_tokens_without_a_client_verify_too_so_that_old_and_new_processes_serve_together(mint: Mint) -> None:
    before = AccessTokens(ISSUER, AUDIENCE, "", mint.keys).issue(SUBJECT)
    assert "client_id" not in jwt.decode(before, options={"verify_signature": False})
    assert mint.verifier.claims(before).client_id == ""
    assert mint.verifier.verify(mint.sign(mint.payload(client_id=...))).subject == str(SUBJECT.user_id)


async def test_our_own_signature_over_good_claims_passes(mint: Mint) -> None:
    """The control of the vectors below: what they change is what is refused."""
    assert mint.verifier.verify(mint.sign(mint.payload())).kind is CallerKind.USER


NOW = int(time.time())
CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"iat": NOW - 600, "exp": NOW - 300},
    "no expiry": {"exp": ...},
    "expiry as text": {"exp": str(NOW + 300)},
    "expiry as float": {"exp": NOW + 300.5},
    "expiry as bool": {"exp": True},
    "lives too long": {"exp": NOW + 4000},
    "endless": {"exp": 10**18},
    "issued in the future": {"iat": NOW + 36_000, "exp": NOW + 36_100},
    "no issue time": {"iat": ...},
    "other issuer": {"iss": "http://issuer.test.evil"},
    "no issuer": {"iss": ...},
    "other audience": {"aud": "elsewhere"},
    "audiences with ours": {"aud": [AUDIENCE, "elsewhere"]},
    "no audience": {"aud": ...},
    "subject no uuid": {"sub": "root"},
    "subject a number": {"sub": 1},
    "no subject": {"sub": ...},
    "tenants": {"tid": [str(SUBJECT.tenant_id)]},
    "nil tenant": {"tid": str(uuid.UUID(int=0))},
    "no tenant": {"tid": ...},
    "empty session": {"sid": ""},
    "no session": {"sid": ...},
    "no id": {"jti": ...},
    "no epoch": {"epoch": ...},
    "negative epoch": {"epoch": -1},
    "roles as text": {"roles": "owner"},
    "a role that is no text": {"roles": [["owner"]]},
    "no roles": {"roles": ...},
    "client a number": {"client_id": 1},
    "empty client": {"client_id": ""},
    "more claims": {"admin": True},
    "another claim for the client": {"client_id": ..., "admin": True},
    "not before": {"nbf": NOW},
}
HEADERS: dict[str, dict[str, Any]] = {
    "id token": {"typ": "JWT"},
    "no type": {"typ": ...},
    "type in capitals": {"typ": "AT+JWT"},
    "no algorithm": {"alg": "none"},
    "algorithm left out": {"alg": ...},
    "hmac": {"alg": "HS256"},
    "algorithm of another curve": {"alg": "ES256"},
    "key in the header": {"jwk": {"kty": "OKP"}},
    "key by address": {"jku": "http://evil.test/jwks.json"},
    "critical": {"crit": ["exp"]},
    "key id no text": {"kid": 1},
    "no key id": {"kid": ...},
}


@pytest.mark.parametrize("changes", CLAIMS.values(), ids=CLAIMS)
async def test_claims_that_are_not_ours_are_refused_though_we_signed_them(mint: Mint, changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        mint.verifier.verify(mint.sign(mint.payload(**changes)))


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
async def test_headers_that_are_not_ours_are_refused_though_we_signed_them(mint: Mint, header: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        mint.verifier.verify(mint.sign(mint.payload(), **header))


async def test_a_claim_that_comes_twice_is_refused(mint: Mint) -> None:
    body = json.dumps(mint.payload())
    for twice in ('"tid":"' + str(uuid.uuid4()) + '"', '"exp":9999999999', '"roles":["owner"]'):
        with pytest.raises(Unauthenticated):
            mint.verifier.verify(mint.sign("{" + twice + "," + body[1:]))
        with pytest.raises(Unauthenticated):
            mint.verifier.verify(mint.sign(body[:-1] + "," + twice + "}"))


FORGERIES: dict[str, Callable[[str], str]] = {
    "no signature": lambda token: token.rpartition(".")[0] + ".",
    "two parts": lambda token: token.rpartition(".")[0],
    "four parts": lambda token: token + ".e30",
    "empty": lambda _: "",
    "dots": lambda _: "..",
    "cut": lambda token: token[:-4],
    "no json": lambda token: b64("nope") + token[token.index(".") :],
    "a list": lambda token: b64("[]") + token[token.index(".") :],
    "nested": lambda token: b64("[" * 100_000) + token[token.index(".") :],
    "long": lambda token: token + "A" * 5000,
    "not ascii": lambda token: "é" + token,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_texts_that_are_no_tokens_are_refused(mint: Mint, forge: Callable[[str], str]) -> None:
    with pytest.raises(Unauthenticated):
        mint.verifier.verify(forge(mint.tokens.issue(SUBJECT)))


async def test_every_changed_character_of_header_and_claims_is_refused(mint: Mint) -> None:
    token = mint.tokens.issue(SUBJECT)
    for index in range(token.rindex(".")):
        changed = "B" if token[index] == "A" else "A"
        with pytest.raises((Unauthenticated, UnknownKey)):
            mint.verifier.verify(token[:index] + changed + token[index + 1 :])


async def test_another_key_with_our_key_id_is_refused(mint: Mint) -> None:
    stranger = Ed25519PrivateKey.generate()
    headers = {"kid": mint.keys.signer()[0], "typ": "at+jwt"}
    with pytest.raises(Unauthenticated):
        mint.verifier.verify(jwt.encode(mint.payload(), stranger, "EdDSA", headers=headers))


async def test_our_public_key_is_no_secret_for_hmac(mint: Mint) -> None:
    kid, private = mint.keys.signer()
    secret = private.public_key().public_bytes_raw()
    with pytest.raises(Unauthenticated):
        mint.verifier.verify(jwt.encode(mint.payload(), secret, "HS256", headers={"kid": kid, "typ": "at+jwt"}))


@pytest.fixture
def sessions() -> AllAlive:
    return AllAlive()


@pytest.fixture
def introspection(mint: Mint, sessions: AllAlive) -> Introspection:
    return Introspection(mint.verifier, MemoryApiKeys(), sessions)


async def test_introspection_knows_a_good_token(mint: Mint, introspection: Introspection) -> None:
    caller = await introspection.inspect(mint.tokens.issue(SUBJECT))
    assert caller is not None
    assert (caller.kind, caller.subject, caller.tenant_id) == (
        CallerKind.USER, str(SUBJECT.user_id), SUBJECT.tenant_id,
    )  # fmt: skip


async def test_introspection_sees_that_a_session_was_ended(
    mint: Mint, introspection: Introspection, sessions: AllAlive
) -> None:
    token = mint.tokens.issue(SUBJECT)
    sessions.ended.add(SUBJECT.session_id)
    assert await introspection.inspect(token) is None


@pytest.mark.parametrize("token", ["", "x", "tmk_x", "tmr_x", "a.b.c"])
async def test_introspection_of_nonsense_is_no_error(introspection: Introspection, token: str) -> None:
    assert await introspection.inspect(token) is None


async def test_introspection_of_a_session_that_is_no_uuid_is_no_error(mint: Mint, introspection: Introspection) -> None:
    assert await introspection.inspect(mint.sign(mint.payload(sid="not a uuid"))) is None


async def test_introspection_of_an_unknown_key_id_is_no_error(mint: Mint, introspection: Introspection) -> None:
    assert await introspection.inspect(mint.sign(mint.payload(), kid="unknown")) is None


def test_discovery_names_what_a_standard_client_can_use_and_nothing_else() -> None:
    document = MessageToDict(discovery_document(Discovery("https://auth.example.com")))
    assert document == {
        "issuer": "https://auth.example.com",
        "jwks_uri": "https://auth.example.com/.well-known/jwks.json",
        "response_types_supported": ["none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }
