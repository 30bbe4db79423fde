"""Whatever a write accepts, every later read answers: of the tenant alone, of many tenants, and of a watch."""

from __future__ import annotations

import asyncio

from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.tenant_svc.accepted.caller import OF_OPERATIONS, PACKAGE, Caller
from tests.integration.tenant_svc.accepted.edges import Path, edges, fixed, paths, put
from tests.transports import UNARY, descriptor

EXAMPLES = 30
NAMES = {"id", "etag", "feature", "meter", "gauge", "grant_id", "allocation_id", "operation_id"}


def mostly_values(ways: list[Path]) -> st.SearchStrategy[Path]:
    """Ways to fields; fewer to fields that name things, since most texts name nothing there is."""
    values = [way for way in ways if way[-1].name not in NAMES]
    return st.one_of(*3 * [st.sampled_from(values or ways)], st.sampled_from(ways))


async def test_what_is_accepted_at_the_edges_is_read(caller: Caller) -> None:
    """Every field of every write at every fixed edge of its type. A time and a JSON value are read one by one."""
    for name in sorted(caller.writes):
        method = descriptor(f"{PACKAGE}.{name}")
        assert await caller.write(name, caller.request(method, caller.writes[name]())), f"{name} as it is"
        for path in paths(method.input_type):
            for edge in fixed(path[-1]):
                request = caller.request(method, caller.writes[name]())
                put(request, path, edge)
                if await caller.write(name, request) and path[-1].message_type is not None:
                    await caller.read_everything(f"{name} {path[-1].full_name}")
        await caller.read_everything(name)
    await caller.watch_everything()


async def test_what_is_accepted_is_read(caller: Caller) -> None:
    loop = asyncio.get_running_loop()
    accepted: list[str] = []

    async def try_out(name: str, request: Message) -> None:
        if await caller.write(name, request):
            accepted.append(name)
            await caller.read_everything(str(request))

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def one_field_is_at_an_edge(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(caller.writes)))
        method = descriptor(f"{PACKAGE}.{name}")
        request = caller.request(method, caller.writes[name]())
        for path in data.draw(st.lists(mostly_values(list(paths(method.input_type))), max_size=2)):
            put(request, path, data.draw(edges(path[-1])))
        asyncio.run_coroutine_threadsafe(try_out(name, request), loop).result()

    await asyncio.to_thread(one_field_is_at_an_edge)
    assert accepted
    named = {method.name for method in UNARY if str(method.full_name).startswith(PACKAGE)}
    assert {name.partition("/")[2] for name in (*caller.writes, *caller.reads)} | OF_OPERATIONS == named
    await caller.watch_everything()
