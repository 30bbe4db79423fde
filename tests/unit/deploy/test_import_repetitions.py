"""Lines of a file that name a tenant of an earlier slice are rejected as in one slice, in a dry run too."""

from __future__ import annotations

from pathlib import Path

from tenantmesh.deploy.commands.import_repetitions import Repetitions
from tenantmesh.deploy.commands.import_slices import FileSlice, slices_of
from tenantmesh.tenant.v1.tenant_bulk_service_pb2 import ImportCounts, ImportTenantsResponse, RejectedLine
from tenantmesh.tenant_svc.bulk.lines import lines_in

FILLER = b"".join(b'{"slug": "f-%d", "externalId": "f:%d"}\n' % (number, number) for number in range(4997))
FIRST = b'\xef\xbb\xbf{"slug": "acme", "externalId": "crm:1"}\n{"slug": "A B", "externalId": "crm:2"}\nno JSON\n'


class Service:
    """Rejects the lines of these numbers, and remembers what it was sent."""

    def __init__(self, *rejected: int) -> None:
        self.sent: list[FileSlice] = []
        self._rejected = rejected

    def __call__(self, part: FileSlice) -> ImportTenantsResponse:
        self.sent.append(part)
        numbers = {number for number, _ in lines_in(part.data, part.first)}
        rejected = [
            RejectedLine(line=number, reason="by the service") for number in sorted(numbers & {*self._rejected})
        ]
        counts = ImportCounts(created=len(numbers) - len(rejected), rejected=len(rejected))
        return ImportTenantsResponse(counts=counts, rejected_lines=rejected)


def imported(tmp_path: Path, service: Service, second: bytes) -> list[ImportTenantsResponse]:
    file = tmp_path / "tenants.ndjson"
    file.write_bytes(FIRST + FILLER + second)
    repetitions = Repetitions()
    return [repetitions.imported(part, service) for part in slices_of(file)]


def test_a_repetition_is_rejected_whatever_it_spells_and_its_neighbours_are_sent(tmp_path: Path) -> None:
    second = (
        b'{"slug": "other", "externalId": "crm:1"}\n'
        b'{"external_id": "crm:1", "slug": "acme"}\r\n'
        b'{"slug": "new", "externalId": "crm:3"}\n'
        b'{"slug": "\\u0061cme", "externalId": "crm:4"}\n'
        b'{"slug": "fresh", "externalId": "acme"}\n'
    )
    service = Service(2, 3)
    _, after = imported(tmp_path, service, second)
    assert [(each.line, each.reason) for each in after.rejected_lines] == [
        (5001, "externalId: is that of line 1 too"),
        (5002, "externalId: is that of line 1 too; slug: is that of line 1 too"),
        (5004, "slug: is that of line 1 too"),
    ]
    assert (after.counts.created, after.counts.rejected) == (2, 3)
    assert [number for number, _ in lines_in(service.sent[1].data, service.sent[1].first)] == [5003, 5005]


def test_a_line_that_was_rejected_names_nobody(tmp_path: Path) -> None:
    service = Service(2, 3)
    _, after = imported(tmp_path, service, b'{"slug": "globex", "externalId": "crm:2"}\nno JSON\n')
    assert (after.counts.created, after.counts.rejected) == (2, 0)


def test_a_slice_of_repetitions_alone_is_not_sent(tmp_path: Path) -> None:
    service = Service(2, 3)
    _, after = imported(tmp_path, service, b'{"slug": "acme", "externalId": "crm:1"}\n')
    assert (len(service.sent), after.counts.rejected, len(after.rejected_lines)) == (1, 1, 1)


def test_the_counts_of_rejected_lines_of_both_are_added_in_their_order(tmp_path: Path) -> None:
    second = b'no JSON\n{"slug": "acme", "externalId": "x"}\nno JSON\n'
    _, after = imported(tmp_path, Service(2, 3, 5001, 5003), second)
    assert [each.line for each in after.rejected_lines] == [5001, 5002, 5003]
    assert after.counts.rejected == 3
