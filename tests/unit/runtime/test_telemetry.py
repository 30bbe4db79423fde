from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from pydantic import SecretStr

from tenantmesh.runtime.settings import TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.runtime.telemetry.logs import configure
from tenantmesh.runtime.telemetry.metrics import OTHER, CallMetrics
from tenantmesh.runtime.telemetry.redaction import MASK, redact_text, redact_values

TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure(TelemetrySettings(), "demo", lambda: {"request_id": "r-1"}, stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key tmk_live_0123456789abcdef used", f"key tmk_{MASK} used"),
        (f"token {TOKEN} expired", f"token {MASK} expired"),
        ("authorization: Bearer abcdefgh12345678", f"authorization: Bearer {MASK}"),
        ("postgresql://app:p%40ss@db/tm?host=/s", f"postgresql://app:{MASK}@db/tm?host=/s"),
        ("redis://:hunter2@cache:6379/0", f"redis://:{MASK}@cache:6379/0"),
        ("/reset?token=abc&x=1", f"/reset?token={MASK}&x=1"),
        ("password=hunter2 user=a", f"password={MASK} user=a"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("html and atm_ are words", "html and atm_ are words"),
    ],
)
def test_credentials_are_taken_out_of_text(text: str, clean: str) -> None:
    assert redact_text(text) == clean


def test_values_under_telling_keys_are_masked_at_any_depth() -> None:
    event = {"password": "a", "nested": {"x-api-key": "b", "list": [{"refresh_token": "c"}]}, "credential_id": "d"}
    assert redact_values(event) == {
        "password": MASK,
        "nested": {"x-api-key": MASK, "list": [{"refresh_token": MASK}]},
        "credential_id": "d",
    }


def test_a_line_is_one_json_object_with_the_same_keys_for_us_and_for_libraries(lines: io.StringIO) -> None:
    structlog.get_logger().info("ours", tenant_id="t")
    logging.getLogger("library").warning("theirs %s", 1)
    ours, theirs = parsed(lines)
    assert list(ours)[:5] == list(theirs)[:5] == ["ts", "level", "event", "service", "request_id"]
    assert (ours["event"], ours["level"], ours["service"], ours["request_id"]) == ("ours", "info", "demo", "r-1")
    assert (theirs["event"], theirs["level"]) == ("theirs 1", "warning")


def test_no_secret_reaches_a_line_by_any_way(lines: io.StringIO) -> None:
    log = structlog.get_logger()
    log.info("direct", authorization="Bearer hunter2hunter2", body={"password": "hunter2"}, key=SecretStr("hunter2"))
    logging.getLogger("library").error("cannot reach %s", "postgresql://app:hunter2@db/tm")
    try:
        raise ConnectionError("postgresql://app:hunter2@db/tm")
    except ConnectionError:
        log.exception("failed", raw=b"token=hunter2")
    assert len(parsed(lines)) == 3
    assert "hunter2" not in lines.getvalue()


def test_lines_below_the_level_are_not_written(lines: io.StringIO) -> None:
    structlog.get_logger().debug("quiet")
    logging.getLogger("library").debug("quiet")
    assert lines.getvalue() == ""


def test_calls_become_a_histogram() -> None:
    telemetry = Telemetry(TelemetrySettings(), "demo")
    for seconds in (0.0004, 0.003, 0.003, 99.0):
        telemetry.record_call("/demo.v1.Notes/Get", "OK", seconds)
    exposed = generate_latest(telemetry.registry).decode()
    bucket = 'tenantmesh_rpc_duration_seconds_bucket{code="OK",le="%s",method="/demo.v1.Notes/Get"} %s'
    for bound, count in (("0.0005", 1.0), ("0.005", 3.0), ("10.0", 3.0), ("+Inf", 4.0)):
        assert bucket % (bound, count) in exposed
    assert 'tenantmesh_rpc_duration_seconds_sum{code="OK",method="/demo.v1.Notes/Get"} 99.0064' in exposed


def test_invented_methods_cannot_grow_memory() -> None:
    calls = CallMetrics()
    for number in range(5_000):
        calls.record(f"/invented/{number}", "UNIMPLEMENTED", 0.1)
    (family,) = calls.collect()
    methods = {sample.labels["method"] for sample in family.samples}
    assert len(methods) <= 2_001
    assert OTHER in methods


def test_a_collector_runs_when_somebody_looks() -> None:
    telemetry = Telemetry(TelemetrySettings(), "demo")
    telemetry.collector(lambda: [GaugeMetricFamily("open_streams", "Streams.", value=3)])
    assert b"open_streams 3.0" in generate_latest(telemetry.registry)


def test_without_an_endpoint_there_is_no_tracer() -> None:
    assert Telemetry(TelemetrySettings(), "demo").tracer is None
