"""Conversion of times and durations between Python and Protocol Buffers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import CheckConstraint

from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument

__all__ = ["accepted_time", "duration", "moment", "time_span", "timestamp"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def accepted_time(table: str, column: str) -> CheckConstraint:
    """Return the constraint for a column of a table that holds times of requests: the rule of `moment`."""
    sql = f"{column} > '0001-01-01 00:00:00+00' and {column} < '9999-12-31 23:59:59.999999+00'"
    return CheckConstraint(sql, name=f"{table}_{column}_check")


def timestamp(moment: datetime) -> Timestamp:
    """Return the time as a Timestamp, to the microsecond."""
    since = moment - _EPOCH
    return Timestamp(seconds=since.days * 86400 + since.seconds, nanos=since.microseconds * 1000)


def moment(stamp: Timestamp, field: str) -> datetime:
    """Return the time in a request, to the microsecond. Raises InvalidArgument that names the field for a time that is
    not stored: one outside of the years 1 to 9999, and their first and last microsecond.

    Those two stand for "no time" in some languages, and the driver of the database would store them as infinity.
    """
    try:
        found = stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise _refused(field) from error
    if not _FIRST < found < _LAST:
        raise _refused(field)
    return found


def time_span(message: Duration) -> timedelta:
    """Return the length of time in a request, rounded down to the microsecond, so that a negative one stays negative.

    A length that Python can't hold becomes the longest or the shortest that it can.
    """
    try:
        return timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError:
        return timedelta.max if message.seconds > 0 else timedelta.min


def _refused(field: str) -> InvalidArgument:
    between = "must be after 0001-01-01T00:00:00Z and before 9999-12-31T23:59:59.999999Z"
    return InvalidArgument.fields([FieldViolation(field, f"{between}. To mean no time, leave out the field.")])


def duration(length: timedelta) -> Duration:
    """Return the length of time as a Duration, to the microsecond."""
    return Duration(seconds=length.days * 86400 + length.seconds, nanos=length.microseconds * 1000)
