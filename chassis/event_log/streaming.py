"""A watch as the messages of a streaming method: where it begins, and how it reports an error."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol, TypeVar

from tenantmesh.chassis.event_log.log import Event
from tenantmesh.chassis.event_log.watch import Change, Earliest, FromCursor, FromNow, Snapshot, Start
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.errors import Internal, MeshError

__all__ = ["start_of", "streamed"]

_log = logging.getLogger("tenantmesh.events")
_E = TypeVar("_E", bound=Event)
_Message = TypeVar("_Message")


class WatchRequest(Protocol):
    """A request of a watch: a oneof `start` of `cursor`, `snapshot` and `earliest`."""

    @property
    def cursor(self) -> str:
        """The cursor to resume after."""
        ...

    @property
    def snapshot(self) -> bool:
        """True to begin with the current state of every subject."""
        ...

    @property
    def earliest(self) -> bool:
        """True to begin with the oldest event that is kept."""
        ...


def start_of(request: WatchRequest, chosen: str | None) -> Start:
    """Return where the stream begins. `chosen` is the field of the oneof that is set; one that is false counts as
    unset."""
    match chosen:
        case "cursor":
            return FromCursor(request.cursor)
        case "snapshot" if request.snapshot:
            return Snapshot()
        case "earliest" if request.earliest:
            return Earliest()
    return FromNow()


async def streamed(
    changes: AsyncGenerator[Change[_E], None],
    to_message: Callable[[Change[_E]], _Message],
    to_error: Callable[[MeshError, str], _Message],
) -> AsyncGenerator[_Message, None]:
    """Yield the changes as messages. Over REST a status can't follow the first message, so a later error becomes a
    message too, with the cursor of the last good one."""
    cursor = ""
    try:
        async with aclosing(changes):
            async for change in changes:
                cursor = change.cursor
                yield to_message(change)
    except Exception as error:
        if not cursor:
            raise
        yield to_error(_mesh_error(error), cursor)


def _mesh_error(error: Exception) -> MeshError:
    if isinstance(error, MeshError):
        return error
    _log.error("a watch failed", exc_info=error, extra={"request_id": current_call().request_id})
    return Internal("INTERNAL", "a watch failed")
