"""`tenantmesh verify-purge`: offline, with an account for people, and a clear word about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tenantmesh.interceptors import base64url
from tenantmesh.tenant_svc.purges.signature import sign
from tests.unit.deploy.commands import Done, run
from tests.unit.tenant_svc.purges.proofs import KEY, KID, OTHER_KEY, TENANT, proof, unfinished


def key_set(key: Any = KEY, kid: str = KID) -> dict[str, Any]:
    x = base64url.encode(key.public_key().public_bytes_raw())
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig"}]}


def purge(text: bytes = proof(), key: Any = KEY) -> dict[str, Any]:
    return {"tenantId": TENANT, "keyId": KID, "proof": text.decode(), "signature": sign(text, KID, key)}


def verified(folder: Path, purge: Any, keys: Any) -> Done:
    files = {"purge.json": purge, "keys.json": keys}
    for name, value in files.items():
        (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return run("verify-purge", str(folder / "purge.json"), "--keys", str(folder / "keys.json"))


def test_a_good_proof_is_told_in_words(tmp_path: Path) -> None:
    done = verified(tmp_path, purge(), key_set())
    assert done.exit_code == 0, done.output
    for said in (TENANT, f"good, by the key {KID}", "auth.users", "tenant.purge_proofs", "key-of-an-operator", "1.2.3"):
        assert said in done.printed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (purge() | {"proof": purge()["proof"].replace("OPERATOR", "OPERATOS")}, "it was changed, or that key"),
        (purge(key=OTHER_KEY), "that key is another's"),
        (purge(proof(unfinished())), "something is left in auth.users"),
        (purge() | {"signature": purge()["signature"][:-9]}, "proves nothing"),
        (purge() | {"proof": purge()["proof"][:-9]}, "it was changed, or that key"),
        ({"tenantId": TENANT}, "has no proof and signature"),
        ([], "has no proof and signature"),
        (json.dumps(purge())[:-30], "may be cut off"),
        ("", "may be cut off"),
        ("[" * 100_000, "no JSON"),
        (purge() | {"tenantId": "0199c0de-0000-7000-8000-000000000002"}, "its tenantId is not that of the proof"),
        (purge() | {"operation": "operations/another"}, "its operation is not that of the proof"),
        (purge() | {"keyId": "another"}, "its keyId is not that of the proof"),
        (json.dumps(purge())[:-1] + ', "proof": "another"}', "has a member twice"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, wrong: Any, said: str) -> None:
    done = verified(tmp_path, wrong, key_set())
    assert done.exit_code == 1
    assert said in done.output
    assert not done.printed


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (key_set(kid="another"), f"the key {KID}, which is not among the 1 given keys"),
        ({"keys": []}, "no key that can verify"),
        ({"keys": [{"kid": KID, "kty": "RSA"}, 7]}, "no key that can verify"),
        ({}, "holds no key set"),
        ("<html>", "no JSON"),
    ],
)
def test_keys_that_do_not_fit_are_named(tmp_path: Path, keys: Any, said: str) -> None:
    done = verified(tmp_path, purge(), keys)
    assert done.exit_code == 1
    assert said in done.output


def test_without_keys_they_are_those_of_the_mesh_that_runs_here(tmp_path: Path) -> None:
    (tmp_path / "purge.json").write_text(json.dumps(purge()))
    done = run("verify-purge", str(tmp_path / "purge.json"), "--state", str(tmp_path / "state"))
    assert (done.exit_code, "nothing runs in" in done.output) == (1, True), done.output
    assert "--keys purge-keys.json" in done.output


def test_a_missing_file_and_a_missing_mesh_are_named(tmp_path: Path) -> None:
    (tmp_path / "purge.json").write_text(json.dumps(purge()))
    for keys, said in (
        (str(tmp_path / "none"), "can't be read"),
        ("http://127.0.0.1:1", "can't be asked for its keys"),
    ):
        done = run("verify-purge", str(tmp_path / "purge.json"), "--keys", keys)
        assert (done.exit_code, said in done.output) == (1, True)
