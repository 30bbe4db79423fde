"""A store that has run for long: what it doesn't know of it never knew, so that whole bursts are there."""

from __future__ import annotations

import time
from typing import Any

import redis

from tenantmesh.deploy.stack.engines.valkey import Valkey

__all__ = ["OldServer", "wait_past_start"]

_INFO = "redis.call('INFO', 'server')"


class OldServer:
    """A client of such a server, for scripts; the real one was started by the test."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def register_script(self, script: str) -> Any:
        """As the client's, with another answer to how long the server has been up."""
        return self._client.register_script(script.replace(_INFO, "'uptime_in_seconds:1000000000'"))


def wait_past_start(store: Valkey) -> None:
    """Waits until the second has passed in which a new store gives nothing; bursts that grow back at once are there."""
    with redis.Redis.from_url(store.url.get_secret_value()) as client:
        while client.info("server")["uptime_in_seconds"] < 2:  # whole seconds: a little more than one has passed
            time.sleep(0.05)
