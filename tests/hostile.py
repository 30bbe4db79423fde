"""A client that sends what gRPC clients refuse to send: raw HTTP/2 frames, half a message, control characters."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.settings

Headers = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """What came back on a stream, so far."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None


class HostileClient:
    """One HTTP/2 connection without any validation on our side."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            validate_inbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)
        self._answers: dict[int, Answer] = {}

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._h2.initiate_connection()
        await self._flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def send(
        self,
        path: str,
        headers: Headers = (),
        body: bytes = b"\0\0\0\0\0",
        *,
        end: bool = True,
    ) -> int:
        """Starts a call and returns its stream. `body` is raw: five bytes of gRPC frame header, then the message."""
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(
            stream,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "mesh.test"),
                (":path", path),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                *headers,
            ],
        )
        if body or end:
            self._h2.send_data(stream, body, end_stream=end)
        self._answers[stream] = Answer()
        await self._flush()
        return stream

    async def answer(self, stream: int, seconds: float = 10) -> Answer:
        """The answer once the stream is over. Raises TimeoutError when it does not end in time."""
        answer = self._answers[stream]
        async with asyncio.timeout(seconds):
            while not answer.ended:
                try:
                    data = await self._reader.read(65536)
                except ConnectionResetError:
                    data = b""  # refused with the whole connection
                if not data:
                    answer.ended = True
                    break
                for event in self._h2.receive_data(data):
                    self._take(event)
                await self._flush()
        return answer

    def _take(self, event: h2.events.Event) -> None:
        answer = self._answers.get(getattr(event, "stream_id", None) or 0)
        if answer is None:
            return
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            answer.headers.update({str(key): str(value) for key, value in event.headers or ()})
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data or b""
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.ended, answer.reset = True, int(event.error_code or 0)

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()
