"""Checks metadata before anything else reads it.

gRPC delivers control characters, duplicate keys, and more bytes than its own limit, which CONTINUATION frames and
Huffman coding pass. All of that is checked here, once, in one pass. A header that the mesh does not read refuses a call
only by its size or by what HTTP forbids: a cookie with an umlaut is none of its business.
"""

from __future__ import annotations

from tenantmesh.interceptors.errors import InvalidArgument, ResourceExhausted
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.metadata import INTERNAL_PREFIX, MAX_BYTES, MAX_ENTRIES, READ, SINGLE, duplicate
from tenantmesh.interceptors.passage import Metadata, Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy

__all__ = ["MetadataHygiene"]

_PRINTABLE = bytes(range(0x20, 0x7F))
_BREAKING = frozenset("\r\n\0")
"""Characters that no HTTP header may hold (RFC 9110 5.5), read or not: they break logs and other protocols."""
LONGEST_REPEATED_KEY = 64
"""The longest key that a refusal repeats."""


class MetadataHygiene:
    """Checks sizes, characters and repetitions. Metadata as clients normally send it is recognised in a few steps;
    other metadata is examined entry by entry."""

    def bind(self, policy: MethodPolicy) -> Moments:
        """As `Link.bind`."""
        return Moments(enter=self.enter)

    def enter(self, call: Passage) -> Waiting:
        """Raise InvalidArgument or ResourceExhausted for metadata that a well-behaved client does not send. Remove what
        nothing in the mesh reads and what can't be text: browsers and proxies send such headers."""
        headers, metadata = call.headers, call.metadata
        if len(headers) == len(metadata) <= MAX_ENTRIES:  # nothing is repeated
            try:
                text = "".join((*headers, *headers.values()))
            except TypeError:
                text = ""  # something is binary
            if (
                0 < len(text) <= MAX_BYTES
                and text.isascii()
                and INTERNAL_PREFIX not in text
                and not text.encode().translate(None, _PRINTABLE)  # as `_is_printable_ascii`, without another call
            ):
                return None  # plainly harmless
        for key in _examine(metadata):
            headers.pop(key, None)
        return None


def _is_printable_ascii(text: str) -> bool:
    """Return `isascii() and isprintable()`, in half the time."""
    return text.isascii() and not text.encode().translate(None, _PRINTABLE)


def _examine(metadata: Metadata) -> set[str]:
    """Return the keys to ignore. Raises as `MetadataHygiene.enter`."""
    if len(metadata) > MAX_ENTRIES:
        raise _too_large()
    size = 0
    seen: set[str] = set()
    ignored: set[str] = set()
    for key, value in metadata:
        size += len(key) + len(value)
        if isinstance(value, str) and not _is_printable_ascii(value):
            if key in READ or not _BREAKING.isdisjoint(value):
                raise _invalid(key, "holds characters other than printable ASCII")
            ignored.add(key)
        if key.startswith(INTERNAL_PREFIX):
            raise _invalid(key, "is set by the mesh only")
        if key in SINGLE:
            if key in seen:
                raise duplicate(key)
            seen.add(key)
    if size > MAX_BYTES:
        raise _too_large()
    return ignored


def _invalid(key: str, problem: str) -> InvalidArgument:
    # A key itself may hold anything that a client can frame; only a harmless one is repeated.
    name = key if key.isascii() and key.isprintable() and len(key) <= LONGEST_REPEATED_KEY else "a header"
    return InvalidArgument("INVALID_METADATA", f"{name} {problem}. Remove it.", metadata={"key": name})


def _too_large() -> ResourceExhausted:
    return ResourceExhausted(
        "METADATA_TOO_LARGE",
        f"The headers exceed {MAX_BYTES} bytes or {MAX_ENTRIES} entries. Send fewer or shorter ones.",
        metadata={"max_bytes": str(MAX_BYTES), "max_entries": str(MAX_ENTRIES)},
    )
