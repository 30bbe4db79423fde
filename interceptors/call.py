"""One call on its way through the chain: what is known of it so far, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from interceptors.caller import ANONYMOUS, Caller
from interceptors.errors import Internal, MeshError
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
    """A call in progress. Links fill it in; a handler reads it through `current_call()`.

    What most calls never change is a default of the class, so that making a Call costs half a microsecond.
    """

    context: ServerContext
    headers: dict[str, str]
    """The metadata by key. Only the keys in `metadata.SINGLE` are known to have had one value."""
    request_id: str = ""
    traceparent: str | None = None
    caller: Caller = ANONYMOUS
    tenant: TenantRecord | None = None
    peer_ip: str | None = None
    deadline: float | None = None
    """When the call must be over, on the monotonic clock."""
    cancel_at: float = float("inf")
    """When the watchdog ends the call, on the monotonic clock."""
    ended_by: MeshError | None = None
    """Why the watchdog ended it."""
    recheck: Callable[[Call], Coroutine[Any, Any, None]] | None = None
    """Raises when the credential of an open stream is no longer good."""
    recheck_at: float = 0.0
    degraded: bool = False
    """Whether something answered from less than the truth: a local limiter, a stale directory."""
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
