"""Transactions with a span each."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from tenantmesh.runtime.database.transaction import Connection, Door, Transaction

__all__ = ["TracedTransaction", "TransactionTracer"]


class TransactionTracer(Protocol):
    """Makes the spans of transactions. Adapter: `runtime.telemetry.spans.TransactionSpans`."""

    def start(self, operation: str) -> object:
        """Must begin a span, a child of the current one, and return it."""
        ...

    def finish(self, span: object, error: BaseException | None) -> None:
        """Must end the span."""
        ...

    def around(self, operation: str) -> AbstractContextManager[None]:
        """Must make a span of the block."""
        ...


class TracedTransaction(Transaction):
    """A transaction whose span lasts from the wait for a connection to the commit."""

    __slots__ = ("_operation", "_span", "_tracer")

    def __init__(self, door: Door, begin: str, holder: Hashable, tracer: TransactionTracer, operation: str) -> None:
        super().__init__(door, begin, holder)
        self._tracer = tracer
        self._operation = operation

    async def __aenter__(self) -> Connection:
        self._span = self._tracer.start(self._operation)
        try:
            return await super().__aenter__()
        except BaseException as error:
            self._tracer.finish(self._span, error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        except BaseException as failed:
            error = failed
            raise
        finally:
            self._tracer.finish(self._span, error)
