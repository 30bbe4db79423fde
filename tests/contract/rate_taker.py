"""A process that calls all the time, for tests of several at once: `python -m … URL KEY PER_SECOND BURST SECONDS`.

Says "ready", waits for a line, and prints what was decided as JSON: when each admitted call asked and was answered, on
the clock that all processes of the machine share, how many were refused, and how often the store was asked.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.limits import Rate

CALLERS = 4
PAUSE = 0.0005


async def main(url: str, key: str, per_second: str, burst: str, seconds: str) -> None:
    client = redis.asyncio.from_url(url, socket_timeout=5, retry=Retry(NoBackoff(), 0))
    limiter, rate = LeasedRateLimiter(RedisRateStore(client)), Rate(float(per_second), int(burst))
    admitted: list[tuple[float, float]] = []
    refused = 0

    async def call_on(until: float) -> None:
        nonlocal refused
        while (asked := time.monotonic()) < until:
            decision = limiter.take_now(key, rate) or await limiter.take(key, rate)
            if decision.allowed:
                admitted.append((asked, time.monotonic()))
            else:
                refused += 1
            await asyncio.sleep(PAUSE)

    await client.ping()
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(call_on(time.monotonic() + float(seconds)) for _ in range(CALLERS)))
    await client.aclose()
    print(json.dumps({"admitted": admitted, "refused": refused, "asked": limiter.stats.asked}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
