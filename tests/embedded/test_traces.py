"""One trace from the edge through both services to the database, as a collector receives it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest

from tenantmesh.auth_svc.api_keys.bootstrap import create_key
from tenantmesh.deploy.stack import keys
from tenantmesh.deploy.stack.blocking import run_blocking
from tests.collector import Collector, Sent, collecting
from tests.fixtures.stack import started_stack
from tests.transports import RestTransport

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SLUG = f"traced-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sent]]:
    """The spans of a stack in which calls were made with a new key: one with a trace of its caller's, others without,
    one of which asked for a job."""
    with collecting() as collector, pytest.MonkeyPatch.context() as environment:
        environment.setenv("TENANTMESH_SERVER_DRAIN_WAIT", "0")
        for name, value in {"OTLP_ENDPOINT": collector.target, "OTLP_INSECURE": "true", "TRACE_RATIO": "1"}.items():
            environment.setenv(f"TENANTMESH_TELEMETRY_{name}", value)
        with started_stack(tmp_path_factory.mktemp("traced"), cluster=False) as stack:
            settings = keys.settings(stack.engines.postgres)
            key = run_blocking(create_key(settings, "tracer", "OPERATOR", ["*"]))
            rest = RestTransport(stack.edge_url.removeprefix("http://"))
            headers = [("authorization", f"Bearer {key}")]
            known = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "vendor=value")]
            assert rest.send("GET", "/api/v1/tenants", [*headers, *known])[0] == 200
            body = f'{{"slug": "{SLUG}"}}'.encode()
            assert rest.send("POST", "/api/v1/tenants/create", headers, body)[0] == 200
            change_plan(rest, headers)
            wait_for_the_edge(collector)
        yield collector.spans


def change_plan(rest: RestTransport, headers: list[tuple[str, str]]) -> None:
    """Has the worker change the tenant's plan, and waits until it has."""
    status, _, answer = rest.send("POST", f"/api/v1/tenants/{SLUG}/migrate", headers, b'{"planId": "premium"}')
    assert status == 200, answer
    name = json.loads(answer)["name"]
    status, _, answer = rest.send("GET", f"/api/v1/{name}:wait?timeout=30s", headers)
    assert json.loads(answer)["done"], answer


def wait_for_the_edge(collector: Collector) -> None:
    """The edge sends its spans every second, and none when it is stopped."""
    ends = time.monotonic() + 10
    while sum(span.service == "edge" and span.kind == "SERVER" for span in collector.spans) < 4:
        assert time.monotonic() < ends, "the edge has sent no spans"
        time.sleep(0.05)


def by_id(spans: list[Sent]) -> dict[str, Sent]:
    return {span.id: span for span in spans}


def path_of(span: Sent, spans: dict[str, Sent]) -> list[str]:
    """The span and those above it, outermost first, as service, kind and name."""
    above = path_of(spans[span.parent], spans) if span.parent in spans else []
    return [*above, f"{span.service} {span.kind} {span.name.rpartition('/')[2]}"]


def test_every_span_but_roots_has_a_parent_that_was_sent(spans: list[Sent]) -> None:
    known = by_id(spans)
    lost = [span for span in spans if span.parent and span.parent not in known and span.parent != PARENT]
    assert not lost
    assert len(spans) > 10


def test_a_trace_goes_from_the_edge_through_both_services_to_the_database(spans: list[Sent]) -> None:
    known = by_id(spans)
    paths = {" > ".join(path_of(span, known)) for span in spans if span.trace == TRACE}
    asked = "tenant_svc SERVER ListTenants > tenant_svc CLIENT IntrospectToken > auth_svc SERVER IntrospectToken"
    assert any(asked in path and path.endswith("auth_svc CLIENT system transaction") for path in paths), paths
    assert any(path.endswith("tenant_svc SERVER ListTenants > tenant_svc CLIENT system transaction") for path in paths)
    assert all(path.startswith("edge SERVER") for path in paths), paths


def test_the_edge_begins_the_trace_of_a_call_without_one(spans: list[Sent]) -> None:
    known = by_id(spans)
    (created,) = [
        span for span in spans if (span.service, span.name.rpartition("/")[2]) == ("tenant_svc", "CreateTenant")
    ]
    path = path_of(created, known)
    assert path[0].startswith("edge SERVER")
    root = next(span for span in spans if span.trace == created.trace and not span.parent)
    assert root.service == "edge"
    assert created.attributes["rpc.grpc.status_code"] == 0
    assert created.attributes["tenantmesh.caller"] == "OPERATOR"


def test_a_job_is_part_of_the_trace_of_the_call_that_asked_for_it(spans: list[Sent]) -> None:
    known = by_id(spans)
    (job,) = [span for span in spans if span.service == "tenant_worker"]
    path = path_of(job, known)
    assert path[0].startswith("edge SERVER")
    assert path[-2:] == [
        "tenant_svc SERVER MigrateTenantPlan",
        "tenant_worker CONSUMER migrate_tenant_plan process",
    ]
    assert (job.attributes["tenantmesh.job"], job.failed) == ("migrate_tenant_plan", False)


def test_client_and_server_spans_join_across_services(spans: list[Sent]) -> None:
    known = by_id(spans)
    served = [span for span in spans if span.kind == "SERVER" and span.service == "auth_svc"]
    joined = [span for span in served if span.parent in known and known[span.parent].kind == "CLIENT"]
    assert served
    assert joined == served, "whoever called them sent its span"


def test_probes_have_no_spans(spans: list[Sent]) -> None:
    assert not [span for span in spans if "Health" in span.name]
