"""Which published keys verify access tokens."""

from __future__ import annotations

import hashlib
import logging
from itertools import count
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenantmesh.auth.v1 import token_service_pb2 as pb
from tenantmesh.interceptors import base64url
from tenantmesh.interceptors.backends.grpc.credentials import GrpcKeySet
from tenantmesh.interceptors.public_keys import AT_MOST, BadKey, check_point, readable_keys
from tenantmesh.interceptors.tokens import StaticKeySet

P = 2**255 - 19
SIGN = 1 << 255
ORDER_8 = (
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
)
SMALL_ORDER = [(y | sign).to_bytes(32, "little") for y in (0, 1, P - 1, *ORDER_8) for sign in (0, SIGN)]
"""The encodings of the eight points of small order, and of two of them with a sign that they don't have."""
SECOND_ENCODINGS = [(y | sign).to_bytes(32, "little") for y in (P, P + 1) for sign in (0, SIGN)]
NO_POINT = (2).to_bytes(32, "little")


def good_key() -> bytes:
    return Ed25519PrivateKey.generate().public_key().public_bytes_raw()


def jwk(raw: bytes, **members: str) -> pb.Jwk:
    given = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k", "x": base64url.encode(raw)}
    return pb.Jwk(**{**given, **members})


def forged(raw: bytes) -> int:
    """How many of 64 messages have a signature under this key that nobody's secret has made."""
    key = Ed25519PublicKey.from_public_bytes(raw)
    return sum(any(_verifies(key, r + bytes(32), message) for r in SMALL_ORDER) for message in map(_message, range(64)))


def _message(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()


def _verifies(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("raw", [*SMALL_ORDER, *SECOND_ENCODINGS], ids=bytes.hex)
def test_a_key_that_anybody_can_sign_for_is_refused(raw: bytes) -> None:
    assert forged(raw) > 10, "the control: OpenSSL takes signatures under it that nobody has made"
    with pytest.raises(BadKey):
        check_point(raw)
    with pytest.raises(ValueError, match=r"small order|second encoding"):
        StaticKeySet({"k": Ed25519PublicKey.from_public_bytes(raw)})


def test_every_key_that_is_made_is_good() -> None:
    for _ in range(200):
        check_point(good_key())
    assert forged(good_key()) == 0


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), NO_POINT], ids=["empty", "short", "long", "no point"])
def test_bytes_that_are_no_key_are_refused(raw: bytes) -> None:
    with pytest.raises(BadKey):
        check_point(raw)


GOOD = good_key()
UNFITTING: dict[str, dict[str, str]] = {
    "another type": {"kty": "EC"},
    "no type": {"kty": ""},
    "another curve": {"crv": "X25519"},
    "no curve": {"crv": ""},
    "another algorithm": {"alg": "RS256"},
    "for encryption": {"use": "enc"},
    "no id": {"kid": ""},
    "no point": {"x": ""},
    "padded": {"x": base64url.encode(GOOD) + "="},
    "other bits": {"x": base64url.encode(bytes(32))[:-1] + "B"},
    "no base64url": {"x": "!" * 43},
    "not ascii": {"x": "é" * 43},
    "hex": {"x": GOOD.hex()},
}


@pytest.mark.parametrize("members", UNFITTING.values(), ids=UNFITTING)
def test_a_key_that_does_not_fit_is_left_out_and_the_good_one_stays(members: dict[str, str]) -> None:
    good, bad = readable_keys([jwk(GOOD, **members), jwk(GOOD, kid="good")])
    assert ([*good], len(bad)) == (["good"], 1)


def test_a_key_may_leave_out_its_algorithm_and_its_use() -> None:
    good, bad = readable_keys([jwk(GOOD, alg="", use="")])
    assert ([*good], bad) == (["k"], {})


def test_two_keys_with_one_id_are_both_left_out() -> None:
    good, bad = readable_keys([jwk(good_key(), kid="twice"), jwk(good_key(), kid="twice"), jwk(GOOD, kid="good")])
    assert ([*good], bad) == (["good"], {"twice": "shares its id with another key"})


def test_a_set_of_any_size_is_read_up_to_a_bound() -> None:
    good, _ = readable_keys(jwk(GOOD, kid=str(number)) for number in range(AT_MOST + 50))
    assert len(good) == AT_MOST


class Published:
    """As TokenService: publishes these keys."""

    def __init__(self, *keys: pb.Jwk) -> None:
        self.keys = keys

    async def GetJwks(self, _request: Any, **_options: Any) -> pb.GetJwksResponse:
        return pb.GetJwksResponse(keys=self.keys)


async def test_a_hostile_key_in_the_mesh_s_key_set_is_logged_once_and_the_good_ones_verify(
    caplog: pytest.LogCaptureFixture,
) -> None:
    auth = Published(jwk(SMALL_ORDER[2], kid="hostile"), jwk(GOOD, kid="good"), jwk(b"", kid="broken"))
    times = count(step=10)
    keys = GrpcKeySet(lambda: auth, clock=lambda: float(next(times)))
    with caplog.at_level(logging.WARNING, "tenantmesh.security"):
        for _ in range(3):
            await keys.refresh("hostile")
    assert keys.get("good") is not None
    assert keys.get("hostile") is keys.get("broken") is None
    logged = {vars(record)["kid"]: vars(record)["problem"] for record in caplog.records}
    assert len(caplog.records) == 2, "once each, not at every load"
    assert logged["hostile"] == "it is a point of small order, for which anybody can sign"
    assert logged["broken"] == "it has 0 bytes; an Ed25519 key has 32"
