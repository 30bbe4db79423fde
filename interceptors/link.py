"""What a link of the chain is.

A link is written once and serves all four RPC kinds on both Python servers. It has up to six moments:

    enter(call)             before the request is read; in the order of the list
    admit(call)             once the tenant is known: with `enter`, or with `receive` where a field of the request names
                            the tenant
    receive(call, request)  once the one request message is there; in the order of the list
    read(call, message)     before the handler gets a message of a request stream
    write(call, message)    before a message of a response stream is sent
    leave(call)             when the call is over, however it ended; in reverse, for each link that was entered

All but the last are synchronous where they can decide at once, and that is nearly always. Where they can't, they
return a coroutine, which the asyncio server awaits and the thread-pool server runs on the chain's loop. Raising a
MeshError refuses the call, or ends it. `leave` never waits and never raises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.policy import MethodPolicy

__all__ = ["CompiledChain", "Link", "Pending", "compile_chain", "leave_all"]

_log = logging.getLogger("tenantmesh.error")

Pending = Coroutine[Any, Any, None] | None


class Link:
    """Does nothing at any moment; links override what they need."""

    def bind(self, policy: MethodPolicy) -> Link | None:  # noqa: ARG002  # part of the protocol
        """The link for methods of this policy, or None when it has nothing to do there and is left out."""
        return self

    def enter(self, call: Call) -> Pending:
        """Decides from the metadata alone."""

    def admit(self, call: Call) -> Pending:
        """Decides from what is known of the tenant and the caller."""

    def receive(self, call: Call, request: Any) -> Pending:
        """Decides from the request message."""

    def read(self, call: Call, message: Any) -> Pending:
        """Decides about one message of a request stream."""

    def write(self, call: Call, message: Any) -> Pending:
        """Decides about one message of a response stream."""

    def leave(self, call: Call) -> None:
        """Sees how the call ended: `call.error` inside the error boundary, `call.code` outside."""


@dataclass(frozen=True, slots=True)
class CompiledChain:
    """A method's links as flat tuples of bound methods, so that a call loops over functions and nothing else."""

    policy: MethodPolicy
    enters: tuple[Callable[[Call], Pending], ...]
    receives: tuple[Callable[[Call, Any], Pending], ...]
    reads: tuple[Callable[[Call, Any], Pending], ...]
    writes: tuple[Callable[[Call, Any], Pending], ...]
    unwind: tuple[tuple[Callable[[Call], None], ...], ...]
    """`unwind[n]`: what to leave, in order, when n of `enters` have completed."""


def compile_chain(links: tuple[Link, ...], policy: MethodPolicy) -> CompiledChain:
    """The links that have something to do for the policy, in order, by moment."""
    bound = [each for link in links if (each := link.bind(policy)) is not None]
    enters: list[Callable[[Call], Pending]] = []
    receives: list[Callable[[Call, Any], Pending]] = []
    leaves: list[Callable[[Call], None]] = []
    unwind: list[tuple[Callable[[Call], None], ...]] = []
    for link in bound:
        entering = [link.enter] if _overrides(link, "enter") else []
        if _overrides(link, "admit"):
            if policy.tenant_field:
                receives.append(_admitting(link))
            else:
                entering.append(link.admit)
        for enter in entering:
            # Whoever fails to enter is not left; those before it are, innermost first.
            unwind.append(tuple(reversed(leaves)))
            enters.append(enter)
        if _overrides(link, "receive"):
            receives.append(link.receive)
        if _overrides(link, "leave"):
            leaves.append(link.leave)
    unwind.append(tuple(reversed(leaves)))
    reads = tuple(link.read for link in bound if _overrides(link, "read"))
    writes = tuple(link.write for link in bound if _overrides(link, "write"))
    return CompiledChain(policy, tuple(enters), tuple(receives), reads, writes, tuple(unwind))


def _admitting(link: Link) -> Callable[[Call, Any], Pending]:
    return lambda call, _request: link.admit(call)


def leave_all(leaves: tuple[Callable[[Call], None], ...], call: Call) -> None:
    """Leaves each link. One that fails, such as a user's observer, is logged and keeps no other from its part."""
    for leave in leaves:
        try:
            leave(call)
        except Exception:
            _log.exception("leaving a link failed", extra={"request_id": call.request_id, "method": call.method})


def _overrides(link: Link, moment: str) -> bool:
    return getattr(type(link), moment) is not getattr(Link, moment)
