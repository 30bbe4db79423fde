"""The event loop of a thread-pool server: what links wait for runs on it, in a thread beside the pool."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from tenantmesh.interceptors.errors import DeadlineExceeded

__all__ = ["LoopThread"]


class LoopThread:
    """An event loop in a daemon thread, for the ports that are asynchronous by nature."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="tenantmesh-chain", daemon=True)
        self._thread.start()

    def wait(self, coroutine: Coroutine[Any, Any, Any], timeout: float | None = None) -> Any:
        """Return the coroutine's result. Raises DeadlineExceeded when it takes longer than `timeout` seconds."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            future.cancel()
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "The call exceeded its deadline. Retry.") from error

    def close(self) -> None:
        """Stop the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
