"""Bounds the calls in flight of one tenant, and of all, in this process: nobody's slow calls keep others waiting.

Users and keys of a tenant share its lane. A service acting for a tenant has a lane for it, so that neither takes the
other's places. Callers without a credential count by network and, apart from its users, by the tenant that they name.
Operators have no lane; services without a tenant neither. A part of the whole is kept for both.

A call keeps its place until its handler has ended, even after its caller has gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from tenantmesh.interceptors.addresses import network_of
from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.concurrency import PROCESS, CallsInFlight, Concurrency, Lane, LaneScope
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError

__all__ = ["InFlight"]

_OPERATOR, _SERVICE = CallerKind.OPERATOR, CallerKind.SERVICE
_ANONYMOUS, _USER = CallerKind.ANONYMOUS, CallerKind.USER
_STRANGERS = ""
"""In place of a service's name: the callers without a credential."""
RETRY_AFTER = timedelta(seconds=1)
_MESSAGES: Mapping[LaneScope, str] = {
    "tenant": "The tenant has {limit} {name} in flight here, and may have no more. Let some end, then retry.",
    "service": "This service has {limit} {name} in flight here for the tenant, and may have no more. Let some end.",
    "peer": "This address has {limit} {name} in flight here, and may have no more. Let some end, then retry.",
    "process": "This process serves {limit} {name} at once, and has them in flight. Retry after the time in RetryInfo.",
}


class InFlight:
    """Counts calls by the concurrency class of their method's policy."""

    def __init__(self, bounds: Mapping[str, Concurrency]) -> None:
        self.classes = {name: CallsInFlight(name, bound) for name, bound in bounds.items()}

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """As `Link.bind`. Probes are not counted: they must be answered while everything else is refused. Raises
        PolicyError for a class without a bound."""
        if policy.method.startswith("/grpc.health."):
            return None
        counted = self.classes.get(policy.concurrency_class)
        if counted is None:
            raise PolicyError(
                f"{policy.method}: concurrency_class {policy.concurrency_class!r} is not among {sorted(self.classes)}"
            )
        bound = _BoundInFlight(counted)
        return Moments(enter=bound.enter, receive=bound.receive if policy.tenant_field else None, leave=counted.leave)


class _BoundInFlight:
    def __init__(self, counted: CallsInFlight) -> None:
        bound = counted.bound
        self._counted = counted
        self._take = counted.take
        self._for_operators = bound.overall
        self._for_services = bound.overall - bound.reserve // 2
        self._for_others = bound.overall - bound.reserve

    def enter(self, call: Passage) -> Waiting:
        caller = call.caller
        if caller.kind is _USER and caller.tenant_id is not None:  # as below, without another call
            most = self._for_others
            lanes: tuple[Lane, ...] = (caller.tenant_id.int,)
        else:
            most, lanes = self._most_for(caller.kind), _lanes_of(call)
        if (full := self._take(lanes, most)) is not None:
            raise self._refusal(call, full, most)
        call.lanes = lanes
        return None

    def receive(self, call: Passage, _request: object) -> Waiting:
        """Count the call in the lane of the tenant that its request names, where nothing named it before."""
        if call.caller.tenant_id is not None:
            return None  # its only lane is its own tenant's
        lanes = _lanes_of(call)
        if (more := lanes[len(call.lanes) :]) and (full := self._counted.join(more)) is not None:
            raise self._refusal(call, full, self._for_others)
        call.lanes = lanes
        return None

    def _most_for(self, kind: CallerKind) -> int:
        if kind is _OPERATOR:
            return self._for_operators
        return self._for_services if kind is _SERVICE else self._for_others

    def _refusal(self, call: Passage, full: Lane, most: int) -> ResourceExhausted:
        scope = _scope(full)
        name = self._counted.name
        limit = most if scope == "process" else self._counted.bound.per_tenant
        self._counted.refused[scope] += 1
        return ResourceExhausted(
            "TOO_MANY_IN_FLIGHT",
            _MESSAGES[scope].format(limit=limit, name=name),
            metadata={"class": name, "limit": str(limit), "scope": scope},
            retry_after=RETRY_AFTER,
            to_strangers=f"The tenant has too many {name} in flight here. Retry after the time in RetryInfo."
            if scope == "tenant"
            else "",
        )


def _lanes_of(call: Passage) -> tuple[Lane, ...]:
    """Return the lanes of a call, as far as they are known: those of its tenant last."""
    caller = call.caller
    if caller.kind is _OPERATOR:
        return ()
    if caller.tenant_id is not None:
        return (caller.tenant_id.int,)
    tenant = call.tenant
    if caller.kind is _ANONYMOUS:
        network = network_of(call.peer_address)
        return (network,) if tenant is None else (network, (tenant.id.int, _STRANGERS))
    return () if tenant is None else ((tenant.id.int, caller.subject),)


def _scope(full: Lane) -> LaneScope:
    if full == PROCESS:
        return "process"
    if isinstance(full, str):
        return "peer"
    return "service" if isinstance(full, tuple) and full[1] else "tenant"
