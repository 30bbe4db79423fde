"""A program that a test adds to the table: answers GET /metrics until a signal ends it."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Metrics(BaseHTTPRequestHandler):
    """Answers as a worker that has no jobs."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"tenantmesh_jobs_running 0\nmode {os.environ['TENANTMESH_MODE']}\n".encode())


def main() -> None:
    """Serve on the address of the settings."""
    host, _, port = os.environ["TENANTMESH_TELEMETRY_METRICS_LISTEN"].rpartition(":")
    HTTPServer((host, int(port)), Metrics).serve_forever()


if __name__ == "__main__":
    main()
