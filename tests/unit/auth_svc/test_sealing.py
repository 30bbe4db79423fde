"""Encryption at rest."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tenantmesh.runtime.encryption import KekRefused, KeyEncryptionKey, SealBroken, read_kek

KEK = KeyEncryptionKey(bytes(range(32)))


def test_what_was_sealed_opens_and_is_not_readable_meanwhile() -> None:
    sealed = KEK.seal(b"private", "signing-key", "k1")
    assert b"private" not in sealed
    assert KEK.open(sealed, "signing-key", "k1") == b"private"
    assert KEK.seal(b"private", "signing-key", "k1") != sealed


@pytest.mark.parametrize(
    "context", [("signing-key", "k2"), ("signing-key",), ("signing-keyk1",), ("signing-", "keyk1")]
)
def test_a_seal_opens_in_its_own_place_only(context: tuple[str, ...]) -> None:
    with pytest.raises(SealBroken):
        KEK.open(KEK.seal(b"private", "signing-key", "k1"), *context)


def test_every_byte_of_a_seal_counts() -> None:
    sealed = KEK.seal(b"private", "signing-key", "k1")
    for index in range(len(sealed)):
        broken = bytearray(sealed)
        broken[index] ^= 1
        with pytest.raises(SealBroken):
            KEK.open(bytes(broken), "signing-key", "k1")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            KEK.open(sealed[:length], "signing-key", "k1")


def test_another_kek_is_named_as_such() -> None:
    with pytest.raises(SealBroken, match="another key-encryption key"):
        KeyEncryptionKey(os.urandom(32)).open(KEK.seal(b"private", "x"), "x")


VARIABLE = "TENANTMESH_TOKENS_KEK_FILE"


def kek_file(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    kek = read_kek(kek_file(tmp_path / "kek", base64.b64encode(bytes(range(32))) + b"\n"), VARIABLE)
    assert kek.open(KEK.seal(b"private", "x"), "x") == b"private"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused_saying_how_to_close_it(tmp_path: Path, mode: int) -> None:
    path = kek_file(tmp_path / "kek", base64.b64encode(bytes(32)), mode)
    with pytest.raises(KekRefused, match=f"chmod 600 {path}"):
        read_kek(path, VARIABLE)


def test_a_missing_file_is_refused_saying_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KekRefused, match="umask 077"):
        read_kek(tmp_path / "kek", VARIABLE)


@pytest.mark.parametrize(
    "content", [b"", b"short", base64.b64encode(bytes(31)), base64.b64encode(bytes(33)), b"\xff\xfe"]
)
def test_a_file_without_32_bytes_in_base64_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KekRefused) as refused:
        read_kek(kek_file(tmp_path / "kek", content), VARIABLE)
    assert "short" not in str(refused.value)
