"""A call on its way through the chain, with the state that links and servers keep of it.

Handlers see the part of it that is `call.Call`. An attribute that one link keeps for itself says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from time import monotonic, perf_counter
from typing import Any, Protocol, TypeAlias

import grpc

from tenantmesh.interceptors.addresses import address_of
from tenantmesh.interceptors.caller import ANONYMOUS, Caller
from tenantmesh.interceptors.concurrency import Lane
from tenantmesh.interceptors.entitlements import Entitlements, entitlements_unavailable
from tenantmesh.interceptors.errors import Internal, MeshError
from tenantmesh.interceptors.limits import Limited, RateDecision
from tenantmesh.interceptors.metadata import FORWARDED_HOST, TENANT_QUERY, TRACESTATE
from tenantmesh.interceptors.policy import MethodPolicy
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT, Charge, ChargeReceipt
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tenants import TenantId, TenantRecord

__all__ = [
    "HandlerAborted",
    "Metadata",
    "OpenWatch",
    "Passage",
    "Recheck",
    "StreamMetering",
    "Waiting",
    "caused_by",
    "current",
]

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]
Waiting: TypeAlias = Coroutine[Any, Any, None] | None
"""The rest of a step that has to wait; None for a step that is done."""


class ServerContext(Protocol):
    """The part of gRPC's two servicer contexts that links use."""

    def peer(self) -> str: ...
    def time_remaining(self) -> float | None: ...
    def auth_context(self) -> Mapping[str, Any]: ...
    def set_trailing_metadata(self, trailing_metadata: Any) -> None: ...


class Charger(Protocol):
    """Charges a call's tenant."""

    def charge(self, call: Passage, charges: Sequence[Charge], now: float) -> Waiting:
        """Must charge all meters or none, and refund them when the call turns out not to count."""
        ...


class HandlerAborted(Exception):
    """The handler ended the call itself, with `context.abort`; its status stands."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code.name)
        self.code = code


class Recheck:
    """How to look again at what an open stream was admitted for, and when."""

    __slots__ = ("check", "due_at", "every", "unchanged")

    def __init__(
        self,
        check: Callable[[Passage], Coroutine[Any, Any, None]],
        every: float,
        unchanged: Callable[[Passage], bool] = lambda _: False,
    ) -> None:
        self.check = check
        """Raises a MeshError when the stream must end."""
        self.every = every
        """Seconds between two looks."""
        self.unchanged = unchanged
        """Says from memory whether a look would find nothing new. Called from any thread."""
        self.due_at = 0.0
        """The next look, on the monotonic clock."""


class OpenWatch:
    """The state of an endless stream whose end its caller is told: see `streams.until_ended`."""

    __slots__ = ("began", "last", "resting", "share", "to_last")

    def __init__(self, to_last: Callable[[MeshError], Any]) -> None:
        self.to_last = to_last
        """Makes the message that tells a caller over REST of the error that ends the stream."""
        self.last = False
        """True once that message is being sent."""
        self.began = monotonic()
        self.share = 1 - secrets.randbelow(100) / 1000
        """The part of the longest time for which this one lasts, so that not all of them end at once."""
        self.resting = False
        """True while the stream waits for its next message; then its task may be cancelled without harm."""


class StreamMetering:
    """The state of the link `quota` for a stream, or for a call that it refused."""

    taken: Sequence[ChargeReceipt] = ()
    """Units to refund for messages that were received, when the call fails."""
    cut_short: bool = False
    """True when a stream ended because an allowance did."""
    refusal: MeshError | None = None
    """The error that ends a stream, even when its handler swallows it."""


_NO_HEADERS: dict[str, str] = {}


class Passage:
    """A call in progress. Links and servers fill it in; handlers read it as `Call`.

    Defaults are class attributes, so that making a Passage sets three and costs half a microsecond at most.
    """

    context: ServerContext
    headers: dict[str, str] = _NO_HEADERS
    """The metadata by key. Only the keys in `metadata.SINGLE` are known to have had one value."""
    request_id: str = ""
    traceparent: str | None = None
    span_state: str | None = None
    """The `tracestate` of the call's own span. Kept by `telemetry`."""
    caller: Caller = ANONYMOUS
    tenant: TenantRecord | None = None
    degraded: bool = False

    entitled: Entitlements | None = None
    """The tenant's entitlements, where they are known. Handlers read `entitlements`."""
    entitlements_missed: bool = False
    """True when they could not be read."""

    peer_ip: str | None = None
    """The address that `forwarded_origin` found."""
    deadline: float | None = None
    """When the call must be over, on the monotonic clock."""
    deadline_chosen: bool = False
    """True when the deadline is the client's own."""
    cancel_at: float = float("inf")
    """When the watchdog ends the call, on the monotonic clock."""
    ended_by: MeshError | None = None
    """Why the watchdog ended the call."""
    watch: OpenWatch | None = None
    """Set on endless streams; the watchdog ends them in time."""
    rechecks: tuple[Recheck, ...] = ()
    """Set on streams, for their credential and for their tenant; the watchdog follows them."""

    lanes: tuple[Lane, ...] = ()
    """Where the call counts as in flight. Kept by `in_flight`."""
    burst: RateDecision | None = None
    """The tenant's burst limit after this call. Kept by `tenant_limit`."""
    charger: Charger | None = None
    """Set where the tenant can be charged; see `charge`."""
    taken: Sequence[ChargeReceipt] = ()
    """Units to refund when the call is not counted. Kept by `quota`."""
    stream: StreamMetering | None = None
    """Kept by `quota` as well, where it is needed: making one costs more than a charge does."""
    limited: Limited | None = None
    """The limit that refused the call or a charge of its handler."""
    runs_short: bool = False
    """True where less than a quarter is left of a limit that the call met. Kept by `tenant_limit` and `quota`."""
    left: bool = False
    """True once the chain has left the call: a charge that completes later must refund itself."""

    error: BaseException | None = None
    """Why the call failed, as the links inside of the error boundary see it."""
    code: grpc.StatusCode = grpc.StatusCode.OK
    """The status that the caller sees; final outside of the error boundary."""
    span: object = None
    """Kept by `telemetry`."""

    def __init__(self, policy: MethodPolicy, metadata: Metadata) -> None:
        self.policy = policy
        self.metadata = metadata
        self.started = perf_counter()

    @property
    def method(self) -> str:
        """As `Call.method`."""
        return self.policy.method

    @property
    def trace(self) -> TraceContext | None:
        """The trace context for calls onward: the one of the call's own span, else the caller's; None without one."""
        if self.traceparent is None:
            return None
        if self.span_state is not None:
            return self.traceparent, self.span_state
        if TRACESTATE not in self.headers:
            return self.traceparent, ""
        states = (str(value) for key, value in self.metadata if key == TRACESTATE)  # several are one list
        return self.traceparent, ",".join(states)

    @property
    def tenant_id(self) -> TenantId:
        """As `Call.tenant_id`."""
        if self.tenant is None:
            raise Internal("INTERNAL", f"{self.method} read the tenant of a call that has none; see its tenant_scope")
        return self.tenant.id

    @property
    def entitlements(self) -> Entitlements:
        """As `Call.entitlements`."""
        if self.entitled is not None:
            return self.entitled
        if self.tenant is not None and self.entitlements_missed:
            raise entitlements_unavailable()
        raise Internal(
            "INTERNAL",
            f"{self.method} read the entitlements of a call that has none: it has no tenant, or its chain was made "
            "without the port `entitlements`",
        )

    @property
    def peer_address(self) -> str:
        """As `Call.peer_address`."""
        return self.peer_ip or address_of(self.context.peer())

    @property
    def host(self) -> str:
        """As `Call.host`."""
        return self.headers.get(FORWARDED_HOST, "")

    @property
    def tenant_query(self) -> str:
        """As `Call.tenant_query`."""
        return self.headers.get(TENANT_QUERY, "")

    def time_remaining(self) -> float | None:
        """As `Call.time_remaining`."""
        return None if self.deadline is None else max(0.0, self.deadline - monotonic())

    async def charge(self, meter: str, amount: int = 1) -> None:
        """As `Call.charge`."""
        if (waiting := self.begin_charge(meter, amount)) is not None:
            await waiting

    def charge_blocking(self, meter: str, amount: int = 1) -> None:
        """As `Call.charge_blocking`. The thread-pool server has its own."""
        raise Internal("INTERNAL", f"{self.method} waits in its event loop: use `await call.charge(…)` there")

    def begin_charge(self, meter: str, amount: int) -> Waiting:
        """Check an amount that a handler charges, and charge it as far as that is possible without waiting."""
        if self.charger is None:
            raise Internal(
                "INTERNAL",
                f"{self.method} charged {meter} without a tenant to charge: the method has no tenant, or its chain was "
                "made without the port `quotas`",
            )
        if amount < 0:
            raise Internal("INTERNAL", f"{self.method} charged {amount} of {meter}: an amount can't be negative")
        if amount > LARGEST_AMOUNT:
            raise Internal(
                "INTERNAL",
                f"{self.method} charged {amount} of {meter}, and at most {LARGEST_AMOUNT} can be counted exactly: give "
                "the meter a larger unit, or charge in parts",
            )
        return self.charger.charge(self, (Charge(meter, amount),), perf_counter()) if amount else None


current: ContextVar[Passage] = ContextVar("tenantmesh_call")
"""The call that this code serves."""
caused_by: ContextVar[Passage] = ContextVar("tenantmesh_cause")
"""The call that was the first to ask for the work of this code, which several calls may wait for."""
