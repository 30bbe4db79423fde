"""The call being served, as its handler sees it."""

from __future__ import annotations

from typing import Protocol

from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.entitlements import Entitlements
from tenantmesh.interceptors.passage import current
from tenantmesh.interceptors.tenants import TenantId, TenantRecord

__all__ = ["Call", "current_call"]


class Call(Protocol):
    """The call that a handler serves: properties to read, and methods that charge for it.

    A Protocol, so that a test of a handler can pass a class of its own. The chain's own class is `passage.Passage`.
    """

    @property
    def method(self) -> str:
        """The full name, `/package.Service/Method`."""
        ...

    @property
    def request_id(self) -> str:
        """The id that the caller sent, or the one that the chain made."""
        ...

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of the call: of its own span where it is traced, else what the caller sent, or None."""
        ...

    @property
    def caller(self) -> Caller:
        """The verified caller; `ANONYMOUS` for a call without a credential."""
        ...

    @property
    def tenant(self) -> TenantRecord | None:
        """The tenant that the call is for, or None."""
        ...

    @property
    def tenant_id(self) -> TenantId:
        """The id of that tenant. Raises Internal where the method's policy does not require one."""
        ...

    @property
    def entitlements(self) -> Entitlements:
        """The tenant's entitlements. Raises Unavailable when they can't be read right now, and Internal where the chain
        or the method's policy has no source of them."""
        ...

    @property
    def peer_address(self) -> str:
        """The IP address that the call came from; behind a trusted proxy, the one that the proxy saw. `unknown` for
        transports without addresses."""
        ...

    @property
    def host(self) -> str:
        """The host that the caller has used at a trusted proxy, with its port; empty for a call that came without
        one."""
        ...

    @property
    def tenant_query(self) -> str:
        """The `?tenant=` of a call that came over REST; empty without one. It is the call's tenant only where the
        method's policy is for one."""
        ...

    @property
    def degraded(self) -> bool:
        """True when a link used stale data or a limiter of this process alone."""
        ...

    def time_remaining(self) -> float | None:
        """Seconds until the deadline, never negative; None without a deadline."""
        ...

    async def charge(self, meter: str, amount: int = 1) -> None:
        """Charge the tenant an amount that only the handler knows, in the meter's unit. It is refunded when the call is
        not counted, as the charges of the method's policy are.

        Raises ResourceExhausted `QUOTA_EXHAUSTED`, and Unavailable where the method's policy says so. For handlers on
        `grpc.server` there is `charge_blocking`.
        """
        ...

    def charge_blocking(self, meter: str, amount: int = 1) -> None:
        """Do the same for handlers that run in a thread of their own."""
        ...


def current_call() -> Call:
    """Return the call that this code serves. Raises LookupError outside of one."""
    return current.get()
