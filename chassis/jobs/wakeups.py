"""The notifications of the job queue. Every role of the database can send them, so they may wake the queue only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pgqueuer import AsyncpgDriver
from pgqueuer.domain.models import HealthCheckEvent, TableChangedEvent
from pgqueuer.domain.types import Channel
from pydantic import ValidationError

from tenantmesh.runtime.database.notifications import Coalesced

__all__ = ["WakingDriver", "only_wakes"]

_HEALTH_CHECK = "health_check_event"
_LONGEST = 1000


class WakingDriver(AsyncpgDriver):
    """The library's driver, whose listeners hear that there may be jobs, and answers to the library's own probes.

    The library would believe all that a notification says: that running jobs are to be cancelled, for one.
    """

    async def add_listener(self, channel: str, callback: Callable[[str | bytes | bytearray], None]) -> None:
        """Listen to the channel. `callback` gets no text that another process has chosen."""
        await super().add_listener(channel, only_wakes(channel, callback))


def only_wakes(
    channel: str, callback: Callable[[str | bytes | bytearray], None]
) -> Callable[[str | bytes | bytearray], None]:
    """Return a listener that passes on probes as they are, and everything else as a change of the queue, coalesced."""

    def wake(_payload: str) -> None:
        changed = TableChangedEvent(
            channel=Channel(channel),
            sent_at=datetime.now(UTC),
            type="table_changed_event",
            operation="update",
            table="pgqueuer",
        )
        callback(changed.model_dump_json(exclude={"received_at"}))

    coalesced = Coalesced(wake)

    def heard(payload: str | bytes | bytearray) -> None:
        text = payload if isinstance(payload, str) else bytes(payload).decode(errors="replace")
        if _HEALTH_CHECK in text and len(text) <= _LONGEST and _is_probe(text):
            callback(text)
        else:
            coalesced("")

    return heard


def _is_probe(text: str) -> bool:
    try:
        HealthCheckEvent.model_validate_json(text)
    except ValidationError:
        return False
    return True
