"""Access tokens that must not verify."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import pytest

from tenantmesh.interceptors.credentials import UnknownKey
from tenantmesh.interceptors.errors import Unauthenticated
from tenantmesh.interceptors.testing import TestMesh, TokenSigner


def tampered(signer: TokenSigner, mesh: TestMesh, **changes: Any) -> str:
    acme = mesh.add_tenant("acme")
    payload = signer.claims(acme.id).payload()
    return signer.sign({key: value for key, value in {**payload, **changes}.items() if value is not ...})


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": ...}, {"exp": "9999999999"}, {"exp": 1e18}, {"exp": 2**60}, {"iat": 0}, {"aud": ["tenantmesh-test"]},
        {"aud": "other"}, {"iss": "https://other.test"}, {"tid": ["x"]}, {"tid": "0" * 36}, {"tid": ...},
        {"sub": "root"}, {"roles": "owner"}, {"roles": [1]}, {"roles": ...}, {"jti": ""}, {"extra": 1}, {"epoch": True},
        {"epoch": -1},
    ],
)  # fmt: skip
def test_claims_must_be_exactly_those_of_the_mesh(changes: dict[str, Any]) -> None:
    signer = TokenSigner()
    with pytest.raises(Unauthenticated):
        signer.verifier().verify(tampered(signer, TestMesh(), **changes))


@pytest.mark.parametrize("changes", [{"aud": "other"}, {"iss": "https://other.test"}])
def test_a_token_of_another_issuer_points_to_the_settings(changes: dict[str, Any]) -> None:
    signer = TokenSigner()
    with pytest.raises(Unauthenticated, match="issuer or audience does not match this service's settings"):
        signer.verifier().verify(tampered(signer, TestMesh(), **changes))


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"jku": "https://evil.test"}, {"crit": ["x"]}])
def test_headers_must_be_exactly_those_of_the_mesh(header: dict[str, Any]) -> None:
    signer = TokenSigner()
    claims = signer.claims(TestMesh().add_tenant("acme").id)
    with pytest.raises(Unauthenticated):
        signer.verifier().verify(signer.sign(claims, **header))


def test_other_signatures_do_not_verify() -> None:
    signer, other = TokenSigner(), TokenSigner()
    claims = signer.claims(TestMesh().add_tenant("acme").id)
    with pytest.raises(Unauthenticated, match="signature"):
        signer.verifier().verify(other.sign(claims))
    with pytest.raises(UnknownKey):
        signer.verifier().verify(signer.sign(claims, kid="elsewhere"))
    header, payload, _ = signer.sign(claims).split(".")
    with pytest.raises(Unauthenticated):
        signer.verifier().verify(f"{header}.{payload}.")


def test_an_expired_token_says_so() -> None:
    signer = TokenSigner()
    token = signer.sign(signer.claims(TestMesh().add_tenant("acme").id, lifetime=-60))
    with pytest.raises(Unauthenticated) as caught:
        signer.verifier().verify(token)
    assert caught.value.reason == "CREDENTIALS_EXPIRED"


def test_duplicate_claims_are_refused() -> None:
    signer = TokenSigner()
    token = signer.sign(signer.claims(TestMesh().add_tenant("acme").id))
    header, _, signature = token.split(".")
    twice = urlsafe_b64encode(b'{"tid":"a","tid":"b"}').decode().rstrip("=")
    with pytest.raises(Unauthenticated):
        signer.verifier().verify(f"{header}.{twice}.{signature}")
