"""Signatures of proofs: detached JWS with Ed25519 over the proof's bytes (RFC 7515, appendix F). Pure."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenantmesh.interceptors import base64url
from tenantmesh.tenant_svc.purges.canonical import NotCanonical, canonical, parsed

__all__ = ["TYPE", "BadSignature", "key_of", "sign", "verify"]

TYPE = "tenantmesh-purge-proof"
_ALGORITHM = "EdDSA"
_FORM = "the signature is not two parts of base64url with two dots between; the file may be cut off"


class BadSignature(ValueError):
    """The signature does not stand for the text. The message says why."""


def sign(proof: bytes, kid: str, key: Ed25519PrivateKey) -> str:
    """Return the signature of the proof: header and signature, without the proof between them."""
    header = base64url.encode(canonical({"alg": _ALGORITHM, "kid": kid, "typ": TYPE}))
    return f"{header}..{base64url.encode(key.sign(_signed(header, proof)))}"


def key_of(signature: str) -> str:
    """Return the id of the key that a signature names. Raises BadSignature."""
    return str(_header(signature)["kid"])


def verify(proof: bytes, signature: str, keys: Mapping[str, Ed25519PublicKey]) -> str:
    """Return the id of the key that has signed the proof. Raises BadSignature."""
    kid = key_of(signature)
    key = keys.get(kid)
    if key is None:
        raise BadSignature(f"it is signed with the key {kid}, which is not among the {len(keys)} given keys")
    header, last = _parts(signature)
    try:
        key.verify(_bytes(last), _signed(header, proof))
    except InvalidSignature as error:
        raise BadSignature(
            f"the text of the proof is not what the key {kid} has signed: it was changed, or that key is another's"
        ) from error
    return kid


def _header(signature: str) -> Mapping[str, Any]:
    head = _bytes(_parts(signature)[0])
    try:
        header = parsed(head)
    except NotCanonical as error:
        raise BadSignature(f"the head of the signature is damaged: {error}") from error
    if not isinstance(header, dict) or header.keys() != {"alg", "kid", "typ"}:
        raise BadSignature("the head of the signature must have alg, kid and typ, and nothing else")
    if (header["alg"], header["typ"]) != (_ALGORITHM, TYPE):
        raise BadSignature(f"the signature is of type {header['typ']} with {header['alg']}, and no proof of a purge")
    return header


def _parts(signature: str) -> tuple[str, str]:
    match signature.split("."):
        case [header, "", last] if header and last:
            return header, last
    raise BadSignature(_FORM)


def _signed(header: str, proof: bytes) -> bytes:
    return f"{header}.{base64url.encode(proof)}".encode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64url.decode(text)
    except (ValueError, binascii.Error) as error:
        raise BadSignature(_FORM) from error
