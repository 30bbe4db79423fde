"""Log lines: one JSON object each, the same keys everywhere, secrets taken out, written to standard output.

Our code logs by `structlog.get_logger()`, libraries by the standard `logging`; both come out alike, ours more cheaply.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from tenantmesh.runtime.settings import TelemetrySettings
from tenantmesh.runtime.telemetry.redaction import redact_text, redact_values

__all__ = ["LogContext", "configure"]

LogContext = Callable[[], Mapping[str, object]]

_LEVELS = logging.getLevelNamesMapping()
_FIRST = ("ts", "level", "event", "service", "request_id")


def configure(
    settings: TelemetrySettings, service: str, context: LogContext | None = None, stream: TextIO | None = None
) -> None:
    """Make this process log to `stream`. `context` adds what the current call knows (a request id, a tenant)."""
    level, target = _LEVELS[settings.log_level.upper()], stream or sys.stdout
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _Annotate(service, context),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    last: list[Processor] = [_redact, _order, _Render(settings.log_format)]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=structlog.WriteLoggerFactory(target),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(level, target, shared, last)


def _configure_libraries(level: int, target: TextIO, shared: list[Processor], last: list[Processor]) -> None:
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class _Annotate:
    """Adds the service's name, and what the caller's context knows."""

    def __init__(self, service: str, context: LogContext | None) -> None:
        self._service = service
        self._context = context

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = self._service
        if self._context is not None:
            for key, value in self._context().items():
                event.setdefault(key, value)
        return event


class _Render:
    """Writes the line, then takes out of it whatever still looks like a credential."""

    def __init__(self, log_format: str) -> None:
        self._render: Callable[[WrappedLogger, str, EventDict], Any]
        if log_format == "console":
            self._render = structlog.dev.ConsoleRenderer(colors=False, timestamp_key="ts")
        else:
            self._render = structlog.processors.JSONRenderer(default=str)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        return redact_text(self._render(logger, method, event))


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return redact_values(event)


def _order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {key: event[key] for key in _FIRST if key in event}
    return {**first, **event}
