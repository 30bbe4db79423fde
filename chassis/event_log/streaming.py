"""A watch as the messages of a streaming method: where it begins, and how it reports an error."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from tenantmesh.chassis.event_log.log import Event
from tenantmesh.chassis.event_log.watch import Change, Earliest, FromCursor, FromNow, Snapshot, Start
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.errors import Internal, MeshError
from tenantmesh.interceptors.streams import until_ended

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
    message too, with the cursor of the last good one. So does the end of a stream that the chain ends."""
    told = _Told(changes, to_message, to_error)
    async with aclosing(until_ended(told.messages(), told.last)) as messages:
        async for message in messages:
            yield message


class _Told(Generic[_E, _Message]):
    """The messages of one stream, and the cursor that it has reached."""

    def __init__(
        self,
        changes: AsyncGenerator[Change[_E], None],
        to_message: Callable[[Change[_E]], _Message],
        to_error: Callable[[MeshError, str], _Message],
    ) -> None:
        self._changes = changes
        self._to_message = to_message
        self._to_error = to_error
        self._cursor = ""

    async def messages(self) -> AsyncGenerator[_Message, None]:
        """Yield the messages. An error before the first is raised."""
        try:
            async with aclosing(self._changes):
                async for change in self._changes:
                    self._cursor = change.cursor
                    yield self._to_message(change)
        except Exception as error:
            if not self._cursor:
                raise
            yield self.last(_mesh_error(error))

    def last(self, error: MeshError) -> _Message:
        """Return the message that ends the stream."""
        return self._to_error(error, self._cursor)


def _mesh_error(error: Exception) -> MeshError:
    if isinstance(error, MeshError):
        return error
    _log.error("a watch failed", exc_info=error, extra={"request_id": current_call().request_id})
    return Internal("INTERNAL", "a watch failed")
