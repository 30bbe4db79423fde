"""Conversion of times and durations between Python and Protocol Buffers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument

__all__ = ["duration", "moment", "timestamp"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(moment: datetime) -> Timestamp:
    """Return the time as a Timestamp, to the microsecond."""
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def moment(stamp: Timestamp, field: str) -> datetime:
    """Return the time in a request, to the microsecond. Raises InvalidArgument that names the field for a time outside
    of the years 1 to 9999."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument.fields([FieldViolation(field, "must be between the years 1 and 9999")]) from error


def duration(length: timedelta) -> Duration:
    """Return the length of time as a Duration, to the microsecond."""
    return Duration(seconds=length.days * 86400 + length.seconds, nanos=length.microseconds * 1000)
