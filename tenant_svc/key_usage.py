"""The rule that a key names the meters and gauges whose usage its holder counts."""

from __future__ import annotations

from collections.abc import Iterable

from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.errors import PermissionDenied

__all__ = ["require_gauge", "require_meters"]


def require_meters(caller: Caller, meters: Iterable[str]) -> None:
    """Raise PermissionDenied `METER_NOT_ALLOWED` unless the caller's key names each of the meters."""
    for meter in meters:
        if not caller.usage.has_meter(meter):
            message = _not_named(caller, "meter", meter)
            raise PermissionDenied("METER_NOT_ALLOWED", message, metadata={"meter": meter})


def require_gauge(caller: Caller, gauge: str) -> None:
    """Raise PermissionDenied `GAUGE_NOT_ALLOWED` unless the caller's key names the gauge."""
    if not caller.usage.has_gauge(gauge):
        message = _not_named(caller, "gauge", gauge)
        raise PermissionDenied("GAUGE_NOT_ALLOWED", message, metadata={"gauge": gauge})


def _not_named(caller: Caller, kind: str, name: str) -> str:
    return (
        f"The key of {caller.subject} does not name the {kind} {name}. Make a key with --{kind} {name} and its "
        "permissions: `tenantmesh operator create`."
    )
