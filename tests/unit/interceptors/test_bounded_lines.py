"""The log lines that callers cause: the first of each reason and address, then a count. None is lost silently."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tenantmesh.interceptors.bounded_lines import BoundedLines, LineBound
from tests.clock import Clock

LOG = logging.getLogger("tenantmesh.call")
SECURITY = logging.getLogger("tenantmesh.security")
A, B = "192.0.2.1", "192.0.2.2"


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def admitted(lines: BoundedLines, number: int, reason: str = "RATE_LIMITED", address: str = A) -> int:
    return sum(lines.admit(LOG, logging.INFO, reason, address) for _ in range(number))


def counts(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    """Reason, peer and number of each line about lines that were left out."""
    found = [vars(line) for line in caplog.records if line.message == "lines left out"]
    return [(line["reason"], line["peer"], line["left_out"]) for line in found]


def test_the_first_lines_of_each_reason_and_address_are_written() -> None:
    lines = BoundedLines(LineBound(lines=3))
    assert admitted(lines, 10) == 3
    assert admitted(lines, 10, address=B) == 3
    assert admitted(lines, 10, reason="TENANT_NOT_FOUND") == 3
    assert lines.left_out == {"tenantmesh.call": 21}
    lines.flush()


def test_the_end_of_an_interval_says_how_many_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    lines = BoundedLines(LineBound(lines=3, interval=30), clock.timestamp)
    admitted(lines, 10)
    admitted(lines, 2, address=B)
    clock.advance(seconds=29)
    assert admitted(lines, 1) == 0
    clock.advance(seconds=1)
    assert admitted(lines, 1) == 1, "another interval begins"
    assert counts(caplog) == [("RATE_LIMITED", A, 8)]
    lines.flush()
    assert len(counts(caplog)) == 1


async def test_the_count_is_written_when_nobody_calls_any_more(caplog: pytest.LogCaptureFixture) -> None:
    lines = BoundedLines(LineBound(lines=1, interval=0.05))
    admitted(lines, 5)
    async with asyncio.timeout(5):
        while not counts(caplog):  # a timer writes it
            await asyncio.sleep(0.005)
    assert counts(caplog) == [("RATE_LIMITED", A, 4)]


def test_closing_writes_the_counts(caplog: pytest.LogCaptureFixture) -> None:
    lines = BoundedLines(LineBound(lines=1))
    admitted(lines, 5)
    lines.flush()
    lines.flush()
    assert counts(caplog) == [("RATE_LIMITED", A, 4)]


def test_addresses_beyond_the_bound_count_by_reason(caplog: pytest.LogCaptureFixture) -> None:
    lines = BoundedLines(LineBound(lines=1, addresses=2))
    written = [admitted(lines, 2, address=f"192.0.2.{last}") for last in range(100)]
    assert sum(written) == 3, "two addresses, and the first line of all others"
    lines.flush()
    assert max(counts(caplog)) == ("RATE_LIMITED", "others", 195)
    assert len(counts(caplog)) == 3


def test_hosts_of_one_ipv6_network_are_one_address() -> None:
    lines = BoundedLines(LineBound(lines=1))
    assert sum(admitted(lines, 1, address=f"2001:db8::{last}") for last in range(1, 9)) == 1
    lines.flush()


def test_a_count_has_the_logger_and_the_level_of_its_lines(caplog: pytest.LogCaptureFixture) -> None:
    lines = BoundedLines(LineBound(lines=1))
    for _ in range(2):
        lines.admit(SECURITY, logging.WARNING, "TENANT_MISMATCH", A)
    lines.flush()
    (line,) = caplog.records
    assert (line.name, line.levelno) == (SECURITY.name, logging.WARNING)
