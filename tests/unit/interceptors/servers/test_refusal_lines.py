"""The log lines that a caller can cause, on both servers: bounded by reason and address, the others counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from notes.v1 import notes_service_pb2 as pb

from tests.transports import raw
from tests.unit.interceptors.conftest import Running
from tests.unit.interceptors.servers.test_both_servers import refused

CALLS, WRITTEN = 25, 10


def lines_of(caplog: pytest.LogCaptureFixture, logger: str) -> list[dict[str, Any]]:
    return [{**vars(line), "text": line.getMessage()} for line in caplog.records if line.name == f"tenantmesh.{logger}"]


async def closed(running: Running) -> None:
    """Close what the mesh of the test has open, in its order."""
    await running.mesh.__aexit__(None, None, None)
    running.mesh._closers.clear()


@pytest.mark.parametrize(
    ("logger", "reason"),
    [
        ("call", "CREDENTIALS_MISSING"),
        ("call", "METHOD_UNKNOWN"),
        ("security", "TENANT_MISMATCH"),
        ("error", "ValueError in /notes.v1.NotesService/GetNote"),
    ],
)
async def test_of_many_alike_the_first_are_written_and_the_others_counted(
    running: Running, caplog: pytest.LogCaptureFixture, logger: str, reason: str
) -> None:
    caplog.set_level("INFO")
    acme, other = (running.mesh.add_tenant(slug) for slug in ("acme", "other"))
    token = running.mesh.token(acme, ("owner",))
    stranger, member = running.stub(), running.stub(token)
    channel = running.channel()
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "CREDENTIALS_MISSING": lambda: stranger.GetNote(pb.GetNoteRequest()),
        "METHOD_UNKNOWN": lambda: raw(channel, "/notes.v1.NotesService/Nothing", b""),
        "TENANT_MISMATCH": lambda: member.GetNote(pb.GetNoteRequest(), metadata=(("x-tenant-slug", other.slug),)),
        "ValueError in /notes.v1.NotesService/GetNote": lambda: member.GetNote(pb.GetNoteRequest(text="boom")),
    }
    await asyncio.gather(*(refused(calls[reason]()) for _ in range(CALLS)))
    await running.mesh.served(CALLS)
    assert len(lines_of(caplog, logger)) == WRITTEN
    await closed(running)
    texts = Counter(line["text"] for line in lines_of(caplog, logger))
    assert texts.pop("lines left out") == 1
    assert texts.total() == WRITTEN
    (count,) = [line for line in lines_of(caplog, logger) if line["text"] == "lines left out"]
    assert (count["reason"], count["left_out"]) == (reason, CALLS - WRITTEN)
    assert count["peer"] == ("unknown" if reason == "METHOD_UNKNOWN" else "127.0.0.1")
