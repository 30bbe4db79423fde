"""The part of a Redis client that the adapters use."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["ScriptClient"]


class ScriptClient(Protocol):
    """Runs scripts. Single-node and cluster clients of redis-py do."""

    def register_script(self, script: str) -> Any:
        """Must return a function that awaits the script, as `redis.asyncio` has it."""
        ...
