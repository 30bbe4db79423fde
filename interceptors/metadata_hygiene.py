"""Link 5: nobody reads metadata before it is known to be harmless.

gRPC delivers control characters, duplicate keys, and more bytes than its own limit (CONTINUATION frames and Huffman
coding pass it), so all of that is checked here, once, in one pass.
"""

from __future__ import annotations

from interceptors.call import Call
from interceptors.errors import InvalidArgument, ResourceExhausted
from interceptors.link import Link, Pending
from interceptors.metadata import INTERNAL_PREFIX, MAX_BYTES, MAX_ENTRIES, SINGLE, TENANT_SOURCES


class MetadataHygiene(Link):
    """Checks sizes and characters, and fills `call.headers` with the keys that the chain reads."""

    def enter(self, call: Call) -> Pending:
        """Raises InvalidArgument or ResourceExhausted for metadata that a well-behaved client does not send."""
        metadata, headers = call.metadata, call.headers
        if len(metadata) > MAX_ENTRIES:
            raise _too_large()
        size = 0
        for key, value in metadata:
            size += len(key) + len(value)
            if isinstance(value, bytes):
                continue
            if not (value.isascii() and value.isprintable()):
                raise _invalid(key, "holds characters other than printable ASCII")
            if key in SINGLE:
                if key in headers or (key in TENANT_SOURCES and "," in value):
                    raise _duplicate(key)
                headers[key] = value
            elif key.startswith(INTERNAL_PREFIX):
                raise _invalid(key, "is set by the mesh only")
        if size > MAX_BYTES:
            raise _too_large()
        return None


def _invalid(key: str, problem: str) -> InvalidArgument:
    # A key itself may hold anything a client could frame; only the known ones are safe to repeat.
    name = key if key.isascii() and key.isprintable() and len(key) <= 64 else "a header"  # noqa: PLR2004
    return InvalidArgument("INVALID_METADATA", f"{name} {problem}. Remove it.", metadata={"key": name})


def _duplicate(key: str) -> InvalidArgument:
    return InvalidArgument(
        "DUPLICATE_METADATA", f"{key} must have a single value. Send it once, without commas.", metadata={"key": key}
    )


def _too_large() -> ResourceExhausted:
    return ResourceExhausted(
        "METADATA_TOO_LARGE",
        f"The headers exceed {MAX_BYTES} bytes or {MAX_ENTRIES} entries. Send fewer or shorter ones.",
        metadata={"max_bytes": str(MAX_BYTES), "max_entries": str(MAX_ENTRIES)},
    )
