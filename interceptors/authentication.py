"""Link 7: who calls. An access token, an API key, or the identity in a client certificate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from interceptors.call import Call
from interceptors.caller import ANONYMOUS, Caller
from interceptors.errors import MeshError, Unauthenticated
from interceptors.link import Link, Pending
from interceptors.metadata import AUTHORIZATION
from interceptors.policy import MethodPolicy
from interceptors.tokens import TokenVerifier, UnknownKey

__all__ = ["API_KEY_PREFIX", "ApiKeyVerifier", "Authentication"]

API_KEY_PREFIX = "tmk_"
REMEMBER = 30.0
"""Seconds for which a verified credential is believed without looking again; revocation waits no longer."""
REMEMBER_REFUSED = 5.0
"""Seconds for which a refused one is refused without looking again, so that repeating it costs the mesh nothing."""
CAPACITY = 10_000
LONGEST = 1024
"""The longest credential that is remembered: with CAPACITY it bounds the memory that strangers can fill."""


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
        self._known: dict[str, tuple[float, Caller | MeshError]] = {}

    def bind(self, policy: MethodPolicy) -> Link | None:
        """Probes and reflection carry no credential and need none."""
        return None if policy.method.startswith("/grpc.") else self

    def enter(self, call: Call) -> Pending:
        """Decides from memory, or verifies."""
        header = call.headers.get(AUTHORIZATION)
        if header is None:
            self._without_credential(call)
            return None
        if header[:7].lower() != "bearer ":
            raise Unauthenticated("CREDENTIALS_INVALID", "Send the credential as `authorization: Bearer <credential>`.")
        credential = header[7:]
        remembered = self._known.get(credential)
        if remembered is not None and remembered[0] > self._clock():
            outcome = remembered[1]
            if isinstance(outcome, MeshError):
                # Without this each raise would add its frames to the remembered error's traceback.
                raise outcome.with_traceback(None)
            call.caller = outcome
            return None
        if credential.startswith(API_KEY_PREFIX):
            return self._verify_key(call, credential)
        return self._verify_token(call, credential)

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
            self._remember(token, error, REMEMBER_REFUSED)
            raise
        self._remember(token, call.caller, REMEMBER)
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
        self._remember(token, call.caller, REMEMBER)

    async def _verify_key(self, call: Call, key: str) -> None:
        caller = await self._api_keys.verify(key) if self._api_keys is not None else None
        if caller is None:
            error = Unauthenticated("CREDENTIALS_INVALID", "The API key is unknown, expired or revoked. Use another.")
            self._remember(key, error, REMEMBER_REFUSED)
            raise error
        self._remember(key, caller, REMEMBER)
        call.caller = caller

    def _remember(self, credential: str, outcome: Caller | MeshError, seconds: float) -> None:
        until = self._clock() + seconds
        if isinstance(outcome, Caller) and outcome.expires_at is not None:
            until = min(until, outcome.expires_at)
        if len(credential) > LONGEST:
            return
        if len(self._known) >= CAPACITY:
            self._known.pop(next(iter(self._known)), None)
        self._known[credential] = (until, outcome)
