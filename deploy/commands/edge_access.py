"""How a command reaches an edge: its address, and the key of an operator."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.supervision.record import running
from tenantmesh.interceptors.credentials import API_KEY_PREFIX

__all__ = ["address", "edge_of", "is_tls", "operator_key"]

_EDGE = "http://127.0.0.1:8080"
_PORTS = {"": 80, "http": 80, "https": 443}


def address(edge: str, *, tls: bool = False) -> tuple[str, int]:
    """Return host and port of the edge. Raises StackError for a text that is no address, and for https unless `tls`."""
    try:
        url = urlsplit(edge if "//" in edge else f"//{edge}")
        if url.hostname and url.scheme in (_PORTS if tls else {"", "http"}):
            return url.hostname, url.port or _PORTS[url.scheme]
    except ValueError:
        pass
    raise StackError(f"--edge: {edge!r} is no address of an edge.", remedy=f"Write it like {_EDGE}")


def is_tls(edge: str) -> bool:
    """Return whether the edge is reached over TLS."""
    return edge.startswith("https:")


def operator_key(file: Path) -> str:
    """Read the operator's key. Raises StackError for a file that holds none."""
    try:
        key = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise StackError(f"there is no operator key in {file}.", remedy="Start the stack: tenantmesh dev") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{file} can't be read: {getattr(error, 'strerror', '') or 'it is no text'}.") from error
    if not key.startswith(API_KEY_PREFIX) or not key.isascii() or not key.isidentifier():
        raise StackError(f"{file} holds no operator key.", remedy="To make one: tenantmesh operator create <name>")
    return key


def edge_of(state: Path) -> str:
    """Return the address of the edge of the stack that runs in the folder. Raises StackError without one."""
    holder = running(state)
    if holder is None:
        raise StackError(f"nothing runs in {state}.", remedy="Start the stack in another terminal: tenantmesh dev")
    if "edge" not in holder.addresses:
        raise StackError("the stack runs without an edge, which this command needs.", remedy="See tenantmesh doctor")
    return holder.addresses["edge"]
