"""Whatever a registration or a new key accepts, every later read of it answers: sign-in, account, renewal, list."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenantmesh.auth.v1 import auth_service_pb2 as auth
from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.api_keys.system_key import LONGEST_LIFETIME, KeyAudience
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.emails import parse_email
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.errors import InvalidArgument
from tests.integration.auth_svc.calls import PASSWORD, login, reason_of, refresh, register
from tests.integration.auth_svc.conftest import Service

EXAMPLES = 30
MOST_IN_A_LOCAL_PART = 64
_letters = st.characters(codec="utf-8", categories=("L", "N"))
_marked = st.characters(codec="utf-8", categories=("L", "M", "N"))
_signs = st.sampled_from("!#$%&'*+/=?^_`{|}~-")

locals_ = (
    st.lists(st.text(_marked | _signs, min_size=1, max_size=12), min_size=1, max_size=3).map(".".join)
    | st.sampled_from(["a" * MOST_IN_A_LOCAL_PART, "\ufb01n", "\u0130", "e\u0301",
                       "Stra\u00dfe", "\u1e9e", "a%b", "\U0001d4d0"])
)  # fmt: skip
domains = st.sampled_from(
    ["example.com", "EXAMPLE.Com", "b\u00fccher.de", "xn--bcher-kva.de", "\u4f8b\u3048.\u30c6\u30b9\u30c8", "a-b.co",
     ".".join(["x" * 60] * 3), "\uff45xample.com", "sub.sub.example.museum"]
) | st.text(_letters, min_size=1, max_size=10).map("{}.example".format)  # fmt: skip
anything = st.text(st.characters(codec="utf-8"), max_size=30)
emails = st.one_of(*4 * [st.builds("{}@{}".format, locals_, domains)], anything)
names = (
    st.text(st.characters(codec="utf-8"), max_size=200)
    | st.sampled_from(["", " ", "n" * 200, "n" * 201, "\u202ename", "\U0001f469\u200d\U0001f467",
                       "a\nb", "\x00", "\\u0000"])
    | st.text(_marked, min_size=1, max_size=20)
)  # fmt: skip
passwords = (
    st.sampled_from([PASSWORD, "\U0001f469\u200d\U0001f467 walks over 17 stones \u0641\u0644"])
    | st.text(st.characters(codec="utf-8"), min_size=15, max_size=128)
    | st.sampled_from([PASSWORD, f" {PASSWORD} ", "\ufb01" * 3 + PASSWORD, PASSWORD + "\u0130" * 90, PASSWORD + "\n"])
    | st.text(_marked, min_size=15, max_size=128)
)
"""Also passwords that change when they are normalised, or grow when they are lowered."""

key_names = st.one_of(
    *3 * [st.from_regex(re.compile(r"[a-z][a-z0-9_.-]{1,62}", re.ASCII), fullmatch=True)],
    anything,
    st.sampled_from(["ab", "a" + "z9_.-y" * 10 + "-."]),
)
permissions = st.lists(
    st.sampled_from(["*", "tokens.introspect", "quota.lease"])
    | st.from_regex(re.compile(r"x[a-z]{0,80}(\.[a-z][a-z_]{0,9}){1,4}", re.ASCII), fullmatch=True),
    max_size=30,
) | st.lists(anything | st.just("tenants.raed"), max_size=3)
lifetimes = st.none() | st.sampled_from([timedelta(microseconds=1), LONGEST_LIFETIME, timedelta(), timedelta.max])


async def for_each(strategy: st.SearchStrategy[Any], examine: Callable[[Any], Coroutine[Any, Any, bool]]) -> int:
    """Examines what the strategy draws, and returns how much of it was accepted."""
    loop, accepted = asyncio.get_running_loop(), 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def one(drawn: Any) -> None:
        nonlocal accepted
        accepted += asyncio.run_coroutine_threadsafe(examine(drawn), loop).result()

    await asyncio.to_thread(one)
    return accepted


async def test_who_could_register_can_sign_in_and_is_read(service: Service, store: Store) -> None:
    async def examine(drawn: tuple[str, str, str]) -> bool:
        email, password, name = drawn
        store.flush()  # attempts of the examples before
        tenant = service.tenants.add()
        try:
            registered = await register(service, tenant, email, password=password, display_name=name)
        except grpc.aio.AioRpcError as error:
            if (error.code(), reason_of(error)) != (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
                raise
            return False
        assert registered.email == email
        await check_account(service, tenant, email, password, name)
        normalised = parse_email(email).normalised
        assert (await login(service, tenant, normalised, password)).user.email == email, "it names the same person"
        return True

    assert await for_each(st.tuples(emails, passwords, names), examine)


async def check_account(service: Service, tenant: Any, email: str, password: str, name: str) -> None:
    session = await login(service, tenant, email, password)
    assert (session.user.email, session.user.tenant_id) == (email, str(tenant.id))
    assert session.user.display_name == (name.strip() or email.rpartition("@")[0])
    renewed = await refresh(service, session.refresh_token)
    for token in (session.access_token, renewed.access_token):
        assert await service.call("GetMe", auth.GetMeRequest(), credential=token) == session.user


async def test_a_key_that_could_be_created_is_listed_and_stands_for_its_caller(doors: Doors) -> None:
    keys = SystemKeys(doors)

    async def examine(drawn: tuple[str, KeyAudience, list[str], timedelta | None]) -> bool:
        name, audience, granted, lifetime = drawn
        try:
            key = await keys.create(name, audience, granted, lifetime)
        except InvalidArgument:
            return False
        (stored,) = [each for each in await keys.list() if each.id.hex == key.split("_")[1]]
        assert (stored.name, stored.audience, set(stored.permissions)) == (name, audience, set(granted))
        caller = await keys.verify(key)
        if lifetime is None or lifetime > timedelta(minutes=1):
            assert caller is not None
            assert (caller.subject, caller.permissions) == (name, frozenset(granted))
        return True

    drawn = st.tuples(key_names, st.sampled_from(KeyAudience), permissions, lifetimes)
    assert await for_each(drawn, examine)
