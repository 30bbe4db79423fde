"""A proof: what it says, and that nothing of it can be changed, moved to another signature or made by another key."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenantmesh.interceptors import base64url
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.purges.canonical import canonical
from tenantmesh.tenant_svc.purges.proof import KEPT, BadProof, read_proof
from tenantmesh.tenant_svc.purges.purge import PurgeProgress, PurgeStep
from tenantmesh.tenant_svc.purges.signature import BadSignature, key_of, sign, verify
from tests.unit.tenant_svc.purges.proofs import (
    KEY,
    KID,
    OTHER_KEY,
    ROWS,
    TENANT,
    operation,
    progress,
    proof,
    unfinished,
)

KEYS: dict[str, Ed25519PublicKey] = {KID: KEY.public_key()}


def test_it_says_what_was_there_and_that_nothing_is() -> None:
    said = read_proof(proof())
    assert said["tenant_id"] == TENANT
    assert {each["table"]: (each["before"], each["after"]) for each in said["tables"]} == {
        table: (rows, 0) for table, rows in ROWS.items()
    }
    assert {each["name"]: each["before"] for each in said["others"]} == {
        "sessions": 2, "passwords": 2, "store_keys": 4, "jobs": 1, "files": 0,
    }  # fmt: skip
    assert [each["step"] for each in said["steps"]] == [step.value for step in PurgeStep]
    assert said["requested"]["actor"] == "key-of-an-operator"
    assert said["destroyed_key_ids"] == ["key-1"]
    assert {each["what"]: each["why"] for each in said["kept"]} == dict(KEPT)


def test_a_purge_that_has_counted_nothing_proves_nothing() -> None:
    with pytest.raises(ValueError, match="counted nothing"):
        proof(PurgeProgress())


def test_a_proof_of_something_left_is_none() -> None:
    with pytest.raises(BadProof, match=r"auth\.users"):
        read_proof(proof(unfinished()))


def test_progress_survives_its_way_through_the_database() -> None:
    stored = progress().to_json()
    assert PurgeProgress.of(_with(stored)).to_json() == stored
    assert PurgeProgress.of(_with({})) == PurgeProgress()


def _with(stored: dict[str, object]) -> Operation:
    return replace(operation(), progress=stored)


def test_the_signature_verifies_and_names_its_key() -> None:
    signature = sign(proof(), KID, KEY)
    assert verify(proof(), signature, KEYS) == KID
    assert key_of(signature) == KID


def test_no_byte_can_be_changed() -> None:
    text, signature = proof(), sign(proof(), KID, KEY)
    for place in range(0, len(text), 7):
        changed = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        with pytest.raises(BadSignature, match="changed"):
            verify(changed, signature, KEYS)


def test_another_key_is_refused() -> None:
    with pytest.raises(BadSignature, match="another's"):
        verify(proof(), sign(proof(), KID, OTHER_KEY), KEYS)
    with pytest.raises(BadSignature, match="not among the 0 given keys"):
        verify(proof(), sign(proof(), KID, KEY), {})


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": KID, "typ": "tenantmesh-purge-proof"},
        {"alg": "EdDSA", "kid": KID, "typ": "at+jwt"},
        {"alg": "EdDSA", "kid": KID},
        {"alg": "EdDSA", "kid": KID, "typ": "tenantmesh-purge-proof", "b64": False},
    ],
)
def test_another_kind_of_signature_is_refused(header: dict[str, object]) -> None:
    head = base64url.encode(canonical(header))
    signed = KEY.sign(f"{head}.{base64url.encode(proof())}".encode())
    with pytest.raises(BadSignature):
        verify(proof(), f"{head}..{base64url.encode(signed)}", KEYS)


@pytest.mark.parametrize("cut", [1, 2, 20, 90])
def test_a_signature_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(BadSignature):
        verify(proof(), sign(proof(), KID, KEY)[:-cut], KEYS)


@pytest.mark.parametrize("signature", ["", "..", "a.b.c", "a..b", ".x.", "é..é", sign(proof(), KID, KEY) + "="])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    with pytest.raises(BadSignature):
        verify(proof(), signature, KEYS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{}", "no proof"),
        (b"[]", "no proof"),
        (proof()[:-1], "damaged"),
        (proof() + b"\n", "damaged"),
        (b'{"type":"tenantmesh-purge-proof","version":2}', "version 2"),
        (b'{"type":"tenantmesh-purge-proof","version":1}', "lacks"),
    ],
)
def test_what_is_no_proof_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(BadProof, match=said):
        read_proof(text)
