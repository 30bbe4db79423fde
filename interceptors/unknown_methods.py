"""Calls of methods that the server does not have: refused by a chain of their own. Their log lines are bounded."""

from __future__ import annotations

import logging

from tenantmesh.interceptors.bounded_lines import BoundedLines
from tenantmesh.interceptors.link import CompiledChain

__all__ = ["OTHER", "UnknownMethods"]

_log = logging.getLogger("tenantmesh.call")

OTHER = "other"
"""The name of all unknown methods in metrics and traces: their own names are chosen by strangers."""
LONGEST_NAME = 200


class UnknownMethods:
    """See the module. `chain` refuses every call; its method is OTHER."""

    def __init__(self, chain: CompiledChain, lines: BoundedLines) -> None:
        self.chain = chain
        self._lines = lines

    def log(self, method: str) -> None:
        """Log the method, or count it among those that are left out. gRPC does not say yet who calls."""
        if self._lines.admit(_log, logging.INFO, "METHOD_UNKNOWN", ""):
            _log.info("unknown method", extra={"method": method[:LONGEST_NAME]})
