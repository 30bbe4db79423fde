"""What a tenant's plan allows, as callers meet it, over all four RPC kinds and on both kinds of server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from notes.v1 import notes_service_pb2 as pb

from tenantmesh.interceptors import CallerKind, Rate, StoreUnavailable
from tenantmesh.interceptors.entitlements import Feature, FeatureType
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.limits import StoreAway
from tenantmesh.interceptors.tenants import TenantRecord
from tests.transports import rich_status
from tests.unit.interceptors.conftest import Running

LIMITS = {"notes": 5, "exported_notes": 5, "requests": 100, "words": 10}


def entitled(running: Running, *features: str, **limits: int | None) -> TenantRecord:
    """A tenant with these features, and with these limits instead of the usual ones."""
    tenant = running.mesh.add_tenant("acme")
    running.mesh.entitle(tenant, *features, limits={**LIMITS, **limits})
    return tenant


def stub_of(running: Running, tenant: TenantRecord) -> Any:
    return running.stub(running.mesh.token(tenant, ("owner",)))


async def failed(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def told(error: grpc.aio.AioRpcError, detail: Any) -> Any:
    """A detail of the rich status that came with a refusal."""
    status = rich_status(error)
    assert status is not None, f"no rich status: {error}"
    for each in status.details:
        if each.Unpack(detail):
            return detail
    raise AssertionError(f"no {type(detail).__name__} in {status}")


def reason(error: grpc.aio.AioRpcError) -> tuple[str, str]:
    return error.code().name, told(error, error_details_pb2.ErrorInfo()).reason


async def drained(stream: Any) -> list[Any]:
    return [message async for message in stream]


async def notes(*texts: str) -> AsyncIterator[pb.UploadNotesRequest]:
    for text in texts:
        yield pb.UploadNotesRequest(text=text)


async def outcomes(calls: Iterable[Awaitable[Any]]) -> list[str]:
    """The code of each call, one after the other."""
    found = []
    for call in calls:
        try:
            await call
            found.append("OK")
        except grpc.aio.AioRpcError as error:
            found.append(error.code().name)
    return found


async def until(code: str, call: Callable[[], Awaitable[Any]]) -> None:
    """Calls until the outcome is this one: a change takes a moment to be heard."""
    async with asyncio.timeout(5):
        while await outcomes([call()]) != [code]:  # the server has no event for it
            await asyncio.sleep(0.01)


async def used(running: Running, tenant: TenantRecord, meter: str, amount: int) -> None:
    """Waits until so much is charged: a call is over a moment after its caller has the answer."""
    async with asyncio.timeout(5):
        while running.mesh.used(tenant, meter) != amount:  # the servers' threads have no event
            await asyncio.sleep(0.01)


# --- features ---------------------------------------------------------------------------------------------------------


async def test_a_feature_that_the_plan_lacks_is_refused_with_the_way_to_it(running: Running) -> None:
    acme = entitled(running)
    error = await failed(drained(stub_of(running, acme).ExportNotes(pb.ExportNotesRequest(count=1))))
    assert reason(error) == ("PERMISSION_DENIED", "FEATURE_NOT_IN_PLAN")
    assert dict(told(error, error_details_pb2.ErrorInfo()).metadata)["feature"] == "export"
    running.mesh.entitle(acme, "export")
    stub = stub_of(running, acme)
    await until("OK", lambda: drained(stub.ExportNotes(pb.ExportNotesRequest(count=1))))


async def test_a_refusal_that_could_name_a_thousand_plans_is_delivered(running: Running) -> None:
    """Whole it would not fit into the trailers, and the client's own gRPC would say RESOURCE_EXHAUSTED instead."""
    acme = entitled(running)
    plans = tuple(f"custom_of_company_{number:04}" for number in range(1000))
    export = Feature("export", FeatureType.BOOLEAN, False, available_in=plans)
    now = running.mesh.entitlements.entitled(acme.id)
    running.mesh.entitlements.set(replace(now, features={**now.features, "export": export}))
    error = await failed(drained(stub_of(running, acme).ExportNotes(pb.ExportNotesRequest(count=1))))
    assert reason(error) == ("PERMISSION_DENIED", "FEATURE_NOT_IN_PLAN")
    assert (error.details() or "").endswith(f"Plans that have it: {', '.join(plans[:10])} and 990 more.")
    metadata = dict(told(error, error_details_pb2.ErrorInfo()).metadata)
    assert (metadata["plans"], metadata["plans_more"]) == (",".join(plans[:10]), "990")


async def test_operators_pass_features_rates_and_allowances(running: Running) -> None:
    acme = entitled(running, notes=0)
    running.mesh.entitle(acme, rates={"api": Rate(0.001, 1)}, over_limit=["users"])
    operator = running.stub(running.mesh.key(CallerKind.OPERATOR))
    selected = [("x-tenant-slug", "acme")]
    assert len(await drained(operator.ExportNotes(pb.ExportNotesRequest(count=7), metadata=selected))) == 7
    for _ in range(3):
        assert (await operator.AddNote(pb.AddNoteRequest(), metadata=selected)).plan == "basic"
    assert running.mesh.used(acme, "exported_notes") == 0


async def test_a_tenant_over_its_limits_is_read_only(running: Running) -> None:
    acme = entitled(running, "export")
    running.mesh.entitle(acme, over_limit=["users", "bytes"])
    stub = stub_of(running, acme)
    error = await failed(stub.AddNote(pb.AddNoteRequest()))
    assert reason(error) == ("PERMISSION_DENIED", "OVER_LIMIT_READ_ONLY")
    assert dict(told(error, error_details_pb2.ErrorInfo()).metadata)["over_limit"] == "users,bytes"
    assert len(await drained(stub.ExportNotes(pb.ExportNotesRequest(count=1)))) == 1, "reading goes on"
    assert len(await drained(stub.UploadNotes(notes("a")))) == 1, "so does what its policy says must"


async def test_a_tenant_over_very_many_limits_is_told_so(running: Running) -> None:
    acme = entitled(running)
    over = [f"a_gauge_of_some_length_{number:04}" for number in range(1000)]
    running.mesh.entitle(acme, over_limit=over)
    error = await failed(stub_of(running, acme).AddNote(pb.AddNoteRequest()))
    assert reason(error) == ("PERMISSION_DENIED", "OVER_LIMIT_READ_ONLY")
    metadata = dict(told(error, error_details_pb2.ErrorInfo()).metadata)
    assert (metadata["over_limit"], metadata["over_limit_more"]) == (",".join(over[:10]), "990")


# --- bursts -----------------------------------------------------------------------------------------------------------


async def test_a_burst_is_the_plans_or_else_the_settings(running: Running) -> None:
    acme = entitled(running, notes=100)
    assert await outcomes(stub_of(running, acme).AddNote(pb.AddNoteRequest()) for _ in range(5)) == [
        "OK", "OK", "OK", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED",
    ]  # fmt: skip
    globex = running.mesh.add_tenant("globex")
    running.mesh.entitle(globex, limits={"notes": 100}, rates={"api": Rate(0.001, 5)})
    stub = stub_of(running, globex)
    assert (await outcomes(stub.AddNote(pb.AddNoteRequest()) for _ in range(6))).count("OK") == 5
    assert running.mesh.used(acme, "notes") == 3, "what is refused before the allowance costs nothing"


async def test_a_refused_burst_says_when_to_come_back(running: Running) -> None:
    acme = entitled(running, notes=100)
    running.mesh.entitle(acme, rates={"api": Rate(0.5, 1)})
    stub = stub_of(running, acme)
    await stub.AddNote(pb.AddNoteRequest())
    error = await failed(stub.AddNote(pb.AddNoteRequest()))
    assert reason(error) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    info = dict(told(error, error_details_pb2.ErrorInfo()).metadata)
    assert info == {"limit": "1", "rate_class": "api", "scope": "tenant", "plan": "basic"}
    violation = told(error, error_details_pb2.QuotaFailure()).violations[0]
    assert (violation.subject, violation.quota_metric, violation.quota_value) == (f"tenant:{acme.id}", "api", 1)
    assert 0 < told(error, error_details_pb2.RetryInfo()).retry_delay.ToTimedelta().total_seconds() <= 2
    headers = dict(error.trailing_metadata() or ())
    assert headers["ratelimit-limit"] == "1"
    assert headers["ratelimit-remaining"] == "0"
    assert headers["ratelimit-policy"] == '"api";q=1;w=2'
    assert 1 <= int(headers["retry-after"]) <= 2


# --- allowances -------------------------------------------------------------------------------------------------------


@pytest.fixture
def generous(running: Running) -> Running:
    """Bursts that nobody reaches."""
    running.mesh.plan("basic", rates={"api": Rate(1000, 1000)})
    return running


async def test_exactly_the_allowance_is_served(generous: Running) -> None:
    acme = entitled(generous)
    stub = stub_of(generous, acme)
    served = await asyncio.gather(*(outcomes([stub.AddNote(pb.AddNoteRequest())]) for _ in range(12)))
    assert [each for (each,) in served].count("OK") == 5
    await used(generous, acme, "notes", 5)


async def test_a_used_up_allowance_says_which_and_until_when(generous: Running) -> None:
    acme = entitled(generous, notes=1)
    stub = stub_of(generous, acme)
    call = stub.AddNote(pb.AddNoteRequest())
    assert (await call).plan == "basic"
    headers = dict(await call.trailing_metadata())
    said = re.fullmatch(r'"notes";r=0;t=(\d+)', headers.pop("ratelimit"))
    assert said is not None
    assert 0 < int(said[1]) <= 86_400
    assert not [key for key in headers if key.startswith("ratelimit")], "each header of an answer costs 5 µs"
    error = await failed(stub.AddNote(pb.AddNoteRequest()))
    assert reason(error) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
    info = dict(told(error, error_details_pb2.ErrorInfo()).metadata)
    assert info.pop("resets_at").endswith("T00:00:00Z")
    assert info == {"meter": "notes", "limit": "1", "scope": "tenant", "plan": "basic"}
    violation = told(error, error_details_pb2.QuotaFailure()).violations[0]
    assert (violation.subject, violation.quota_metric, violation.quota_id) == (
        f"tenant:{acme.id}",
        "notes",
        "allowance",
    )
    assert 0 < told(error, error_details_pb2.RetryInfo()).retry_delay.ToTimedelta().total_seconds() <= 86_400
    headers = dict(error.trailing_metadata() or ())
    assert (headers["ratelimit-limit"], headers["ratelimit-remaining"]) == ("1", "0")
    assert headers["ratelimit-policy"] == '"notes";q=1, "api";q=1000;w=1'
    assert headers["ratelimit"].startswith(f'"notes";r=0;t={headers["ratelimit-reset"]}, "api";r=')
    assert 0 < int(headers["retry-after"]) <= 86_400


async def test_answers_tell_of_the_limit_that_ends_first_once_it_runs_short(running: Running) -> None:
    acme, globex = running.mesh.add_tenant("acme"), running.mesh.add_tenant("globex")
    running.mesh.entitle(acme, limits={**LIMITS, "notes": 8}, rates={"api": Rate(0.01, 100)})
    running.mesh.entitle(globex, limits={**LIMITS, "notes": 100}, rates={"api": Rate(0.01, 8)})
    for tenant, limit in ((acme, "notes"), (globex, "api")):
        said = []
        for _ in range(8):
            call = stub_of(running, tenant).AddNote(pb.AddNoteRequest())
            await call
            said.append(dict(await call.trailing_metadata()).get("ratelimit", "").partition(";t=")[0])
        assert said == [""] * 6 + [f'"{limit}";r=1', f'"{limit}";r=0'], "less than a quarter is short"


async def test_unlimited_is_unlimited(generous: Running) -> None:
    acme = entitled(generous, notes=None)
    stub = stub_of(generous, acme)
    assert await outcomes(stub.AddNote(pb.AddNoteRequest()) for _ in range(20)) == ["OK"] * 20
    assert generous.mesh.used(acme, "notes") == 0


async def test_what_fails_on_our_side_or_is_refused_costs_nothing(generous: Running) -> None:
    acme = entitled(generous)
    stub = stub_of(generous, acme)
    texts = ("boom", "full", "wrong", "fine")
    codes = await outcomes(stub.AddNote(pb.AddNoteRequest(text=text)) for text in texts)
    assert codes == ["INTERNAL", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "OK"]
    await used(generous, acme, "notes", 2)
    reader = generous.stub(generous.mesh.token(acme, ("reader",)))
    assert await outcomes([reader.AddNote(pb.AddNoteRequest())]) == ["PERMISSION_DENIED"]
    await used(generous, acme, "notes", 2)


async def test_a_change_is_enforced_at_once(generous: Running) -> None:
    acme = entitled(generous, notes=1)
    stub = stub_of(generous, acme)
    assert await outcomes(stub.AddNote(pb.AddNoteRequest()) for _ in range(2)) == ["OK", "RESOURCE_EXHAUSTED"]
    generous.mesh.entitle(acme, limits={"notes": 3})
    await until("OK", lambda: stub.AddNote(pb.AddNoteRequest()))
    generous.mesh.entitle(acme, limits={"notes": 2})
    await until("RESOURCE_EXHAUSTED", lambda: stub.AddNote(pb.AddNoteRequest()))
    assert generous.mesh.used(acme, "notes") <= 3


# --- streams ----------------------------------------------------------------------------------------------------------


async def received(stream: Any) -> tuple[int, grpc.aio.AioRpcError | None]:
    """How many messages came, and how the stream ended."""
    count = 0
    try:
        async for _ in stream:
            count += 1
    except grpc.aio.AioRpcError as error:
        return count, error
    return count, None


async def test_a_stream_of_answers_ends_with_its_allowance(running: Running) -> None:
    acme = entitled(running, "export")
    stub = stub_of(running, acme)
    assert await received(stub.ExportNotes(pb.ExportNotesRequest(count=2))) == (2, None)
    count, error = await received(stub.ExportNotes(pb.ExportNotesRequest(count=10)))
    assert count == 3
    assert error is not None
    assert reason(error) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
    assert told(error, error_details_pb2.ErrorInfo()).metadata["meter"] == "exported_notes"
    await used(running, acme, "exported_notes", 5)


async def test_what_a_failed_stream_has_answered_stays_charged(running: Running) -> None:
    acme = entitled(running, "export")
    count, error = await received(stub_of(running, acme).ExportNotes(pb.ExportNotesRequest(count=4, fail_after=2)))
    assert (count, error and error.code().name) == (2, "INTERNAL")
    await used(running, acme, "exported_notes", 2)


async def test_a_stream_of_requests_ends_with_its_allowance(running: Running) -> None:
    acme = entitled(running)
    stub = stub_of(running, acme)
    count, error = await received(stub.UploadNotes(notes(*"abcdefgh")))
    assert count == 5
    assert error is not None
    assert reason(error) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
    await used(running, acme, "notes", 5)
    await used(running, acme, "requests", 2)


async def test_requests_of_a_stream_that_failed_cost_nothing(running: Running) -> None:
    acme = entitled(running)
    stub = stub_of(running, acme)
    assert await received(stub.UploadNotes(notes("a", "b"))) == (2, None)
    await used(running, acme, "notes", 2)
    _, error = await received(stub.UploadNotes(notes("a", "boom")))
    assert error is not None
    assert error.code() is grpc.StatusCode.INTERNAL
    await used(running, acme, "notes", 2)
    await used(running, acme, "requests", 2)


# --- charges of handlers ----------------------------------------------------------------------------------------------


def summary(tenant: TenantRecord, text: str) -> pb.SummarizeNotesRequest:
    return pb.SummarizeNotesRequest(tenant=tenant.slug, text=text)


async def test_a_handler_charges_what_it_found_out(running: Running) -> None:
    acme = entitled(running, "summaries")
    stub = stub_of(running, acme)
    assert (await stub.SummarizeNotes(summary(acme, "one two three"))).words == 3
    await used(running, acme, "words", 3)
    error = await failed(stub.SummarizeNotes(summary(acme, " ".join(["word"] * 8))))
    assert reason(error) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
    await used(running, acme, "words", 3)
    await used(running, acme, "requests", 1)
    assert await outcomes([stub.SummarizeNotes(summary(acme, "boom"))]) == ["INTERNAL"]
    await used(running, acme, "words", 3)
    assert (await stub.SummarizeNotes(summary(acme, " ".join(["word"] * 7)))).words == 7


async def test_the_gates_know_a_tenant_that_the_request_names(running: Running) -> None:
    acme = entitled(running, requests=1)
    service = running.stub(running.mesh.key(CallerKind.SERVICE))
    assert reason(await failed(service.SummarizeNotes(summary(acme, "a")))) == (
        "PERMISSION_DENIED", "FEATURE_NOT_IN_PLAN",
    )  # fmt: skip
    globex = running.mesh.add_tenant("globex")
    running.mesh.entitle(globex, "summaries", limits=dict(LIMITS, requests=1))
    assert (await service.SummarizeNotes(summary(globex, "a"))).words == 1
    assert reason(await failed(service.SummarizeNotes(summary(globex, "a")))) == (
        "RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED",
    )  # fmt: skip


# --- stores that are away ---------------------------------------------------------------------------------------------


async def no_answer(*_: Any) -> Any:
    raise StoreUnavailable("away")


async def nobody() -> bool:
    return False


async def test_a_service_whose_key_is_refused_says_so_where_it_refuses(
    generous: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = entitled(generous, "summaries", requests=1000, words=None, notes=1000)
    cause = Unavailable("MESH_KEY_REFUSED", "tenant_svc refuses the key.", metadata={"service": "tenant_svc"})

    async def refused(*_: Any) -> Any:
        raise StoreAway("refused", cause)

    monkeypatch.setattr(generous.mesh.ledger, "lease", refused)
    stub = stub_of(generous, acme)
    for call in (stub.AddNote(pb.AddNoteRequest()), stub.SummarizeNotes(summary(acme, "a"))):
        error = await failed(call)
        assert reason(error) == ("UNAVAILABLE", "MESH_KEY_REFUSED")
        assert dict(told(error, error_details_pb2.ErrorInfo()).metadata) == {"service": "tenant_svc"}
    assert await received(stub.UploadNotes(notes("a"))) == (1, None), "ALLOW"


async def test_without_the_ledger_each_method_does_what_its_policy_says(
    generous: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = entitled(generous, "summaries", requests=1000, words=None, notes=1000)
    stub = stub_of(generous, acme)
    assert await outcomes(stub.SummarizeNotes(summary(acme, "a")) for _ in range(20)) == ["OK"] * 20
    for method in ("lease", "give_back"):
        monkeypatch.setattr(generous.mesh.ledger, method, no_answer)
    monkeypatch.setattr(generous.mesh.ledger, "answers", nobody)
    left = generous.mesh.ledger.given(acme.id, "requests") - 20
    assert left > 5
    error = await failed(stub.AddNote(pb.AddNoteRequest()))
    assert reason(error) == ("UNAVAILABLE", "QUOTA_UNAVAILABLE")
    assert await received(stub.UploadNotes(notes("a"))) == (1, None), "ALLOW"
    left -= 2  # the upload's
    local: Sequence[str] = await outcomes(stub.SummarizeNotes(summary(acme, "a")) for _ in range(left + 3))
    assert local == ["OK"] * left + ["UNAVAILABLE"] * 3, "LOCAL: what was taken in advance, and not one more"
