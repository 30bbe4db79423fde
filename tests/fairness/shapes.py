"""The shapes of attacks: what each does, and how its processes are started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.fairness.scene import Scene

__all__ = ["SHAPES", "Shape"]

LOWEST_PRIORITY = ("nice", "-n", "19")
"""Attackers come from other machines; here they must not take the processor from what they attack."""
ENTITLEMENTS, TENANT = "EntitlementService", "TenantService"


@dataclass(frozen=True)
class Shape:
    """One kind of attack."""

    name: str
    title: str
    flood: str = ""
    """The method that is called, with 2,700 calls in flight. Empty: the attacker of this name."""
    signed_in: bool = True
    at_the_service: bool = False
    processes: int = 1
    promised: bool = True
    """False where a setting or a network must help: docs/fairness.md says which."""
    least_signed_in: float = 0.999
    """The share of sign-ins that must be served, each of which comes from an address of its own."""

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def under_way(self, scene: Scene) -> Iterator[None]:
        """Run the attack for as long as the block."""
        with ExitStack() as started:
            for _ in range(self.processes):
                process = subprocess.Popen(
                    [*LOWEST_PRIORITY, sys.executable, "-m", "tests.fairness.attackers", *self._options()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    start_new_session=True,
                )
                started.callback(_end, process)
                assert process.stdin is not None
                process.stdin.write(f"{scene.encoded}\n")
                process.stdin.flush()
            yield

    def _options(self) -> tuple[str, ...]:
        if not self.flood:
            return (self.name,)
        where, who = "service" if self.at_the_service else "edge", "user" if self.signed_in else "stranger"
        return ("flood", self.flood, where, who)


def _end(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()  # closes its pipe too


SHAPES = (
    Shape("reads", "2,700 reads in flight with one token", f"{ENTITLEMENTS}/GetEntitlements"),
    Shape("checks", "2,700 checks in flight with one token", f"{ENTITLEMENTS}/CheckEntitlement"),
    Shape("limited_reads", "2,700 calls beyond a burst limit", f"{TENANT}/GetTenant"),
    Shape("strangers", "2,700 calls without a credential", f"{TENANT}/GetTenant", signed_in=False),
    Shape("unknown_methods", "2,700 calls of methods that do not exist", f"{TENANT}/Nothing", signed_in=False),
    Shape("history", "2,700 reads of history, in the database", f"{ENTITLEMENTS}/ListEntitlementChanges"),
    Shape(
        "at_the_service",
        "2,700 reads in flight at the service's port",
        f"{ENTITLEMENTS}/GetEntitlements",
        at_the_service=True,
        promised=False,
    ),
    Shape("bursts", "500 reads at once with one token, every two seconds", promised=False),
    Shape("cancelled_calls", "64 calls in flight, cancelled after 1 to 10 ms"),
    Shape(
        "silent_connections",
        "10,200 connections of one address that say nothing",
        processes=3,
        least_signed_in=0.75,  # an eighth of the addresses are in the attacker's group, and can't connect
    ),
    Shape("half_sent_requests", "400 requests of which half was sent"),
    Shape("half_sent_calls", "calls whose message never comes, 50 a second on each of 30 connections"),
    Shape("watches", "1,800 watches by one user"),
    Shape("unread_answers", "5,400 answers that nobody reads"),
    Shape("guessed_passwords", "sign-ins of unknown people from 40 addresses"),
    Shape("registrations", "sign-ups from 40 addresses"),
    Shape("settings_flood", "connections that send settings only"),
    Shape("header_references", "640 headers a second that refer to a large one 12,000 times"),
    Shape("references_at_the_service", "160 of them a second at the service's port", promised=False),
)
