"""An HTTP/2 client for gRPC and REST that chooses its own address, and may leave calls and connections half done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions

__all__ = ["Connection", "Reply", "framed"]

LOST = "connection lost"


@dataclass
class Reply:
    """What came back on a stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str = ""
    """Why there is no answer: the stream was reset, or its connection was lost."""

    @property
    def outcome(self) -> str:
        """OK, or what came instead: gRPC's status, HTTP's status, or the problem."""
        if self.problem:
            return self.problem
        if self.headers.get("content-type", "").startswith("application/grpc"):
            status = self.headers.get("grpc-status", "none")
            return "OK" if status == "0" else f"grpc {status}: {self.headers.get('grpc-message', '')[:90]}"
        status = self.headers.get(":status", "none")
        return "OK" if status == "200" else f"http {status}: {self.body[:120].decode(errors='replace')}"

    @property
    def decoded(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def framed(message: bytes = b"") -> bytes:
    """Return the body of a gRPC call with one message."""
    return struct.pack(">BI", 0, len(message)) + message


class Connection:
    """One connection, from an address of the caller's choice."""

    def __init__(self, host: str, port: int, address: str) -> None:
        self._host, self._port, self._address = host, port, address
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._waiting: dict[int, tuple[Reply, asyncio.Future[Reply]]] = {}
        self.lost = False

    async def open(self) -> Self:
        """Connect. Raises OSError when the other side does not accept."""
        self._reader, self.writer = await asyncio.open_connection(self._host, self._port, local_addr=(self._address, 0))
        self.h2.initiate_connection()
        self.flush()
        self._reading = asyncio.create_task(self._read())
        return self

    def close(self) -> None:
        """Let go."""
        self._reading.cancel()
        self.writer.close()

    def begin(self, path: str, headers: Mapping[str, str], body: bytes = b"", verb: str = "POST") -> int:
        """Send a request, and return its stream without waiting."""
        stream = self.h2.get_next_available_stream_id()
        fixed = {":method": verb, ":scheme": "http", ":authority": "mesh.test", ":path": path}
        self.h2.send_headers(stream, [*fixed.items(), *headers.items()], end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    async def ask(
        self, path: str, headers: Mapping[str, str], body: bytes = b"", verb: str = "POST", seconds: float = 20.0
    ) -> Reply:
        """Send a request and wait for the answer. Raises nothing: what goes wrong is in the reply."""
        if self.lost:
            return Reply(problem=LOST)
        reply = Reply()
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            self._waiting[self.begin(path, headers, body, verb)] = reply, answered
            async with asyncio.timeout(seconds):
                return await answered
        except TimeoutError:
            return Reply(problem="no answer in time")
        except (OSError, h2.exceptions.ProtocolError) as error:
            return Reply(problem=f"{type(error).__name__}: {error}")

    def flush(self) -> None:
        """Write what the protocol has to say."""
        if data := self.h2.data_to_send():
            self.writer.write(data)

    async def _read(self) -> None:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            while data := await self._reader.read(65536):
                for event in self.h2.receive_data(data):
                    self._take(event)
                self.flush()
        self.lost = True
        for stream in list(self._waiting):
            self._settle(stream, LOST)

    def _take(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", None) or 0
        if isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        if stream not in self._waiting:
            return
        reply = self._waiting[stream][0]
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            reply.headers.update({str(key): str(value) for key, value in event.headers or ()})
        elif isinstance(event, h2.events.DataReceived):
            reply.body += event.data or b""
        elif isinstance(event, h2.events.StreamEnded):
            self._settle(stream, "")
        elif isinstance(event, h2.events.StreamReset):
            self._settle(stream, f"reset by the other side, error {int(event.error_code or 0)}")

    def _settle(self, stream: int, problem: str) -> None:
        reply, answered = self._waiting.pop(stream)
        reply.problem = problem
        if not answered.done():
            answered.set_result(reply)
