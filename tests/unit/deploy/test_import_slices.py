"""A file of lines in slices: every line is in one, under its number, and no slice is larger than a call may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from tenantmesh.deploy.commands.import_report import ImportReport
from tenantmesh.deploy.commands.import_slices import slices_of
from tenantmesh.tenant.v1.tenant_bulk_service_pb2 import ImportCounts, ImportTenantsResponse, RejectedLine
from tenantmesh.tenant.v1.tenant_service_pb2 import CreateTenantRequest
from tenantmesh.tenant_svc.bulk.lines import TenantLine, lines_in, read
from tenantmesh.tenant_svc.tenants.mapping import new_tenant_of


def lines_of(file: Path) -> list[tuple[int, bytes]]:
    """Every line that says anything, as the service sees the slices."""
    return [line for part in slices_of(file) for line in lines_in(part.data, part.first)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"", b"\n"])
def test_every_line_keeps_its_number(tmp_path: Path, end: bytes, last: bytes) -> None:
    file = tmp_path / "tenants.ndjson"
    texts = [b"" if number % 7 == 0 else b'{"slug": "t-%d"}' % number for number in range(1, 12_001)]
    file.write_bytes(b"\xef\xbb\xbf" + end.join(texts) + last)
    assert lines_of(file) == [(number, text) for number, text in enumerate(texts, 1) if text]
    assert [part.first for part in slices_of(file)] == [1, 5001, 10_001]


def test_a_share_of_a_slice_has_its_place_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tenants.ndjson"
    file.write_bytes(b"x" * 9 + b"\n" + 5000 * (b"y" * 19 + b"\n"))
    first, last = slices_of(file)
    assert [part.place(percent) for part, percent in ((first, 0), (first, 50), (last, 0), (last, 50), (last, 100))] == [
        *(0, 49_995),
        *(99_990, 100_000, 100_010),
    ]


def test_a_slice_fits_into_a_call(tmp_path: Path) -> None:
    file = tmp_path / "tenants.ndjson"
    file.write_bytes(b"".join(b"%d" % (number % 10) * 60_000 + b"\n" for number in range(50)))
    sizes = [len(part.data) for part in slices_of(file)]
    assert len(sizes) > 3
    assert max(sizes) <= 900_000
    assert len(lines_of(file)) == 50


@pytest.mark.parametrize("size", [65_537, 131_073, 131_074, 131_075, 200_000, 3_000_000])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_huge_line_is_sent_in_part_so_that_it_is_rejected(tmp_path: Path, size: int, end: bytes) -> None:
    file = tmp_path / "tenants.ndjson"
    file.write_bytes(b"first\n" + b"x" * size + end + (b"third\n" if end else b""))
    found = lines_of(file)
    assert [number for number, _ in found] == ([1, 2, 3] if end else [1, 2])
    assert len(found[1][1]) > 64 * 1024
    assert sum(len(part.data) for part in slices_of(file)) < 200_000


def test_an_empty_file_has_no_slices(tmp_path: Path) -> None:
    file = tmp_path / "tenants.ndjson"
    file.write_bytes(b"\n\r\n  \n")
    assert list(slices_of(file)) == []


def test_rejected_lines_go_beside_the_file_and_those_of_before_are_gone(tmp_path: Path) -> None:
    file = tmp_path / "tenants.ndjson"
    file.write_bytes(b'good\nb\xffd "\xc3\xa4"\n')
    (part,) = slices_of(file)
    with ImportReport(file) as report:
        rejected = [RejectedLine(line=2, reason="is not JSON")]
        report.add(part, ImportTenantsResponse(counts=ImportCounts(created=1, rejected=1), rejected_lines=rejected))
    assert (
        report.path.read_text()
        == '{"line": 2, "reason": "is not JSON", "text": "b\N{REPLACEMENT CHARACTER}d \\"ä\\""}\n'
    )
    with ImportReport(file):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["tenants.ndjson"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"slug": 1, "externalId": "x"}', "slug: has a value of the wrong type"),
        (b'{"slug": "acme", "labels": {"a": 1}}', "labels: has a value of the wrong type"),
        (b'{"contacts": [{"email": "a@b.example"}, {"mail": "SECRET"}]}', "contacts[1].mail: has a value of the wrong"),
        (b'{"contacts": [{"type": "SECRET"}]}', "contacts[0].type: has a value of the wrong type"),
        (b'{"contacts": ["SECRET"]}', "contacts[0]: has a value of the wrong type"),
        (b'{"deleteProtection": "SECRET"}', "deleteProtection: has a value of the wrong type"),
        (b'{"externalId": "x", "slug": "acme", "firstAdministratorEmail": "SECRET"}', "firstAdministratorEmail: must"),
        (b'{"slug": null, "externalId": "x"}', "slug: must be"),
        (b'{"externalId": "x", "slug": "acme", "contacts": [{"email": "no"}]}', "contacts[0].displayName"),
        (b'{"externalId": "two words", "slug": "acme"}', "externalId: must be"),
        (b'{"external_id": "x", "externalId": "x", "slug": "acme"}', "has a field twice"),
        (b'{"externalId": "x", "slug": "acme", "validateOnly": true}', "validateOnly is no field"),
        (b'{"externalId": "x", "slug": "acme", "\\u202e": 1}', "a name is no field"),
        (b'{"externalId": "x", "slug": "acme", "displayName": "a\\u0000b"}', "displayName: must be one line"),
        (b"null", "must be a JSON object"),
        (b"NaN", "must be a JSON object"),
        (b'{"n": ' + b"9" * 5000 + b"}", "a number that is too long"),
        (b'{"a":' * 10_000, "nested too deeply"),
        (b'{"externalId": "x"', "is not JSON"),
    ],
)
def test_a_bad_line_has_its_reason(line: bytes, reason: str) -> None:
    (rejected,) = read(lines_in(line, 7))
    assert rejected.number == 7
    assert reason in getattr(rejected, "reason", ""), rejected
    assert "SECRET" not in getattr(rejected, "reason", ""), "reasons are kept for longer than values"


def test_a_null_is_no_value() -> None:
    (line,) = read(lines_in(b'{"externalId": "x", "slug": "acme", "displayName": null, "labels": null, "locale": ""}'))
    assert isinstance(line, TenantLine)
    assert line.fields == {"external_id", "slug", "locale"}


def test_imports_of_a_file_at_once_have_their_own_rejected_lines(tmp_path: Path) -> None:
    file = tmp_path / "tenants.ndjson"
    file.write_bytes(b"one\ntwo\n")
    (part,) = slices_of(file)
    one = ImportTenantsResponse(counts=ImportCounts(rejected=1), rejected_lines=[RejectedLine(line=1, reason="x")])
    two = ImportTenantsResponse(counts=ImportCounts(rejected=1), rejected_lines=[RejectedLine(line=2, reason="x")])
    with ImportReport(file) as second:
        with ImportReport(file) as first:
            first.add(part, one)
            second.add(part, two)
        assert '"line": 1' in first.path.read_text()
    assert '"line": 2' in second.path.read_text()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"slug": "acme", "externalId": "x", "displayName": "Ä", "labels": {"a": "b"}, "deleteProtection": True},
        {
            "slug": "acme",
            "external_id": "x",
            "labels": {},
            "contacts": [{"displayName": "Ada", "email": "a@b.example"}],
        },
        {"slug": "acme", "externalId": "x", "labels": None, "deleteProtection": None, "locale": ""},
    ],
)
def test_plain_values_are_read_as_json_of_messages_is(values: dict[str, Any]) -> None:
    (line,) = read(lines_in(json.dumps(values).encode()))
    assert isinstance(line, TenantLine)
    assert line.new == new_tenant_of(json_format.ParseDict(values, CreateTenantRequest()))


@pytest.mark.parametrize(
    "field", ["slug", "externalId", "displayName", "planId", "parentId", "deleteProtection", "labels"]
)
@pytest.mark.parametrize("value", [1, 1.5, "true", "\ud800", [], ["x"], {"a": None}, {"a": 1}, {"a": {}}, True])
def test_values_that_a_message_refuses_are_refused(field: str, value: Any) -> None:
    values = {"slug": "acme", "externalId": "x", field: value}
    try:
        json_format.ParseDict(values, CreateTenantRequest())
    except (json_format.ParseError, ValueError, TypeError):
        (line,) = read(lines_in(json.dumps(values).encode()))
        assert getattr(line, "reason", "").startswith(f"{field}: has a value of the wrong type"), line
