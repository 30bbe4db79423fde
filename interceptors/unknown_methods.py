"""Calls of methods that the server does not have: refused by a chain of their own, and logged now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from tenantmesh.interceptors.link import CompiledChain

__all__ = ["OTHER", "UnknownMethods"]

_log = logging.getLogger("tenantmesh.call")

OTHER = "other"
"""The name of all unknown methods in metrics and traces: their own names are chosen by strangers."""
LOG_INTERVAL = 10.0
"""Seconds between two log lines."""
LONGEST_NAME = 200


class UnknownMethods:
    """See the module. `chain` refuses every call; its method is OTHER."""

    def __init__(self, chain: CompiledChain, clock: Callable[[], float] = time.monotonic) -> None:
        self.chain = chain
        self._clock = clock
        self._next_line = -float("inf")
        self._unlogged = 0

    def log(self, method: str) -> None:
        """Log the method, unless another one was logged a moment ago. A line counts those left out before it."""
        now = self._clock()
        if now < self._next_line:
            self._unlogged += 1
            return
        left_out, self._unlogged, self._next_line = self._unlogged, 0, now + LOG_INTERVAL
        _log.info("unknown method", extra={"method": method[:LONGEST_NAME], "others_since": left_out})
