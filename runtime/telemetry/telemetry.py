"""The telemetry of one process: its registry of metrics, their endpoint, and its traces."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from tenantmesh.runtime.settings import TelemetrySettings, moved_address, split_address
from tenantmesh.runtime.telemetry.endpoint import MetricsEndpoint
from tenantmesh.runtime.telemetry.logs import LogContext, configure
from tenantmesh.runtime.telemetry.metrics import CallableCollector, CallMetrics, fields_as_counter

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from tenantmesh.runtime.telemetry.spans import JobSpans, TransactionSpans
    from tenantmesh.runtime.telemetry.traces import Traces

__all__ = ["Telemetry", "setup"]


class Telemetry:
    """The telemetry of one process. `open` starts what needs a socket; `close` flushes and stops it."""

    def __init__(self, settings: TelemetrySettings, service: str) -> None:
        self.registry = CollectorRegistry()
        self._settings = settings
        self._service = service
        self._calls = CallMetrics()
        self._traces: Traces | None = None
        self._endpoint: MetricsEndpoint | None = None
        self.registry.register(self._calls)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    @property
    def record_call(self) -> Callable[[str, str, float], None]:
        """Counts a finished call: full method name, status code name, seconds. Keep the function, call that."""
        return self._calls.record

    @property
    def tracer(self) -> Tracer | None:
        """The tracer, or None when no OTLP endpoint is configured or `open` was not called."""
        return self._traces.tracer if self._traces is not None else None

    def transactions(self, cause: Callable[[], tuple[str, str] | None]) -> TransactionSpans | None:
        """Return the tracer of transactions, or None as above. `cause` returns the trace of the call that caused the
        code which runs: `traceparent` and `tracestate`."""
        if self._traces is None:
            return None
        spans = importlib.import_module("tenantmesh.runtime.telemetry.spans")
        made: TransactionSpans = spans.TransactionSpans(self._traces.tracer, cause)
        return made

    def jobs(self) -> JobSpans | None:
        """Return the tracer of jobs, or None as above."""
        if self._traces is None:
            return None
        made: JobSpans = importlib.import_module("tenantmesh.runtime.telemetry.spans").JobSpans(self._traces.tracer)
        return made

    def collector(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Add metrics: the function runs at each scrape, in the scraping thread, and returns metric families."""
        self.registry.register(CallableCollector(collect))

    def counters(self, name: str, counted: object) -> None:
        """Add a counter per field of a dataclass of numbers that only grow, told apart by the label `event`. The first
        line of its docstring is what a scrape says of it."""
        self.collector(lambda: [fields_as_counter(name, counted)])

    def gauge(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read at each scrape, in the scraping thread."""
        self.collector(lambda: [GaugeMetricFamily(name, documentation, value=value())])

    def open(self, port_moved_by: int = 0) -> None:
        """Serve metrics on the configured port, moved, and export traces. Raises OSError for a taken port."""
        if self._settings.metrics_listen is not None:
            self._endpoint = self._serve_metrics(moved_address(self._settings.metrics_listen, port_moved_by))
        if self._settings.otlp_endpoint is not None:
            # The exporter costs 15 MB and a third of a second: only those who use it pay.
            traces = importlib.import_module("tenantmesh.runtime.telemetry.traces")
            self._traces = traces.Traces(self._settings, self._service)

    def _serve_metrics(self, address: str) -> MetricsEndpoint:
        host, port = split_address(address)
        try:
            return MetricsEndpoint(host, port, self.registry)
        except OSError as error:
            raise OSError(
                f"cannot serve metrics on {address}: {error.strerror}; "
                "choose another address with TENANTMESH_TELEMETRY_METRICS_LISTEN"
            ) from error

    def close(self) -> None:
        """Stop the metrics endpoint and send the last spans, which takes a second and a half at most."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
        if self._traces is not None:
            self._traces.close()
            self._traces = None


def setup(settings: TelemetrySettings, service: str, context: LogContext | None = None) -> Telemetry:
    """Configure logging for the whole process and return its telemetry.

    `context` returns what the current call knows (request id, tenant id); each log line carries it.
    """
    configure(settings, service, context)
    return Telemetry(settings, service)
