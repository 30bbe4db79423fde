"""A joined servicer has every method of its service, each from one part; a viewer sees what it may."""

from __future__ import annotations

import pytest

from tenantmesh.chassis.servicers import JoinedServicer
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.tenant.v1 import operation_service_pb2
from tenantmesh.tenant_svc.viewers import Viewer

SERVICE = operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"]


class Reading:
    def GetOperation(self) -> str:
        return "get"

    def ListOperations(self) -> str:
        return "list"


class Ending:
    def CancelOperation(self) -> str:
        return "cancel"

    def WaitOperation(self) -> str:
        return "wait"


def test_every_method_comes_from_the_part_that_defines_it() -> None:
    joined = JoinedServicer(SERVICE, Reading(), Ending())
    answers = [getattr(joined, method.name)() for method in SERVICE.methods]
    assert sorted(answers) == ["cancel", "get", "list", "wait"]


@pytest.mark.parametrize("parts", [(Reading(),), (Reading(), Ending(), Ending())])
def test_a_method_that_no_part_or_two_define_is_an_error(parts: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match=r"tenantmesh\.tenant\.v1\.OperationService\.(CancelOperation|WaitOperation)"):
        JoinedServicer(SERVICE, *parts)


@pytest.mark.parametrize(
    ("kind", "note", "every_plan"),
    [(CallerKind.USER, "", False), (CallerKind.SERVICE, "unpaid", False), (CallerKind.OPERATOR, "unpaid", True)],
)
def test_users_read_no_notes_and_operators_read_every_plan(kind: CallerKind, note: str, every_plan: bool) -> None:
    viewer = Viewer.of(Caller(kind, "somebody"))
    assert (viewer.note("unpaid"), viewer.every_plan) == (note, every_plan)
