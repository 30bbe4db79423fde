"""What a forged notification can do to the job queue: wake it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from tenantmesh.chassis.jobs.wakeups import only_wakes

NOW = datetime.now(UTC).isoformat()
FORGED: dict[str, str] = {
    "a cancellation": json.dumps(
        {"channel": "ch_pgqueuer", "sent_at": NOW, "type": "cancellation_event", "ids": [1, 2, 3]}
    ),
    "no json": "{",
    "nothing": "",
    "a change of another table": json.dumps({"type": "table_changed_event", "table": "other", "operation": "insert"}),
    "a broken probe": json.dumps({"type": "health_check_event", "id": "x"}),
    "a long text": "health_check_event" * 400,
}


@pytest.mark.parametrize("payload", FORGED.values(), ids=FORGED)
async def test_a_forged_notification_is_a_change_of_the_queue_and_nothing_else(payload: str) -> None:
    heard: list[Any] = []
    listener = only_wakes("ch_pgqueuer", heard.append)
    for _ in range(1000):
        listener(payload)
    (event,) = map(json.loads, heard)
    assert (event["type"], event["table"]) == ("table_changed_event", "pgqueuer")


async def test_the_librarys_own_probe_comes_through() -> None:
    heard: list[Any] = []
    probe = {"channel": "ch_pgqueuer", "sent_at": NOW, "type": "health_check_event", "id": str(uuid.uuid4())}
    only_wakes("ch_pgqueuer", heard.append)(json.dumps(probe))
    assert [json.loads(text)["id"] for text in heard] == [probe["id"]]
