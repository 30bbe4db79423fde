"""Public keys that verify access tokens, as a key set publishes them (RFC 7517, RFC 8037): which of them may be used.

Ed25519 as OpenSSL verifies it accepts forged signatures under points of small order. A key must therefore prove before
its first use that it is a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenantmesh.interceptors import base64url

__all__ = ["AT_MOST", "BadKey", "check_point", "readable_keys"]

_FITTING: Mapping[str, tuple[str, ...]] = {
    "kty": ("OKP",),
    "crv": ("Ed25519",),
    "alg": ("EdDSA", ""),
    "use": ("sig", ""),
}
"""The values that members of a key may have. `alg` and `use` may be absent (RFC 7517)."""
AT_MOST = 100
"""The most keys of a set that are read. Ours has two or three."""
_SIZE = 32
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_SIGN = 1 << 255
_SMALL_ORDER = frozenset(
    {
        0,  # order 4
        1,  # order 1
        _P - 1,  # order 2
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,  # order 8
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,  # order 8
    }
)
"""The y of the eight points of small order."""


class PublishedKey(Protocol):
    """A key as a key set has it: the members of a JSON Web Key. One that is absent is empty."""

    kid: str
    kty: str
    crv: str
    alg: str
    use: str
    x: str


class BadKey(ValueError):
    """The key can't verify access tokens. The message says why."""


def readable_keys(published: Iterable[PublishedKey]) -> tuple[dict[str, Ed25519PublicKey], dict[str, str]]:
    """Return the good keys by their id, and the problem of each other one. A bad key leaves the good ones as they are.

    Reads AT_MOST keys, so that a set of any size costs its readers milliseconds.
    """
    good: dict[str, Ed25519PublicKey] = {}
    bad: dict[str, str] = {}
    for kid, keys in _by_id(islice(published, AT_MOST)).items():
        try:
            good[kid] = _only_key(keys)
        except BadKey as problem:
            bad[kid] = str(problem)
    return good, bad


def check_point(raw: bytes) -> None:
    """Raise BadKey unless the bytes are the one encoding of a point of Ed25519 that is not of small order."""
    if len(raw) != _SIZE:
        raise BadKey(f"has {len(raw)} bytes; an Ed25519 key has {_SIZE}")
    y = int.from_bytes(raw, "little") % _SIGN
    if y >= _P:
        raise BadKey("is a second encoding of another key")
    if y in _SMALL_ORDER:
        raise BadKey("is a point of small order, for which anybody can sign")
    if not _is_on_curve(y):
        raise BadKey("is no point of the curve")


def _is_on_curve(y: int) -> bool:
    """Return whether a point has this y: whether x² = (y² - 1) / (d·y² + 1) has a root (RFC 8032, section 5.1.3)."""
    square = y * y % _P
    numerator, denominator = square - 1, _D * square + 1
    return pow(numerator * denominator % _P, (_P - 1) // 2, _P) == 1


def _by_id(published: Iterable[PublishedKey]) -> dict[str, list[PublishedKey]]:
    keys: dict[str, list[PublishedKey]] = {}
    for key in published:
        keys.setdefault(key.kid, []).append(key)
    return keys


def _only_key(keys: list[PublishedKey]) -> Ed25519PublicKey:
    """Return the key of an id. Two different ones would leave it to chance which of them verifies."""
    key = keys[0]
    if len(keys) > 1:
        raise BadKey("shares its id with another key")
    if problem := ", ".join(_unfitting(key)):
        raise BadKey(problem)
    try:
        raw = base64url.decode(key.x)
    except ValueError as error:
        raise BadKey("has an x that is not base64url without padding") from error
    check_point(raw)
    return Ed25519PublicKey.from_public_bytes(raw)


def _unfitting(key: PublishedKey) -> Iterator[str]:
    if not key.kid:
        yield "has no kid"
    for member, fitting in _FITTING.items():
        if (said := getattr(key, member)) not in fitting:
            yield f"has the {member} {said[:20]!r} instead of {fitting[0]}"
