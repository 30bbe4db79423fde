"""The chain: which links a call passes, in which order, and why each stands where it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import ServiceDescriptor

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.bounded_lines import BoundedLines, LineBound
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.concurrency import DEFAULT_CONCURRENCY, CallsInFlight, Concurrency
from tenantmesh.interceptors.credentials import ApiKeyVerifier, TokenVerifier
from tenantmesh.interceptors.entitlements import EntitlementLookup
from tenantmesh.interceptors.errors import PermissionDenied, Unimplemented
from tenantmesh.interceptors.limits import DEFAULT_RATES, Rate, RateLimiter
from tenantmesh.interceptors.link import CompiledChain, Link, Moments, compile_chain
from tenantmesh.interceptors.links.authentication import CAPACITY_REFUSED, Authentication
from tenantmesh.interceptors.links.authorization import Authorization
from tenantmesh.interceptors.links.deadline import Deadline
from tenantmesh.interceptors.links.entitlement import Entitlement
from tenantmesh.interceptors.links.error_boundary import ErrorBoundary
from tenantmesh.interceptors.links.forwarded_origin import ForwardedOrigin
from tenantmesh.interceptors.links.in_flight import InFlight
from tenantmesh.interceptors.links.metadata_hygiene import MetadataHygiene
from tenantmesh.interceptors.links.peer_limit import PeerLimit
from tenantmesh.interceptors.links.quota import Quota
from tenantmesh.interceptors.links.request_id import RequestId
from tenantmesh.interceptors.links.telemetry import CallTelemetry
from tenantmesh.interceptors.links.tenancy import Tenancy
from tenantmesh.interceptors.links.tenant_limit import TenantLimit
from tenantmesh.interceptors.logs import AccessLog, bound_security_events
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, policies_of
from tenantmesh.interceptors.quotas import Allowances
from tenantmesh.interceptors.records import AuditSink, CallObserver, CallTracer, UsageSink
from tenantmesh.interceptors.roles import DEFAULT_ROLES, Roles
from tenantmesh.interceptors.tenants import TenantLookup
from tenantmesh.interceptors.unknown_methods import OTHER, UnknownMethods

if TYPE_CHECKING:
    import grpc

    from tenantmesh.interceptors.servers.aio import AioInterceptor
    from tenantmesh.interceptors.servers.threads import ThreadInterceptor

__all__ = ["DENYING", "LINKS", "Chain", "ChainPorts", "ChainSettings"]


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """The settings that differ between installations."""

    base_domain: str = ""
    """`acme.<base_domain>` is the host of the tenant with the slug acme. Empty: hosts name no tenants."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose forwarded headers count."""
    identities: Mapping[str, Caller] = field(default_factory=dict)
    """Callers by the SPIFFE identity in their client certificate."""
    roles: Roles = field(default_factory=lambda: DEFAULT_ROLES)
    rates: Mapping[str, Rate] = field(default_factory=lambda: DEFAULT_RATES)
    """Burst limits by rate class."""
    concurrency: Mapping[str, Concurrency] = field(default_factory=lambda: DEFAULT_CONCURRENCY)
    """Bounds of the calls in flight by concurrency class, in this process."""
    access_log: AccessLog = AccessLog.REFUSALS
    refusal_lines: LineBound = field(default_factory=LineBound)
    """Bound of the log lines about refused calls, security events and failures, by reason and address."""
    read_timeout: float = 10.0
    """Seconds for which a unary request may stay half-sent."""
    longest_watch: float = math.inf
    """Seconds after which an endless stream of `streams.until_ended` is ended. Choose less than the server's
    `grpc.max_connection_age_grace_ms`, after which gRPC itself cuts the streams of an aged connection."""
    max_request_bytes: int = 4 * 1024 * 1024
    """The largest message of a request. It is refused with its reason where the server's own limit,
    `grpc.max_receive_message_length`, is higher: gRPC takes 4 MiB unless it is told otherwise."""
    max_answer_bytes: int = 4 * 1024 * 1024
    """The largest message of an answer. gRPC's clients accept 4 MiB unless they are told otherwise."""


@dataclass(frozen=True, slots=True)
class ChainPorts:
    """The ports that the links use. Each is optional: a link without its port is left out, and a policy that needs it
    is refused when the chain is built."""

    tokens: TokenVerifier | None = None
    api_keys: ApiKeyVerifier | None = None
    directory: TenantLookup | None = None
    entitlements: EntitlementLookup | None = None
    limiter: RateLimiter | None = None
    quotas: Allowances[Any] | None = None
    observer: CallObserver | None = None
    tracer: CallTracer | None = None
    lines: BoundedLines | None = None
    """The chain makes its own where none are given."""


@dataclass(frozen=True, slots=True)
class Row:
    """A link's place in the chain."""

    name: str
    build: Callable[[ChainPorts, ChainSettings], Link] | None
    """None: the place is reserved."""
    reason: str
    port: type | None = None
    """The port of a link whose place is reserved."""


LINKS: tuple[Row, ...] = (
    Row("request_id", lambda _p, _s: RequestId(), "everything after it can be correlated"),
    Row(
        "telemetry",
        lambda p, s: CallTelemetry(p.observer, p.tracer, s.access_log, p.lines),
        "sees the final status of refusals",
    ),
    Row("error_boundary", lambda p, _s: ErrorBoundary(p.lines), "inside telemetry, outside all that can raise"),
    Row("deadline", lambda _p, _s: Deadline(), "bounds all I/O"),
    Row("metadata_hygiene", lambda _p, _s: MetadataHygiene(), "before anything reads metadata"),
    Row("forwarded_origin", lambda _p, s: ForwardedOrigin(s.trusted_proxies), "hygiene of what proxies say"),
    Row(
        "peer_limit",
        lambda p, s: PeerLimit(p.limiter, MemoryRateLimiter(), s.rates),
        "public methods: before any secret is compared",
    ),
    Row(
        "authentication",
        lambda p, s: Authentication(p.tokens, p.api_keys, MemoryRateLimiter(capacity=CAPACITY_REFUSED), s.identities),
        "who",
    ),
    Row("tenancy", lambda p, s: Tenancy(p.directory, s.base_domain), "which tenant; needs who"),
    Row("authorization", lambda _p, s: Authorization(s.roles), "audience and permission of the policy"),
    Row("in_flight", lambda _p, s: InFlight(s.concurrency), "places of a tenant; before anything waits or consumes"),
    Row("usage", None, "outside the gates: refusals are counted, only served calls are billable", UsageSink),
    Row("audit", None, "outside the gates too: refusals are recorded", AuditSink),
    Row("entitlement", lambda p, _s: Entitlement(p.entitlements), "the plan's features; cheap, before counters move"),
    Row("tenant_limit", lambda p, s: TenantLimit(p.limiter, MemoryRateLimiter(), s.rates), "burst"),
    Row(
        "quota",
        lambda p, _s: Quota(p.quotas, p.entitlements),
        "period allowance; last, because it consumes",
    ),
)
"""Outermost first."""

DENYING = frozenset({"request_id", "telemetry", "error_boundary"})
"""The links that a method without a policy passes before it is refused: correlation, telemetry, the boundary."""


class Chain:
    """The links of one process, compiled per method.

    services: the services whose methods have policies. With `complete`, each of their methods must have one; without,
    the missing ones are refused when they are called. So are all methods of other services, except the standard health
    and reflection ones. Raises PolicyError for policies that are missing, contradictory, or can't be kept.

    disconnect: closes what the ports are connected to. Closing a thread-pool server's interceptor calls it last, on the
    loop of that interceptor, which nobody else can reach.
    """

    def __init__(
        self,
        services: Iterable[ServiceDescriptor],
        ports: ChainPorts,
        settings: ChainSettings | None = None,
        *,
        complete: bool = True,
        disconnect: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._disconnect = disconnect
        self.settings = settings or ChainSettings()
        self.lines = ports.lines or BoundedLines(self.settings.refusal_lines)
        """Bounds the log lines that callers cause."""
        bound_security_events(self.lines)
        ports = self.ports = replace(ports, lines=self.lines)
        policies = policies_of(services, complete=complete)
        links = {row.name: row.build(ports, self.settings) for row in LINKS if row.build is not None}
        self._compiled = {method: compile_chain(links.values(), policy) for method, policy in policies.items()}
        self._denying = (*(link for name, link in links.items() if name in DENYING), _Deny())
        counting = CallTelemetry(ports.observer, ports.tracer, AccessLog.OFF)  # the lines of strangers are bounded
        unknown = (RequestId(), counting, ErrorBoundary(self.lines), _RefuseUnknown())
        self._unknown = UnknownMethods(compile_chain(unknown, MethodPolicy(OTHER, frozenset())), self.lines)
        self._interceptors: list[AioInterceptor] = []
        link = links.get("in_flight")
        self.in_flight: tuple[CallsInFlight, ...] = tuple(link.classes.values()) if isinstance(link, InFlight) else ()
        """The calls in flight, by class."""

    def find(self, method: str) -> CompiledChain:
        """Return the method's links. A method without a policy passes those in DENYING and is refused."""
        return self._compiled.get(method) or compile_chain(self._denying, MethodPolicy(method, frozenset()))

    def aio_interceptor(self) -> grpc.aio.ServerInterceptor:
        """Return the interceptor for `grpc.aio.server(interceptors=[…])`."""
        from tenantmesh.interceptors.servers.aio import AioInterceptor

        settings = self.settings
        self._interceptors.append(
            AioInterceptor(
                self.find,
                self._unknown,
                settings.read_timeout,
                settings.longest_watch,
                settings.max_request_bytes,
                settings.max_answer_bytes,
            )
        )
        return self._interceptors[-1]

    def thread_interceptor(self) -> ThreadInterceptor:
        """Return the interceptor for `grpc.server(…, interceptors=[…])`. Starts the chain on a loop of its own
        thread."""
        from tenantmesh.interceptors.servers.threads import ThreadInterceptor

        settings = self.settings
        return ThreadInterceptor(
            self.find,
            self._unknown,
            settings.read_timeout,
            settings.max_request_bytes,
            settings.max_answer_bytes,
            self.start,
            self._close_all,
        )

    async def start(self) -> None:
        """Begin to follow tenants and their entitlements. Call it on the loop that serves."""
        ports = self.ports
        for port in (ports.directory, ports.entitlements, ports.quotas):
            if port is not None:
                await port.start()

    def end_watches(self) -> None:
        """End the endless streams of `streams.until_ended`, each with its reason. Call it when the server begins to
        stop; `close` does it too."""
        for interceptor in self._interceptors:
            interceptor.end_watches()

    async def close(self) -> None:
        """Stop what `start` began, and return the unused units of allowances. Call it when the server stops or has
        stopped: calls that are still served take no more than they need."""
        self.end_watches()
        ports = self.ports
        for port in (ports.quotas, ports.entitlements, ports.directory):
            if port is not None:
                await port.close()
        self.lines.flush()

    async def _close_all(self) -> None:
        await self.close()
        if self._disconnect is not None:
            await self._disconnect()


class _Deny:
    def bind(self, policy: MethodPolicy) -> Moments:
        return Moments(enter=self.enter)

    def enter(self, call: Passage) -> Waiting:
        raise PermissionDenied(
            "POLICY_MISSING", "This method has no policy, so nobody may call it. Its author must annotate its proto."
        )


class _RefuseUnknown:
    def bind(self, policy: MethodPolicy) -> Moments:
        return Moments(enter=self.enter)

    def enter(self, call: Passage) -> Waiting:
        raise Unimplemented(
            "METHOD_UNKNOWN", "This service has no such method. Check its name, and which version the service has."
        )
