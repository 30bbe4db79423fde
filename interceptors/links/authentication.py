"""The caller, from an access token, an API key, or the identity in a client certificate."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from tenantmesh.interceptors.addresses import network_of
from tenantmesh.interceptors.caller import ANONYMOUS, Caller
from tenantmesh.interceptors.credentials import API_KEY_PREFIX, ApiKeyVerifier, TokenVerifier, UnknownKey
from tenantmesh.interceptors.errors import MeshError, ResourceExhausted, Unauthenticated
from tenantmesh.interceptors.limits import LocalRateLimiter, Rate
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.metadata import AUTHORIZATION
from tenantmesh.interceptors.passage import Passage, Recheck, Waiting
from tenantmesh.interceptors.policy import MethodPolicy
from tenantmesh.interceptors.tasks import SingleFlight

__all__ = ["CAPACITY_REFUSED", "Authentication"]

_T = TypeVar("_T")

REMEMBER_TOKEN = 30.0
"""Seconds for which a verified access token is accepted without verifying it again."""
REMEMBER_KEY = 1.0
"""The same for API keys: a key that is revoked stops working within this time, everywhere."""
REMEMBER_REFUSED = 5.0
"""Seconds for which a refused credential is refused without looking again, so that repeating it costs nothing."""
RECHECK = 2.0
"""Seconds between two checks of an open stream's credential. Streams with the same credential share one."""
CAPACITY = 10_000
CAPACITY_REFUSED = 2_000
"""Apart from the good ones, so that made-up credentials can't displace them."""
LONGEST = 1024
"""The longest credential that is remembered: with CAPACITY it bounds the memory that strangers can fill."""
SCHEME = "Bearer "

FAILURES = Rate(per_second=5, burst=100)
"""API keys that fail, from one network: each costs a look-up, so that guessing must not be free."""
_API_KEY = re.compile(r"tmk_[A-Za-z0-9_-]{16,200}", re.ASCII).fullmatch


class Authentication:
    """Establishes `call.caller`.

    A credential that is present must be valid even where none is needed: serving an expired token as an anonymous call
    would hide the mistake. Outcomes are remembered for seconds, by the whole credential and never by a part of it.
    """

    def __init__(
        self,
        tokens: TokenVerifier | None,
        api_keys: ApiKeyVerifier | None,
        failures: LocalRateLimiter,
        identities: Mapping[str, Caller],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._api_keys = api_keys
        self._failures = failures
        self._identities = identities
        self._clock = clock
        self._known: dict[str, tuple[float, Caller]] = {}
        """By the whole header, so that a look-up need not cut the credential out."""
        self._refused: dict[str, tuple[float, MeshError]] = {}
        self._verifying: SingleFlight[str, Caller | None] = SingleFlight(self._ask)

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """As `Link.bind`. Probes and reflection carry no credential and need none. A stream lives no longer than its
        credential."""
        if policy.method.startswith("/grpc."):
            return None
        return Moments(enter=self.enter_stream if policy.streams else self.enter)

    def enter(self, call: Passage) -> Waiting:
        """Find the caller in memory, or verify the credential."""
        header = call.headers.get(AUTHORIZATION)
        if header is None:
            call.caller = self._without_credential(call)
            return None
        remembered = self._known.get(header)
        if remembered is not None and remembered[0] > self._clock():
            call.caller = remembered[1]
            return None
        found = self._identify(header, call)
        if isinstance(found, Caller):
            call.caller = found
            return None
        return self._establish(call, found)

    def enter_stream(self, call: Passage) -> Waiting:
        """Do the same, and have the watchdog check the credential again while the stream is open."""
        if AUTHORIZATION in call.headers:
            call.rechecks += (Recheck(self.recheck, RECHECK),)
        return self.enter(call)

    async def recheck(self, call: Passage) -> None:
        """Raise Unauthenticated when the credential that the call came with is no longer valid for its caller."""
        found = self._identify(call.headers[AUTHORIZATION], call)
        again = found if isinstance(found, Caller) else await found
        if again != call.caller:
            raise Unauthenticated(
                "CREDENTIALS_INVALID", "The credential now identifies another caller. Open the stream again."
            )

    async def _establish(self, call: Passage, verifying: Coroutine[Any, Any, Caller]) -> None:
        call.caller = await verifying

    def _identify(self, header: str, call: Passage) -> Caller | Coroutine[Any, Any, Caller]:
        """Return the caller that the header stands for. `call` is only asked where it came from."""
        if (known := self._recall(header)) is not None:
            return known
        if header[: len(SCHEME)].lower() != SCHEME.lower():
            raise Unauthenticated("CREDENTIALS_INVALID", "Send the credential as `authorization: Bearer <credential>`.")
        credential = header[len(SCHEME) :]
        if not header.startswith(SCHEME) and (known := self._recall(SCHEME + credential)) is not None:
            return known
        refused = self._refused.get(credential)
        if refused is not None and refused[0] > self._clock():
            # Without this each raise would add its frames to the remembered error's traceback.
            raise refused[1].with_traceback(None)
        if credential.startswith(API_KEY_PREFIX):
            return self._verify_key(credential, call.peer_address)
        return self._verify_token(credential)

    def _recall(self, header: str) -> Caller | None:
        """Return the caller of a header, in its usual spelling, that was verified a moment ago."""
        remembered = self._known.get(header)
        return None if remembered is None or remembered[0] <= self._clock() else remembered[1]

    def _without_credential(self, call: Passage) -> Caller:
        caller = self._from_certificate(call) if self._identities else None
        if caller is None and not call.policy.public:
            raise Unauthenticated(
                "CREDENTIALS_MISSING",
                "This method needs a credential. Send an access token or API key as authorization: Bearer.",
            )
        return caller or ANONYMOUS

    def _from_certificate(self, call: Passage) -> Caller | None:
        """Return the caller of the verified client certificate's SPIFFE identity."""
        for identity in call.context.auth_context().get("peer_spiffe_id", ()):
            caller = self._identities.get(identity.decode("ascii", "replace"))
            if caller is not None:
                return caller
        return None

    def _verify_token(self, token: str) -> Caller | Coroutine[Any, Any, Caller]:
        if self._tokens is None:
            raise Unauthenticated("CREDENTIALS_INVALID", "This service accepts no access tokens. Use an API key.")
        try:
            caller = self._tokens.verify(token)
        except UnknownKey as unknown:
            return self._verify_with_new_key(self._tokens, token, unknown.kid)
        except Unauthenticated as error:
            self._refuse(token, error)
            raise
        self._remember(token, caller, REMEMBER_TOKEN)
        return caller

    async def _verify_with_new_key(self, tokens: TokenVerifier, token: str, kid: str) -> Caller:
        await tokens.refresh(kid)
        try:
            caller = tokens.verify(token)
        except UnknownKey as error:
            raise Unauthenticated(
                "CREDENTIALS_INVALID",
                "The access token is signed by a key that this mesh does not have. Sign in again.",
            ) from error
        self._remember(token, caller, REMEMBER_TOKEN)
        return caller

    async def _verify_key(self, key: str, address: str) -> Caller:
        caller = await self._look_up(key, network_of(address)) if _API_KEY(key) else None
        if caller is None:
            error = Unauthenticated("CREDENTIALS_INVALID", "The API key is unknown, expired or revoked. Use another.")
            self._refuse(key, error)
            raise error
        self._remember(key, caller, REMEMBER_KEY)
        return caller

    async def _look_up(self, key: str, network: str) -> Caller | None:
        """Ask once, however many calls come with the key. Raises ResourceExhausted for a network that only guesses."""
        allowed = self._failures.take_now(network, FAILURES)
        if not allowed.allowed:
            raise ResourceExhausted(
                "RATE_LIMITED",
                "Too many API keys from this address were not valid. Wait as long as RetryInfo says.",
                metadata={"limit": str(FAILURES.burst), "scope": "peer"},
                retry_after=allowed.retry_after,
            )
        caller = await self._verifying.result(key)
        if caller is not None:
            self._failures.give_back(network, FAILURES)
        return caller

    async def _ask(self, key: str) -> Caller | None:
        return None if self._api_keys is None else await self._api_keys.verify(key)

    def _remember(self, credential: str, caller: Caller, seconds: float) -> None:
        until = self._clock() + seconds
        if caller.expires_at is not None:
            until = min(until, caller.expires_at)
        _put(self._known, SCHEME + credential, (until, caller), CAPACITY)

    def _refuse(self, credential: str, error: MeshError) -> None:
        _put(self._refused, credential, (self._clock() + REMEMBER_REFUSED, error), CAPACITY_REFUSED)


def _put(remembered: dict[str, tuple[float, _T]], credential: str, outcome: tuple[float, _T], capacity: int) -> None:
    if len(credential) > LONGEST:
        return
    remembered.pop(credential, None)
    if len(remembered) >= capacity:
        remembered.pop(next(iter(remembered)), None)
    remembered[credential] = outcome
