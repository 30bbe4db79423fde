"""What interceptors/README.md promises to those who adopt the library is what the code does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub, add_NotesServiceServicer_to_server

from interceptors import ChainSettings
from interceptors.chain import LINKS
from interceptors.limits import DEFAULT_RATES
from interceptors.testing import TestMesh
from tests.example.notes import Notes
from tests.example.serve import ROLES, serve

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "interceptors" / "README.md").read_text()


def test_the_readme_quotes_the_program_that_is_run() -> None:
    assert inspect.getsource(serve) in README


def test_it_takes_ten_lines() -> None:
    body = inspect.getsource(serve).splitlines()[2:]
    assert len(body) == 10


def test_the_table_of_links_is_the_list_of_links() -> None:
    rows = re.findall(r"^\| \d+ \| (\w+) \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(row.name, row.reason) for row in LINKS]


def test_the_rates_in_the_readme_are_the_defaults() -> None:
    for name, rate in DEFAULT_RATES.items():
        assert f"`{name}` {rate.per_second:g}/s, burst {rate.burst}" in README


def test_every_setting_of_the_chain_is_in_the_readme() -> None:
    missing = [name for name in ChainSettings.__dataclass_fields__ if f"| `{name}` |" not in README]
    assert not missing


async def test_the_test_kit_serves_as_the_readme_shows() -> None:
    async with TestMesh(ChainSettings(roles=ROLES)) as mesh:
        acme = mesh.add_tenant("acme")
        target = await mesh.serve(add_NotesServiceServicer_to_server, Notes(), pb.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme, roles=("member",))) as opened:
            stub: Any = NotesServiceStub(opened)
            answer = await stub.GetNote(pb.GetNoteRequest(text="hello"))
    assert answer.tenant_id == str(acme.id)
    served = await mesh.served(1)
    assert served == [("/notes.v1.NotesService/GetNote", "OK")]
