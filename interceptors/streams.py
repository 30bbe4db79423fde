"""How an endless stream ends for callers over REST, who never see the status that follows its messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.metadata import TRANSCODED
from tenantmesh.interceptors.passage import OpenWatch, Passage, current

__all__ = ["until_ended"]

_M = TypeVar("_M")


async def until_ended(
    messages: AsyncGenerator[_M, None], to_last: Callable[[MeshError], _M]
) -> AsyncGenerator[_M, None]:
    """Yield the messages of an endless stream, and see that its caller learns why it ends.

    The chain ends the stream when its credential is no longer valid, before its connection is closed for its age, when
    the server stops, and when an allowance that its messages are charged to is used up. `messages` may raise a
    MeshError. A caller over REST then gets `to_last(error)` as the last message; a caller over gRPC gets the error as
    the status, and so does one over REST who has had no message yet. For handlers on `grpc.aio`; outside of a call the
    messages are yielded as they are.
    """
    call = current.get(None)
    async with aclosing(messages):
        if call is None:
            async for message in messages:
                yield message
            return
        call.watch = watch = OpenWatch(to_last)
        sent, failed = False, None
        while call.ended_by is None:
            watch.resting = True
            try:
                message = await anext(messages)
            except StopAsyncIteration:
                return
            except MeshError as error:
                failed = error
                break
            except asyncio.CancelledError:
                if call.ended_by is None:
                    raise
                break
            finally:
                watch.resting = False
            yield message
            sent = True
        why = failed or _end_of(call)
        if not sent or TRANSCODED not in call.headers:
            raise why
        watch.last = True
        yield to_last(why)


def _end_of(call: Passage) -> MeshError:
    """Return why the chain ended the call, and let its task go on for the last message."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
    if call.ended_by is None:
        raise AssertionError("the stream was not ended by the chain")
    return call.ended_by
