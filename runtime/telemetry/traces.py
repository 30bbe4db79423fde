"""Traces over OTLP. Imported only when an endpoint is configured: the exporter costs 15 MB and a third of a second."""

from __future__ import annotations

from importlib.metadata import version
from threading import Timer

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Tracer

from tenantmesh.runtime.settings import TelemetrySettings

__all__ = ["Traces"]

FLUSH_SECONDS = 1.0
"""How long the last spans may take to be sent. The exporter alone would wait 30 s for a collector that is away."""


class Traces:
    """Exports spans in the background, and samples as the caller did."""

    def __init__(self, settings: TelemetrySettings, service: str) -> None:
        self._service = service
        resource = Resource.create({"service.name": service, "service.version": version("tenantmesh")})
        self._provider = TracerProvider(
            resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.trace_ratio)), shutdown_on_exit=False
        )
        self._exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, insecure=settings.otlp_insecure)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        """The tracer of the service."""
        return self._provider.get_tracer(self._service)

    def close(self) -> None:
        """Send the last spans, and stop. Those that the collector has not taken in FLUSH_SECONDS are lost."""
        giving_up = Timer(FLUSH_SECONDS, self._exporter.shutdown)  # ends the export under way and refuses others
        giving_up.daemon = True
        giving_up.start()
        try:
            self._provider.shutdown()
        finally:
            giving_up.cancel()
