"""The .proto files of the contract, for protoc: `python -m tenantmesh.interceptors.protos` prints their folder.

protoc -I "$(python -m tenantmesh.interceptors.protos)" -I my/protos …
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["include_path"]


def include_path() -> Path:
    """Return the folder that holds `tenantmesh/policy/v1/policy.proto` and the other protos of the contract."""
    # Installed: tenantmesh/protos, beside this package. In a checkout: protos, beside this folder.
    return Path(__file__).resolve().parents[1] / "protos"


if __name__ == "__main__":
    sys.stdout.write(f"{include_path()}\n")
