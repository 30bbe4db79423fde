"""Imports as callers see them: lines over gRPC, a worker beside the service, and what becomes of each line."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest

from tenantmesh.tenant.v1 import operation_service_pb2, tenant_pb2
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as pb
from tenantmesh.tenant.v1 import tenant_service_pb2 as single
from tests.integration.tenant_svc.bulk.importing import REGION, Importer, counts, metadata_of, named, text, working
from tests.integration.tenant_svc.serving import Service, refusal
from tests.integration.tenant_svc.world import World


async def test_lines_become_tenants_once_however_often_they_are_imported(
    service: Service, importer: Importer, world: World
) -> None:
    lines = [named(displayName="Ä", planId="premium", labels={"team": "emea"}), named(timeZone="Europe/Berlin")]
    assert counts(await importer.done(text(*lines))) == (2, 0, 0, 0)
    tenant = await service.operator.GetTenant(single.GetTenantRequest(id=lines[0]["slug"]))
    assert (tenant.display_name, tenant.plan_id, tenant.labels["team"]) == ("Ä", "premium", "emea")
    assert counts(await importer.done(text(*lines))) == (0, 0, 2, 0)
    lines[1]["displayName"] = "Renamed"
    assert counts(await importer.done(text(*lines))) == (0, 1, 1, 0)
    renamed = await service.operator.GetTenant(single.GetTenantRequest(id=lines[1]["slug"]))
    assert (renamed.display_name, renamed.time_zone) == ("Renamed", "Europe/Berlin")
    assert not await world.rows("select from tenant.import_lines")


async def test_a_line_changes_the_fields_that_it_has_and_no_others(service: Service, importer: Importer) -> None:
    line = named(displayName="First", labels={"a": "1"}, deleteProtection=True)
    await importer.done(text(line))
    await importer.done(text({"slug": line["slug"], "externalId": line["externalId"], "labels": {"b": "2"}}))
    tenant = await service.operator.GetTenant(single.GetTenantRequest(id=line["slug"]))
    assert (tenant.display_name, dict(tenant.labels), tenant.delete_protection) == ("First", {"b": "2"}, True)


async def test_every_bad_line_is_reported_by_number_and_reason_and_the_others_count(
    service: Service, importer: Importer
) -> None:
    taken = await service.operator.CreateTenant(single.CreateTenantRequest(slug=named()["slug"]))
    gone = await service.operator.CreateTenant(single.CreateTenantRequest(slug=named()["slug"], external_id="gone:1"))
    await service.operator.DeleteTenant(single.DeleteTenantRequest(id=gone.id))
    first, again = named(), named()
    bad = [
        b"\xef\xbb\xbf" + text(first)[:-1] + b"\r",
        b"",
        b"not json",
        b'{"slug": "\xff"}',
        b"[1, 2]",
        text(named(colour="red"))[:-1],
        text({"slug": "no-external-id"})[:-1],
        text(named(slug="A B"))[:-1],
        text(named(labels=["x"]))[:-1],
        text(named(planId="no_such_plan"))[:-1],
        text(named(slug=taken.slug))[:-1],
        text({"slug": named()["slug"], "externalId": first["externalId"]})[:-1],
        text(named(externalId="gone:1"))[:-1],
        text(named(requestId=str(uuid.uuid4())))[:-1],
        b'{"slug": "' + b"x" * 70_000 + b'"}',
        b"[" * 3000,
        b'{"slug": "a", "slug": "b"}',
        b'{"slug": "\\ud800", "externalId": "x:y"}',
        text(named(parentId=str(uuid.uuid4())))[:-1],
        text(again)[:-1],
    ]
    response = await importer.done(b"\n".join(bad), first_line=101)
    assert counts(response) == (2, 0, 0, len(bad) - 3)
    reasons = {each.line - 100: each.reason for each in response.rejected_lines}
    assert list(reasons) == [*range(3, 20)]
    for number, words in {
        3: "is not JSON",
        4: "is not UTF-8",
        5: "must be a JSON object",
        6: "colour is no field",
        7: "externalId: is required",
        8: "slug: must be 3 to 40",
        9: "labels: has a value of the wrong type",
        10: "PLAN_NOT_FOUND",
        11: "SLUG_TAKEN",
        12: "externalId: is that of line 101 too",
        13: "deleted tenant",
        14: "requestId is no field",
        15: "longer than 65536 bytes",
        17: "has a field twice",
        19: "PARENT_NOT_FOUND",
    }.items():
        assert words in reasons[number], (number, reasons[number])
    assert all(len(reason) <= 300 for reason in reasons.values())


async def test_a_list_of_operations_has_the_counts_of_an_import_and_not_its_lines(
    importer: Importer, world: World
) -> None:
    async with working(world):
        ended = await importer.ended(await importer.start(text(named(), named(slug="A B"), named(slug="C D"))))
    asked = operation_service_pb2.ListOperationsRequest(page_size=1000, type="ImportTenants")
    listed = {each.name: each for each in (await importer.operations.ListOperations(asked)).operations}[ended.name]
    responses = [pb.ImportTenantsResponse(), pb.ImportTenantsResponse()]
    assert ended.response.Unpack(responses[0])
    assert listed.response.Unpack(responses[1])
    assert [counts(each) for each in responses] == [(1, 0, 0, 2)] * 2
    assert [len(each.rejected_lines) for each in responses] == [2, 0]
    assert metadata_of(listed) == metadata_of(ended)


async def test_a_dry_run_reports_the_same_and_changes_nothing(
    service: Service, importer: Importer, world: World
) -> None:
    known, other, fresh = named(displayName="Known"), named(), named()
    await importer.done(text(known, other))
    lines = text({**known, "displayName": "New"}, other, fresh, named(slug="A B"))
    assert counts(await importer.done(lines, validate_only=True)) == (1, 1, 1, 1)
    assert not await world.rows("select from tenant.tenants where slug = $1", fresh["slug"])
    tenant = await service.operator.GetTenant(single.GetTenantRequest(id=known["slug"]))
    assert tenant.display_name == "Known"
    assert counts(await importer.done(lines)) == (1, 1, 1, 1)


async def test_other_values_are_reported_instead_of_stored_as_asked(service: Service, importer: Importer) -> None:
    known = named(displayName="Known")
    await importer.done(text(known))
    changed = text({**known, "displayName": "New", "locale": "de"})
    response = await importer.done(changed, on_existing=pb.ON_EXISTING_REPORT)
    assert counts(response) == (0, 0, 0, 1)
    assert response.rejected_lines[0].reason == "the tenant exists with other values of displayName, locale"
    moved = await importer.done(text({**known, "planId": "premium"}))
    assert "MigrateTenantPlan" in moved.rejected_lines[0].reason
    tenant = await service.operator.GetTenant(single.GetTenantRequest(id=known["slug"]))
    assert (tenant.display_name, tenant.state) == ("Known", tenant_pb2.TENANT_STATE_ACTIVE)


async def test_regions_are_those_of_the_installation(service: Service, importer: Importer) -> None:
    here, moved, nowhere = named(region=REGION), named(), named(region="mars")
    await importer.done(text(moved))
    response = await importer.done(text(here, {**moved, "region": REGION}, nowhere))
    assert counts(response) == (1, 1, 0, 1)
    assert response.rejected_lines[0].reason == f"region: must be one of {REGION}"
    for line in (here, moved):
        tenant = await service.operator.GetTenant(single.GetTenantRequest(id=line["slug"]))
        assert tenant.region == REGION
    again = await importer.done(text({**here, "region": "mars"}))
    assert again.rejected_lines[0].reason == f"region: is immutable: it is {REGION}"


async def test_a_null_changes_nothing(service: Service, importer: Importer) -> None:
    line = named(displayName="First", labels={"a": "1"})
    await importer.done(text(line))
    assert counts(await importer.done(text({**line, "displayName": None, "labels": None}))) == (0, 0, 1, 0)


async def test_first_administrators_of_new_tenants_are_invited_once(importer: Importer, world: World) -> None:
    invited = [named(firstAdministratorEmail=f"ada-{number}@people.example") for number in range(3)]
    lines = text(*invited, named())
    query = (
        "select r.email from tenant.invitation_requests r join tenant.tenants t using (tenant_id) "
        "where t.external_id = any($1) order by r.email"
    )
    external_ids = [line["externalId"] for line in invited]
    assert counts(await importer.done(lines, validate_only=True)) == (4, 0, 0, 0)
    assert await world.rows(query, external_ids) == []
    assert counts(await importer.done(lines)) == (4, 0, 0, 0)
    assert counts(await importer.done(lines)) == (0, 0, 4, 0)
    other = text({**invited[0], "firstAdministratorEmail": "eve@people.example"})
    assert counts(await importer.done(other)) == (0, 0, 1, 0), "it is for new tenants alone"
    emails = [row["email"] for row in await world.rows(query, external_ids)]
    assert emails == [line["firstAdministratorEmail"] for line in invited]


async def test_a_slug_is_moved_between_lines_only_when_it_is_free(importer: Importer) -> None:
    one, two = named(), named()
    await importer.done(text(one, two))
    response = await importer.done(text({**one, "slug": two["slug"]}, {**two, "slug": named()["slug"]}))
    assert response.counts.updated + response.counts.rejected == 2


async def test_a_repeated_request_gets_its_operation_and_other_lines_are_refused(importer: Importer) -> None:
    asked, lines = str(uuid.uuid4()), text(named())
    first = await importer.start(lines, request_id=asked)
    assert [await importer.start(lines, request_id=asked) for _ in range(2)] == [first] * 2
    reused = importer.start(text(named()), request_id=asked)
    assert await refusal(reused) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"lines": b""}, "lines"),
        ({"lines": b"\n\r\n  \n"}, "lines"),
        ({"lines": b"{}\n" * 5001}, "lines"),
        ({"lines": b"{}", "first_line": -1}, "first_line"),
        ({"lines": b"{}", "on_existing": 9}, "on_existing"),
        ({"lines": b"{}", "request_id": "none"}, "request_id"),
    ],
)
async def test_wrong_requests_are_refused_by_field(importer: Importer, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=field) as caught:
        await importer.bulk.ImportTenants(pb.ImportTenantsRequest(**fields))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_ten_megabytes_are_refused_before_anything_is_stored(importer: Importer, world: World) -> None:
    code, _ = await refusal_of_size(importer)
    assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}


async def refusal_of_size(importer: Importer) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await importer.bulk.ImportTenants(pb.ImportTenantsRequest(lines=b"x" * 10_000_000))
    return caught.value.code(), caught.value.details() or ""
