"""Link 7: who calls. An access token, an API key, or the identity in a client certificate."""

from __future__ import annotations

import asyncio
import contextvars
import re
import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.caller import ANONYMOUS, Caller, CallerKind
from tenantmesh.interceptors.errors import MeshError, ResourceExhausted, Unauthenticated
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.links.peer_limit import network_of
from tenantmesh.interceptors.metadata import AUTHORIZATION
from tenantmesh.interceptors.policy import MethodPolicy
from tenantmesh.interceptors.tokens import TokenVerifier, UnknownKey

__all__ = ["API_KEY_PREFIX", "ApiKeyVerifier", "Authentication", "parse_identities"]

_T = TypeVar("_T")

API_KEY_PREFIX = "tmk_"
REMEMBER_TOKEN = 30.0
"""Seconds for which a verified access token is believed without verifying it again."""
REMEMBER_KEY = 1.0
"""The same for API keys: a key that is revoked stops working within this time, everywhere."""
REMEMBER_REFUSED = 5.0
"""Seconds for which a refused one is refused without looking again, so that repeating it costs the mesh nothing."""
CAPACITY = 10_000
CAPACITY_REFUSED = 2_000
"""Apart from the good ones, so that made-up credentials can't displace them."""
LONGEST = 1024
"""The longest credential that is remembered: with CAPACITY it bounds the memory that strangers can fill."""
SCHEME = "Bearer "

FAILURES = Rate(per_second=5, burst=100)
"""API keys that fail, from one network: each costs a look-up, so that guessing must not be free."""
_API_KEY = re.compile(r"tmk_[A-Za-z0-9_-]{16,200}", re.ASCII).fullmatch


def parse_identities(text: str) -> dict[str, Caller]:
    """Services by the SPIFFE identity in their client certificate: `spiffe://mesh/billing=tenants.read notes.read`,
    with semicolons between; each has the permissions that it is granted. Raises ValueError that says what is wrong."""
    callers = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        identity, equals, permissions = entry.partition("=")
        if not identity.startswith("spiffe://") or not equals:
            raise ValueError(f"write an identity as spiffe://domain/path=permission permission; got {entry!r}")
        granted = frozenset(permissions.split())
        callers[identity] = Caller(CallerKind.SERVICE, identity, permissions=granted, credential_id=identity)
    return callers


class ApiKeyVerifier(Protocol):
    """Knows API keys. auth_svc reads its database; every other process asks auth_svc."""

    async def verify(self, key: str) -> Caller | None:
        """Must return None for a key that is not valid now, and raise Unavailable when that can't be found out."""
        ...


class Authentication(Link):
    """Establishes `call.caller`.

    A credential that is present must be valid even where none is needed: silently serving an expired token as nobody
    would hide the mistake. Outcomes are remembered for seconds, by the whole credential and never by a part of it.
    """

    def __init__(
        self,
        tokens: TokenVerifier | None,
        api_keys: ApiKeyVerifier | None,
        identities: Mapping[str, Caller],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._api_keys = api_keys
        self._identities = identities
        self._clock = clock
        self._known: dict[str, tuple[float, Caller]] = {}
        """By the whole header, so that a look-up need not cut the credential out."""
        self._refused: dict[str, tuple[float, MeshError]] = {}
        self._verifying: dict[str, asyncio.Task[Caller | None]] = {}
        self._failures = MemoryRateLimiter(capacity=CAPACITY_REFUSED)

    def bind(self, policy: MethodPolicy) -> Link | None:
        """Probes and reflection carry no credential and need none. A stream lives no longer than its credential."""
        if policy.method.startswith("/grpc."):
            return None
        return _StreamAuthentication(self) if policy.streams else self

    def enter(self, call: Call) -> Pending:
        """Decides from memory, or verifies."""
        header = call.headers.get(AUTHORIZATION)
        if header is None:
            self._without_credential(call)
            return None
        if self._recall(call, header):
            return None
        if header[:7].lower() != "bearer ":
            raise Unauthenticated("CREDENTIALS_INVALID", "Send the credential as `authorization: Bearer <credential>`.")
        credential = header[7:]
        if not header.startswith(SCHEME) and self._recall(call, SCHEME + credential):
            return None
        refused = self._refused.get(credential)
        if refused is not None and refused[0] > self._clock():
            # Without this each raise would add its frames to the remembered error's traceback.
            raise refused[1].with_traceback(None)
        if credential.startswith(API_KEY_PREFIX):
            return self._verify_key(call, credential)
        return self._verify_token(call, credential)

    def _recall(self, call: Call, header: str) -> bool:
        """Whether the credential in the header, as it is usually spelt, is one that is known to be good."""
        remembered = self._known.get(header)
        if remembered is None or remembered[0] <= self._clock():
            return False
        call.caller = remembered[1]
        return True

    async def recheck(self, call: Call) -> None:
        """Raises Unauthenticated when the credential that the call came with is no longer good for its caller."""
        again = Call(call.policy, call.metadata)
        again.headers, again.context, again.peer_ip = call.headers, call.context, call.peer_ip
        pending = self.enter(again)
        if pending is not None:
            await pending
        if again.caller != call.caller:
            raise Unauthenticated("CREDENTIALS_INVALID", "The credential now stands for somebody else. Call again.")

    def _without_credential(self, call: Call) -> None:
        caller = self._from_certificate(call) if self._identities else None
        if caller is None and not call.policy.public:
            raise Unauthenticated(
                "CREDENTIALS_MISSING",
                "This method needs a credential. Send an access token or API key as authorization: Bearer.",
            )
        call.caller = caller or ANONYMOUS

    def _from_certificate(self, call: Call) -> Caller | None:
        """The caller whom the verified client certificate's SPIFFE identity stands for."""
        for identity in call.context.auth_context().get("peer_spiffe_id", ()):
            caller = self._identities.get(identity.decode("ascii", "replace"))
            if caller is not None:
                return caller
        return None

    def _verify_token(self, call: Call, token: str) -> Pending:
        if self._tokens is None:
            raise Unauthenticated("CREDENTIALS_INVALID", "This service accepts no access tokens. Use an API key.")
        try:
            call.caller = self._tokens.verify(token)
        except UnknownKey as unknown:
            return self._verify_with_new_key(call, self._tokens, token, unknown.kid)
        except Unauthenticated as error:
            self._refuse(token, error)
            raise
        self._remember(token, call.caller, REMEMBER_TOKEN)
        return None

    async def _verify_with_new_key(self, call: Call, tokens: TokenVerifier, token: str, kid: str) -> None:
        await tokens.keys.refresh(kid)
        try:
            call.caller = tokens.verify(token)
        except UnknownKey as error:
            raise Unauthenticated(
                "CREDENTIALS_INVALID",
                "The access token is signed by a key that this mesh does not have. Sign in again.",
            ) from error
        self._remember(token, call.caller, REMEMBER_TOKEN)

    async def _verify_key(self, call: Call, key: str) -> None:
        caller = await self._look_up(key, network_of(call.peer_address)) if _API_KEY(key) else None
        if caller is None:
            error = Unauthenticated("CREDENTIALS_INVALID", "The API key is unknown, expired or revoked. Use another.")
            self._refuse(key, error)
            raise error
        self._remember(key, caller, REMEMBER_KEY)
        call.caller = caller

    async def _look_up(self, key: str, network: str) -> Caller | None:
        """Asks once, however many calls come with the key. Raises ResourceExhausted for a network that only guesses."""
        allowed = self._failures.take_now(network, FAILURES)
        if not allowed.allowed:
            raise ResourceExhausted(
                "RATE_LIMITED",
                "Too many API keys from this address were not valid. Wait as long as RetryInfo says.",
                metadata={"limit": str(FAILURES.burst), "scope": "peer"},
                retry_after=allowed.retry_after,
            )
        verifying = self._verifying.get(key)
        if verifying is None:
            # In a context of its own: the answer is everybody's, and must not end with the first caller's deadline.
            verifying = asyncio.create_task(self._ask(key), context=contextvars.Context())
            self._verifying[key] = verifying
            verifying.add_done_callback(lambda done: self._asked(key, done))
        caller = await asyncio.shield(verifying)
        if caller is not None:
            self._failures.give_back(network, FAILURES)
        return caller

    async def _ask(self, key: str) -> Caller | None:
        return None if self._api_keys is None else await self._api_keys.verify(key)

    def _asked(self, key: str, done: asyncio.Task[Caller | None]) -> None:
        self._verifying.pop(key, None)
        if not done.cancelled():
            done.exception()  # seen, also when everybody who waited has left

    def _remember(self, credential: str, caller: Caller, seconds: float) -> None:
        until = self._clock() + seconds
        if caller.expires_at is not None:
            until = min(until, caller.expires_at)
        _put(self._known, SCHEME + credential, (until, caller), CAPACITY)

    def _refuse(self, credential: str, error: MeshError) -> None:
        _put(self._refused, credential, (self._clock() + REMEMBER_REFUSED, error), CAPACITY_REFUSED)


class _StreamAuthentication(Link):
    def __init__(self, authentication: Authentication) -> None:
        self._authentication = authentication

    def enter(self, call: Call) -> Pending:
        if AUTHORIZATION in call.headers:
            call.recheck = self._authentication.recheck
        return self._authentication.enter(call)


def _put(remembered: dict[str, tuple[float, _T]], credential: str, outcome: tuple[float, _T], capacity: int) -> None:
    if len(credential) > LONGEST:
        return
    remembered.pop(credential, None)
    if len(remembered) >= capacity:
        remembered.pop(next(iter(remembered)), None)
    remembered[credential] = outcome
