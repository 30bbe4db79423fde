"""Variables that the gRPC library reads when it is imported, and that cannot be set later.

A parent passes `ENVIRONMENT` to the processes that it starts; a process without it replaces itself by one with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ENVIRONMENT", "apply"]

ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    # Fewer thread wake-ups per call: 3.5 context switches instead of 5.9, a tenth of the CPU. tests/unit/runtime checks
    # that this grpc version still knows the experiment.
    {"GRPC_EXPERIMENTS": "-event_engine_listener"}
)


def apply() -> None:
    """Replace this process by itself with `ENVIRONMENT` when it lacks it. Values that somebody chose are kept.

    Call it before anything is opened; the process id stays the same.
    """
    missing = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    if missing:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing})
