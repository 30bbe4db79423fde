"""A link of the chain, and how the links of a method are compiled.

A link is written once and serves all four RPC kinds on both Python servers. For each method's policy it is bound once
to the moments at which it has something to do:

    enter(call)             before the request is read; in the order of the list
    admit(call)             once the tenant is known: with `enter`, or with `receive` where a field of the request names
                            the tenant
    receive(call, request)  once the one request message is there; in the order of the list
    read(call, message)     before the handler gets a message of a request stream
    write(call, message)    before a message of a response stream is sent
    limits(call)            the limits that the call met, for the `ratelimit` headers
    leave(call)             when the call is over, however it ended; in reverse, for each link that was entered

The first five are synchronous where they can decide at once, and nearly always they can. Otherwise they return a
coroutine, which the asyncio server awaits and the thread-pool server runs on the chain's loop. Raising a MeshError
refuses the call, or ends it. The last two never wait and never raise.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tenantmesh.interceptors.limits import Limited
from tenantmesh.interceptors.logs import call_ids
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy

__all__ = ["CompiledChain", "Link", "MessageGate", "Moments", "compile_chain", "leave_all"]

_log = logging.getLogger("tenantmesh.error")

Gate: TypeAlias = Callable[[Passage], Waiting]
MessageGate: TypeAlias = Callable[[Passage, Any], Waiting]
Leave: TypeAlias = Callable[[Passage], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """The functions of a link for one policy, by moment; see the module."""

    enter: Gate | None = None
    admit: Gate | None = None
    receive: MessageGate | None = None
    read: MessageGate | None = None
    write: MessageGate | None = None
    limits: Callable[[Passage], Iterable[Limited]] | None = None
    leave: Leave | None = None


class Link(Protocol):
    """Does one thing for every call."""

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """Must return the moments of methods with this policy, or None to be left out of them. Raises PolicyError for a
        policy that the chain can't keep."""
        ...


@dataclass(frozen=True, slots=True)
class CompiledChain:
    """A method's links as flat tuples of bound methods, so that a call loops over functions and nothing else."""

    policy: MethodPolicy
    enters: tuple[Gate, ...]
    receives: tuple[MessageGate, ...]
    reads: tuple[MessageGate, ...]
    writes: tuple[MessageGate, ...]
    limits: tuple[Callable[[Passage], Iterable[Limited]], ...]
    unwind: tuple[tuple[Leave, ...], ...]
    """`unwind[n]`: what to leave, in order, when n of `enters` have completed."""


def compile_chain(links: Iterable[Link], policy: MethodPolicy) -> CompiledChain:
    """Return the moments of all links for the policy, in order."""
    bound = [moments for link in links if (moments := link.bind(policy)) is not None]
    enters: list[Gate] = []
    leaves: list[Leave] = []
    unwind: list[tuple[Leave, ...]] = []
    for moments in bound:
        # A link that fails to enter is not left; those before it are, innermost first.
        entering = _entering(moments, policy)
        enters += entering
        unwind += [tuple(reversed(leaves))] * len(entering)
        if moments.leave is not None:
            leaves.append(moments.leave)
    unwind.append(tuple(reversed(leaves)))
    return CompiledChain(
        policy=policy,
        enters=tuple(enters),
        receives=tuple(receive for moments in bound for receive in _receiving(moments, policy)),
        reads=tuple(moments.read for moments in bound if moments.read is not None),
        writes=tuple(moments.write for moments in bound if moments.write is not None),
        limits=tuple(moments.limits for moments in bound if moments.limits is not None),
        unwind=tuple(unwind),
    )


def _entering(moments: Moments, policy: MethodPolicy) -> list[Gate]:
    admit = None if policy.tenant_field else moments.admit
    return [gate for gate in (moments.enter, admit) if gate is not None]


def _receiving(moments: Moments, policy: MethodPolicy) -> list[MessageGate]:
    admit = _with_request(moments.admit) if policy.tenant_field and moments.admit is not None else None
    return [gate for gate in (admit, moments.receive) if gate is not None]


def _with_request(admit: Gate) -> MessageGate:
    return lambda call, _request: admit(call)


def leave_all(leaves: tuple[Leave, ...], call: Passage) -> None:
    """Leave each link. Log the failure of one, such as of an adopter's observer, and leave the others."""
    for leave in leaves:
        try:
            leave(call)
        except Exception:
            _log.exception("leaving a link failed", extra=call_ids(call))
