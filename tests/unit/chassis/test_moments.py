"""Times of requests: the ones that are stored come back, the others are refused by the name of their field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tenantmesh.chassis.moments import moment, time_span, timestamp
from tenantmesh.interceptors.errors import InvalidArgument

FIRST, LAST = -62_135_596_800, 253_402_300_799
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("seconds", "nanos", "found"),
    [
        (FIRST, 1_000, datetime.min + MICROSECOND),
        (0, 999, datetime(1970, 1, 1)),
        (LAST, 0, datetime.max.replace(microsecond=0)),
        (LAST, 999_998_999, datetime.max - MICROSECOND),
    ],
)
def test_a_time_comes_back_to_the_microsecond(seconds: int, nanos: int, found: datetime) -> None:
    stored = moment(Timestamp(seconds=seconds, nanos=nanos), "at")
    assert stored == found.replace(tzinfo=UTC)
    assert timestamp(stored) == Timestamp(seconds=seconds, nanos=nanos - nanos % 1_000)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (FIRST, 0),  # the zero time of Go
        (FIRST, 999),
        (FIRST - 1, 999_999_999),
        (LAST, 999_999_000),
        (LAST, 999_999_900),  # DateTime.MaxValue of .NET
        (LAST, 999_999_999),  # the last Timestamp
        (LAST + 1, 0),
        (0, -1),
        (0, 10**9),
        (2**62, 0),
        (-(2**63), 0),
    ],
)
def test_a_time_that_would_not_come_back_is_refused(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        moment(Timestamp(seconds=seconds, nanos=nanos), "grant.expire_time")
    (violation,) = refused.value.violations
    assert violation.field == "grant.expire_time"
    assert "before 9999-12-31T23:59:59.999999Z" in violation.description


@pytest.mark.parametrize(
    ("seconds", "nanos", "found"),
    [
        (0, 0, timedelta()),
        (5, 1_999, timedelta(seconds=5, microseconds=1)),
        (0, -1, -MICROSECOND),  # a negative one stays negative
        (-5, -1_000, timedelta(seconds=-5, microseconds=-1)),
        (2**63 - 1, 0, timedelta.max),
        (-(2**63), 0, timedelta.min),
    ],
)
def test_a_length_of_time_is_one_that_python_holds(seconds: int, nanos: int, found: timedelta) -> None:
    assert time_span(Duration(seconds=seconds, nanos=nanos)) == found
