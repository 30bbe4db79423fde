"""The handlers that grpc.aio gets: coroutine functions that it recognises at once."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import add_NotesServiceServicer_to_server

from tenantmesh.interceptors import Chain
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.runtime.server.handlers import collected
from tests.example.notes import Notes
from tests.unit.interceptors.conftest import SETTINGS


async def wrapped(method: str) -> Any:
    """The handler of a method, with the chain around it."""
    mesh = TestMesh(SETTINGS)
    mesh.plan("basic", limits={"notes": 10})
    chain = Chain([pb.DESCRIPTOR.services_by_name["NotesService"]], mesh.ports(), SETTINGS, complete=False)
    served = collected([(add_NotesServiceServicer_to_server, Notes())])

    async def find(details: Any) -> Any:
        return served.service(details)

    details: Any = SimpleNamespace(method=f"/notes.v1.NotesService/{method}", invocation_metadata=())
    return await chain.aio_interceptor().intercept_service(find, details)


@pytest.mark.parametrize("method", ["AddNote", "ImportNotes"])
async def test_a_handler_with_one_answer_is_known_as_asynchronous_at_the_first_question(method: str) -> None:
    behavior = (await wrapped(method)).stream_unary
    assert inspect.isawaitable(behavior), "grpc.aio asks this first, and asks further only where it is not so"
    with pytest.raises(TypeError, match="await what it returns"):
        await behavior


@pytest.mark.parametrize("method", ["EchoNotes"])
async def test_a_handler_with_many_answers_is_a_coroutine_function(method: str) -> None:
    behavior = (await wrapped(method)).stream_stream
    assert inspect.iscoroutinefunction(behavior), "else grpc.aio runs it in a thread, as a generator"
