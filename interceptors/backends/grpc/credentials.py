"""Credentials, asked of auth_svc over gRPC: the keys that sign access tokens, and API keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenantmesh.auth.v1 import token_service_pb2 as tokens_pb2
from tenantmesh.interceptors.backends.grpc.answers import TIMEOUT, no_answer, unreachable
from tenantmesh.interceptors.caller import ALL_USAGE, Caller, CallerKind, UsageScope
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.logs import security_event
from tenantmesh.interceptors.public_keys import readable_keys
from tenantmesh.interceptors.tasks import SingleFlight
from tenantmesh.interceptors.tenants import parse_tenant_id
from tenantmesh.policy.v1 import policy_pb2

__all__ = ["KEYS_FRESH", "KEYS_STALE", "GrpcApiKeyVerifier", "GrpcKeySet"]

KEYS_FRESH = 300.0
"""Seconds after which the key set is loaded again, so that a withdrawn key stops verifying."""
KEYS_STALE = 3600.0
"""Seconds for which the last key set serves while auth_svc can't be reached."""
KEYS_PAUSE = 5.0
"""Shortest time between loads, in seconds: tokens with made-up key ids must not flood auth_svc."""
KEYS_PAUSE_AFTER_FAILURE = 1.0

_LONGEST_KID = 64
_KINDS = {
    policy_pb2.Audience.Value(f"AUDIENCE_{kind.value}"): kind for kind in CallerKind if kind is not CallerKind.ANONYMOUS
}


class GrpcKeySet:
    """KeySet over auth_svc's published keys. `stub` returns a stub of TokenService on the running loop."""

    def __init__(self, stub: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._stub = stub
        self._clock = clock
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._left_out: dict[str, str] = {}
        self._loaded_at = self._next_try = float("-inf")
        self._loads = SingleFlight[None, None](self._load)
        """One key, since every load fetches the whole set."""

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """As `KeySet.get`. A set older than KEYS_FRESH counts as unknown, so that it is loaded again. Between failed
        loads it serves until KEYS_STALE."""
        now = self._clock()
        age = now - self._loaded_at
        return self._keys.get(kid) if age < KEYS_FRESH or (age < KEYS_STALE and now < self._next_try) else None

    async def refresh(self, kid: str) -> None:
        """As `KeySet.refresh`."""
        if self._clock() >= self._next_try:
            await self._loads.result(None)
        if self._clock() - self._loaded_at >= KEYS_STALE:
            raise _unavailable()

    async def _load(self, _: None) -> None:
        try:
            answer = await self._stub().GetJwks(tokens_pb2.GetJwksRequest(), timeout=TIMEOUT, wait_for_ready=True)
        except grpc.aio.AioRpcError:
            self._next_try = self._clock() + KEYS_PAUSE_AFTER_FAILURE
        else:
            self._keys, bad = readable_keys(answer.keys)
            self._report(bad)
            self._loaded_at = self._clock()
            self._next_try = self._loaded_at + KEYS_PAUSE

    def _report(self, bad: dict[str, str]) -> None:
        """Log each key that is left out, when that begins and not at every load."""
        for kid, problem in bad.items() - self._left_out.items():
            security_event("a published signing key is left out", kid=kid[:_LONGEST_KID], problem=f"it {problem}")
        self._left_out = bad


class GrpcApiKeyVerifier:
    """ApiKeyVerifier over auth_svc. `stub` returns a stub of TokenService on the running loop."""

    def __init__(self, stub: Callable[[], Any]) -> None:
        self._stub = stub

    async def verify(self, key: str) -> Caller | None:
        """As `ApiKeyVerifier.verify`."""
        try:
            answer = await self._stub().IntrospectToken(
                tokens_pb2.IntrospectTokenRequest(token=key), timeout=TIMEOUT, wait_for_ready=True
            )
        except grpc.aio.AioRpcError as error:
            raise no_answer(error, "auth_svc", _unavailable()) from error
        return _caller(answer) if answer.active else None


def _caller(answer: tokens_pb2.IntrospectTokenResponse) -> Caller | None:
    """Return the caller that the key stands for; None for a kind of caller that this version does not know."""
    kind = _KINDS.get(answer.audience)
    if kind is None:
        return None
    return Caller(
        kind=kind,
        subject=answer.sub,
        tenant_id=parse_tenant_id(answer.tenant_id),
        roles=tuple(answer.roles),
        permissions=frozenset(answer.permissions),
        credential_id=answer.credential_id,
        expires_at=answer.expire_time.seconds if answer.HasField("expire_time") else None,
        usage=_usage(answer),
    )


def _usage(answer: tokens_pb2.IntrospectTokenResponse) -> UsageScope:
    """Return what the key names. An auth_svc of before keys named features limits none, as it did."""
    if not answer.HasField("usage"):
        return ALL_USAGE
    return UsageScope(frozenset(answer.usage.meters), frozenset(answer.usage.gauges))


def _unavailable() -> Unavailable:
    return Unavailable("CREDENTIALS_UNVERIFIABLE", unreachable("auth_svc"), metadata={"service": "auth_svc"})
