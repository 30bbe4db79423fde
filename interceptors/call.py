"""One call on its way through the chain: what is known of it so far, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from tenantmesh.interceptors.caller import ANONYMOUS, Caller
from tenantmesh.interceptors.entitlements import Entitlements
from tenantmesh.interceptors.errors import Internal, MeshError, Unavailable
from tenantmesh.interceptors.policy import Charge, MethodPolicy
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.interceptors.tenants import TenantId, TenantRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tenantmesh.interceptors.leases.tenant_holdings import Receipt
    from tenantmesh.interceptors.limits import Decision, Rate
    from tenantmesh.interceptors.servers.limit_headers import Limited

__all__ = ["Call", "Metadata", "address_of", "current_call", "enter_call"]

Metadata = Sequence[tuple[str, str | bytes]]


class ServerContext(Protocol):
    """The part of gRPC's two servicer contexts that links use."""

    def peer(self) -> str: ...
    def time_remaining(self) -> float | None: ...
    def auth_context(self) -> Mapping[str, Any]: ...
    def set_trailing_metadata(self, trailing_metadata: Any) -> None: ...


class TellsBurst(Protocol):
    """Says what the caller is told of a decision about its burst."""

    def told(self, rate: Rate, decision: Decision) -> Limited: ...


class Charger(Protocol):
    """Takes from the tenant's allowances."""

    def charge(self, call: Call, charges: Sequence[Charge], now: float) -> Coroutine[Any, Any, None] | None: ...


_NO_HEADERS: dict[str, str] = {}


class Call:
    """A call in progress. Links fill it in; a handler reads it through `current_call()`.

    What most calls never change is a default of the class, so that making a Call costs half a microsecond.
    """

    context: ServerContext
    headers: dict[str, str] = _NO_HEADERS
    """The metadata by key. Only the keys in `metadata.SINGLE` are known to have had one value."""
    request_id: str = ""
    traceparent: str | None = None
    caller: Caller = ANONYMOUS
    tenant: TenantRecord | None = None
    entitled: Entitlements | None = None
    """What the tenant is entitled to, where that is known; handlers read `entitlements`."""
    entitlements_missed: bool = False
    """Whether it could not be found out."""
    charger: Charger | None = None
    """Charges meters; see `charge`."""
    taken: Sequence[Receipt] = ()
    """What the call was charged, to be given back when it is not counted."""
    taken_by_messages: Sequence[Receipt] = ()
    """The same of the messages that it was sent."""
    cut_short: bool = False
    """Whether a stream was ended because an allowance did."""
    ends_with: MeshError | None = None
    """The refusal that ends a stream, whatever its handler makes of it."""
    over: bool = False
    """Whether nothing that is charged now will be given back by itself."""
    blocks: Callable[[Call, Coroutine[Any, Any, None]], None] | None = None
    """Waits in this thread, on servers whose handlers have a thread each."""
    peer_ip: str | None = None
    deadline: float | None = None
    """When the call must be over, on the monotonic clock."""
    deadline_chosen: bool = False
    """Whether that is what the client asked for."""
    cancel_at: float = float("inf")
    """When the watchdog ends the call, on the monotonic clock."""
    ended_by: MeshError | None = None
    """Why the watchdog ended it."""
    recheck: Callable[[Call], Coroutine[Any, Any, None]] | None = None
    """Raises when the credential of an open stream is no longer good."""
    recheck_at: float = 0.0
    degraded: bool = False
    """Whether something answered from less than the truth: a local limiter, a stale directory."""
    burst: tuple[TellsBurst, Rate, Decision] | None = None
    """What was decided of the tenant's burst, and who can say it."""
    limited: Limited | None = None
    """A limit that the caller is told of; see `limit_headers`."""
    entered: int = 0
    """How many links have been entered, where the adapter keeps that here."""
    error: BaseException | None = None
    """Why the call failed, as the links inside of the error boundary see it."""
    code: grpc.StatusCode = grpc.StatusCode.OK
    """The status that the caller sees; final outside of the error boundary."""
    span: object = None

    def __init__(self, policy: MethodPolicy, metadata: Metadata) -> None:
        self.policy = policy
        self.metadata = metadata
        self.started = time.perf_counter()

    @property
    def method(self) -> str:
        """The full name, `/package.Service/Method`."""
        return self.policy.method

    @property
    def tenant_id(self) -> TenantId:
        """The tenant the call is for. Raises Internal where the method's policy does not require one."""
        if self.tenant is None:
            raise Internal("INTERNAL", f"{self.method} read the tenant of a call that has none; see its tenant_scope")
        return self.tenant.id

    @property
    def entitlements(self) -> Entitlements:
        """What the tenant is entitled to. Raises Unavailable when that can't be found out, and Internal where the chain
        or the method's policy has nothing that says it."""
        if self.entitled is not None:
            return self.entitled
        if self.tenant is not None and self.entitlements_missed:
            raise Unavailable(
                "ENTITLEMENTS_UNAVAILABLE",
                "What the tenant is entitled to can't be found out right now. Retry with backoff.",
            )
        raise Internal(
            "INTERNAL",
            f"{self.method} read the entitlements of a call that has none: it has no tenant, or its chain was made "
            "without the port `entitlements`",
        )

    async def charge(self, meter: str, amount: int = 1) -> None:
        """Charges the tenant for what a handler found out to cost more, in the meter's unit; given back when the call
        is not counted, as the charges of its policy are.

        Raises ResourceExhausted `QUOTA_EXHAUSTED`, and Unavailable where the method's policy wants it. For handlers on
        `grpc.server` there is `charge_blocking`.
        """
        pending = self._charging(meter, amount)
        if pending is not None:
            await pending

    def charge_blocking(self, meter: str, amount: int = 1) -> None:
        """The same for handlers that run in a thread of their own."""
        if self.blocks is None:
            raise Internal("INTERNAL", f"{self.method} waits in its event loop: use `await call.charge(…)` there")
        pending = self._charging(meter, amount)
        if pending is not None:
            self.blocks(self, pending)

    def _charging(self, meter: str, amount: int) -> Coroutine[Any, Any, None] | None:
        if self.charger is None:
            raise Internal(
                "INTERNAL",
                f"{self.method} charged {meter}, and there is nobody to: it has no tenant, or its chain was made "
                "without the port `quotas`",
            )
        if amount < 0:
            raise Internal("INTERNAL", f"{self.method} charged {amount} of {meter}: raise an error to give back")
        if amount > LARGEST_AMOUNT:
            raise Internal(
                "INTERNAL",
                f"{self.method} charged {amount} of {meter}, and at most {LARGEST_AMOUNT} can be counted exactly: give "
                "the meter a larger unit, or charge in parts",
            )
        return self.charger.charge(self, (Charge(meter, amount),), time.perf_counter()) if amount else None

    @property
    def peer_address(self) -> str:
        """The IP address the call came from; behind a configured proxy, the one that the proxy saw. `unknown` for
        transports without addresses."""
        return self.peer_ip or address_of(self.context.peer())

    def time_remaining(self) -> float | None:
        """Seconds until the deadline, never negative; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


def address_of(peer: str) -> str:
    """The IP address in gRPC's peer string: `ipv4:127.0.0.1:5000`, `ipv6:[::1]:5000` or with `%5B` escapes."""
    scheme, _, rest = peer.partition(":")
    if scheme == "ipv4":
        return rest.rpartition(":")[0]
    if scheme == "ipv6":
        return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]").partition("%")[0]
    return "unknown"


_current: ContextVar[Call] = ContextVar("tenantmesh_call")


def current_call() -> Call:
    """The call that this code serves. Raises LookupError outside of one."""
    return _current.get()


enter_call = _current.set
