"""Loads targets one after the other, servers with h2load, in pairs that alternate, and works out ratios."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil
from google.protobuf.message import Message

__all__ = [
    "LAST_CORE",
    "Endpoint",
    "Headers",
    "Load",
    "Measured",
    "Target",
    "alternate",
    "framed",
    "pin",
    "require_h2load",
]

Headers = Mapping[str, str]
LAST_CORE = (os.cpu_count() or 1) - 1
"""Where the load runs."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many calls, from so many connections, with so many in flight on each."""

    calls: int
    clients: int = 8
    streams: int = 8


class Target(Protocol):
    """What is loaded."""

    @property
    def name(self) -> str: ...

    def load(self, load: Load) -> tuple[float, list[float]]:
        """Must make the calls, all of which must succeed; calls per second, and the latency of each in ms."""
        ...


@dataclass
class Measured:
    """The rounds of one target."""

    rates: list[float] = field(default_factory=list)
    """Calls per second, a value per round."""
    latencies: list[float] = field(default_factory=list)
    """Milliseconds, of all calls of all rounds."""

    def percentile(self, share: float) -> float:
        """The latency in milliseconds that this share of calls stayed below."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def ratio(self, baseline: Measured) -> float:
        """The median of the ratios to the baseline, round by round."""
        return statistics.median(own / other for own, other in zip(self.rates, baseline.rates, strict=True))


def require_h2load() -> str:
    """The path of h2load. Exits with what to install when it is missing."""
    found = shutil.which("h2load")
    if found is None:
        sys.exit("the benchmark loads servers with h2load: install nghttp2-client (Debian, Ubuntu) or nghttp2 (macOS)")
    return found


def pin(pid: int, core: int) -> None:
    """Keeps a process and its children on one core, where the system can; the load runs on the other."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            for thread in process.threads():
                os.sched_setaffinity(thread.id, {core})


def alternate(targets: Sequence[Target], *, pairs: int, load: Load, note: Callable[[str], None]) -> dict[str, Measured]:
    """Loads every target `pairs` times, forward and backward in turn: drift of the machine falls on all alike."""
    measured = {target.name: Measured() for target in targets}
    for number in range(pairs):
        note(f"round {number + 1} of {pairs}")
        for target in targets if number % 2 == 0 else reversed(targets):
            rate, latencies = target.load(load)
            measured[target.name].rates.append(rate)
            measured[target.name].latencies += latencies
    return measured


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method of a server, over HTTP/2: a URL, the headers of a call (made anew for each round), and the body."""

    name: str
    url: str
    headers: Callable[[], Headers]
    body: bytes = b""
    """The raw body; empty is a GET."""
    share: float = 1.0
    """Of the calls of a round, for what takes much longer than others."""

    def load(self, load: Load) -> tuple[float, list[float]]:
        """As `Target.load`."""
        calls = max(load.clients, int(load.calls * self.share))
        streams = min(load.streams, calls // load.clients)
        with tempfile.TemporaryDirectory() as scratch:
            log, body = Path(scratch, "log"), Path(scratch, "body")
            command = [require_h2load(), f"-n{calls}", f"-c{load.clients}", f"-m{streams}", "--log-file", str(log)]
            for key, value in self.headers().items():
                command += ["-H", f"{key}: {value}"]
            if self.body:
                body.write_bytes(self.body)
                command += ["-d", str(body)]
            done = subprocess.run(
                [*command, self.url], capture_output=True, text=True, check=False, timeout=120, preexec_fn=_on_last_core
            )
            rate = re.search(r"finished in .*?, ([0-9.]+) req/s", done.stdout)
            succeeded = re.search(r"(\d+) succeeded", done.stdout)
            if rate is None or succeeded is None or int(succeeded[1]) != calls:
                sys.exit(f"{self.name} did not answer every call:\n{done.stdout}{done.stderr}")
            # start of the request, status, duration; both times in microseconds
            latencies = [int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines()]
        return float(rate[1]), latencies


def framed(message: Message) -> bytes:
    """The body of a gRPC call with one message."""
    raw = message.SerializeToString()
    return struct.pack(">BI", 0, len(raw)) + raw


def _on_last_core() -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {LAST_CORE})
