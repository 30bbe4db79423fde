"""Link 5: nobody reads metadata before it is known to be harmless.

gRPC delivers control characters, duplicate keys, and more bytes than its own limit (CONTINUATION frames and Huffman
coding pass it), so all of that is checked here, once, in one pass.
"""

from __future__ import annotations

from tenantmesh.interceptors.call import Call, Metadata
from tenantmesh.interceptors.errors import InvalidArgument, ResourceExhausted
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.metadata import INTERNAL_PREFIX, MAX_BYTES, MAX_ENTRIES, SINGLE

__all__ = ["MetadataHygiene", "duplicate"]

_PRINTABLE = bytes(range(0x20, 0x7F))


class MetadataHygiene(Link):
    """Checks sizes, characters and repetitions. Metadata as clients normally send it is recognised in a few steps;
    anything else is looked at entry by entry."""

    def enter(self, call: Call) -> Pending:
        """Raises InvalidArgument or ResourceExhausted for metadata that a well-behaved client does not send."""
        if not _plainly_harmless(call.headers, len(call.metadata)):
            _examine(call.metadata)
        return None


def _plainly_harmless(headers: dict[str, str], entries: int) -> bool:
    """Whether nothing is repeated, binary, overlong, unprintable or internal; False is no verdict."""
    if len(headers) != entries or entries > MAX_ENTRIES:
        return False
    try:
        text = "".join((*headers, *headers.values()))
    except TypeError:
        return False
    return len(text) <= MAX_BYTES and _is_printable_ascii(text) and INTERNAL_PREFIX not in text


def _is_printable_ascii(text: str) -> bool:
    """As `isascii() and isprintable()`, in half the time."""
    return text.isascii() and not text.encode().translate(None, _PRINTABLE)


def _examine(metadata: Metadata) -> None:
    if len(metadata) > MAX_ENTRIES:
        raise _too_large()
    size = 0
    seen: set[str] = set()
    for key, value in metadata:
        size += len(key) + len(value)
        if isinstance(value, str) and not _is_printable_ascii(value):
            raise _invalid(key, "holds characters other than printable ASCII")
        if key.startswith(INTERNAL_PREFIX):
            raise _invalid(key, "is set by the mesh only")
        if key in SINGLE:
            if key in seen:
                raise duplicate(key)
            seen.add(key)
    if size > MAX_BYTES:
        raise _too_large()


def _invalid(key: str, problem: str) -> InvalidArgument:
    # A key itself may hold anything a client could frame; only the known ones are safe to repeat.
    name = key if key.isascii() and key.isprintable() and len(key) <= 64 else "a header"  # noqa: PLR2004
    return InvalidArgument("INVALID_METADATA", f"{name} {problem}. Remove it.", metadata={"key": name})


def duplicate(key: str) -> InvalidArgument:
    """The refusal of a header that must be single and is not."""
    return InvalidArgument(
        "DUPLICATE_METADATA", f"{key} must have a single value. Send it once, without commas.", metadata={"key": key}
    )


def _too_large() -> ResourceExhausted:
    return ResourceExhausted(
        "METADATA_TOO_LARGE",
        f"The headers exceed {MAX_BYTES} bytes or {MAX_ENTRIES} entries. Send fewer or shorter ones.",
        metadata={"max_bytes": str(MAX_BYTES), "max_entries": str(MAX_ENTRIES)},
    )
