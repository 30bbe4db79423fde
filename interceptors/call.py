"""One call on its way through the chain: what is known of it so far, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from interceptors.caller import ANONYMOUS, Caller
from interceptors.errors import Internal
from interceptors.policy import MethodPolicy
from interceptors.tenants import TenantId, TenantRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Call", "Metadata", "current_call"]

Metadata = Sequence[tuple[str, str | bytes]]


class ServerContext(Protocol):
    """The part of gRPC's two servicer contexts that links use."""

    def peer(self) -> str: ...
    def time_remaining(self) -> float | None: ...
    def auth_context(self) -> Mapping[str, Any]: ...
    def set_trailing_metadata(self, trailing_metadata: Any) -> None: ...


class Call:
    """A call in progress. Links fill it in; a handler reads it through `current_call()`."""

    __slots__ = (
        "caller",
        "cancel_at",
        "code",
        "context",
        "deadline",
        "degraded",
        "entered",
        "error",
        "headers",
        "metadata",
        "overdue",
        "peer_ip",
        "policy",
        "request_id",
        "span",
        "started",
        "tenant",
        "traceparent",
    )

    def __init__(self, policy: MethodPolicy, metadata: Metadata) -> None:
        self.policy = policy
        self.metadata = metadata
        self.context: ServerContext
        self.headers: dict[str, str] = {}
        """The single-valued keys that the chain reads, once they have been checked."""
        self.request_id = ""
        self.traceparent: str | None = None
        self.caller: Caller = ANONYMOUS
        self.tenant: TenantRecord | None = None
        self.peer_ip: str | None = None
        self.started = time.perf_counter()
        self.deadline: float | None = None
        """When the call must be over, on the monotonic clock."""
        self.cancel_at = float("inf")
        """When the watchdog ends the call, on the monotonic clock."""
        self.overdue = False
        """Whether the watchdog ended it."""
        self.degraded = False
        """Whether something answered from less than the truth: a local limiter, a stale directory."""
        self.entered = 0
        """How many links have been entered."""
        self.error: BaseException | None = None
        self.code = grpc.StatusCode.OK
        self.span: object = None

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
