"""Calls from many tasks at many processes at once, until an allowance is used up everywhere and stays so."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2

from tests.transports import Answer, rich_status

SETTLED = 1.5
"""Seconds without a served call after which nothing more will be served: what is held ready comes back sooner."""
LONGEST = 90.0
PAUSE = 0.02


class Refused(Exception):
    """A call over REST was refused."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.reason = answer.reason or answer.code


@dataclass(frozen=True)
class Way:
    """One way to call: what it is called, how, and what a served call charges."""

    name: str
    call: Callable[[], Awaitable[object]]
    cost: int = 1


@dataclass
class Tally:
    """What came of the calls, by way: units served, and calls refused or failed by reason."""

    served: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    last_served: float = field(default_factory=time.monotonic)

    @property
    def units(self) -> int:
        """Units served over all ways."""
        return self.served.total()


async def exhaust(
    ways: Sequence[Way], *, tasks: int = 8, tally: Tally | None = None, longest: float = LONGEST
) -> Tally:
    """Calls in every way from so many tasks each until nothing has been served for a while. Raises TimeoutError when
    that takes longer than so many seconds."""
    tally = tally or Tally()
    async with asyncio.timeout(longest):
        await asyncio.gather(*(_call_until_settled(way, tally) for way in ways for _ in range(tasks)))
    return tally


async def _call_until_settled(way: Way, tally: Tally) -> None:
    while time.monotonic() - tally.last_served < SETTLED:
        reason = await outcome(way.call)
        tally.calls += 1
        if reason == "OK":
            tally.served[way.name] += way.cost
            tally.last_served = time.monotonic()
        else:
            tally.refused[reason] += 1
            await asyncio.sleep(PAUSE)


async def outcome(call: Callable[[], Awaitable[object]]) -> str:
    """OK, or the reason of the refusal, or the code where there is none."""
    try:
        await call()
    except grpc.aio.AioRpcError as error:
        status = rich_status(error)
        for detail in status.details if status else ():
            if detail.type_url.endswith("ErrorInfo"):
                info = error_details_pb2.ErrorInfo()
                detail.Unpack(info)
                return str(info.reason)
        return error.code().name
    except Refused as refused:
        return refused.reason
    return "OK"
