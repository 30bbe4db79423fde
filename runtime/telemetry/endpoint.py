"""The HTTP endpoint of a process's metrics. prometheus_client renders them; here is how they are served."""

from __future__ import annotations

from http.server import ThreadingHTTPServer
from socket import AF_INET6
from threading import Thread

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import MetricsHandler

__all__ = ["MetricsEndpoint"]

_READ_SECONDS = 10.0


class MetricsEndpoint:
    """Serves a registry from a thread of its own, until it is closed. Raises OSError for a taken address."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        handler = type("RegistryHandler", (_Handler,), {"registry": registry})
        self._server = (_ServerV6 if ":" in host else _Server)((host, port), handler)
        self._thread = Thread(target=self._server.serve_forever, name="tenantmesh-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _ServerV6(_Server):
    address_family = AF_INET6


class _Handler(MetricsHandler):
    """HTTP/1.1, one answer per connection, without the name and version of the Python that serves it."""

    protocol_version = "HTTP/1.1"
    timeout = _READ_SECONDS  # a scraper that says nothing holds its thread no longer

    def version_string(self) -> str:
        """Return what the header `server` says."""
        return "tenantmesh"

    def end_headers(self) -> None:
        """End the headers. The answer has no length, so it ends with its connection."""
        self.send_header("Connection", "close")
        super().end_headers()
