"""What a process says about itself: logs, metrics, traces; and what keeps secrets out of them (`redaction`).

Tenant ids appear in logs, never as a metric's label.
"""

from __future__ import annotations

from tenantmesh.runtime.telemetry.telemetry import Telemetry, setup

__all__ = ["Telemetry", "setup"]
