"""Logs, metrics and traces of a process, and the redaction that keeps secrets out of them.

Tenant ids appear in logs, never as a metric's label.
"""

from __future__ import annotations

from tenantmesh.runtime.telemetry.telemetry import Telemetry, setup

__all__ = ["Telemetry", "setup"]
