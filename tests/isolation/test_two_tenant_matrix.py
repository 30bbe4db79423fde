"""Two tenants and every RPC: what one of them may never see or do. Made from the descriptors, so that a new RPC is in
it as soon as it is in the protos.

For each method: callers of the wrong kind are refused before anything is read; a user of one tenant who names the
other, by any source or field, gets what a missing tenant gets; and nothing of the other tenant is in any answer.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from tenantmesh.interceptors.policy import policies_of
from tenantmesh.policy.v1 import policy_pb2
from tests.fixtures.mesh import EMAIL_DOMAINS, LOGIN_HOSTS, SETUP_LINKS, TENANTS, Mesh, Tenant, User, World
from tests.transports import SERVICES, UNARY, Answer, Transport, full_name

NOTHING = "0192aaaa-0000-7000-8000-000000000001"
POLICIES = policies_of(SERVICES)
AUDIENCES = {
    "user": policy_pb2.AUDIENCE_USER,
    "service": policy_pb2.AUDIENCE_SERVICE,
    "operator": policy_pb2.AUDIENCE_OPERATOR,
}


@dataclass(frozen=True)
class Pair:
    """Two tenants, each with a user who may do in it all that users may; and what the other one has, by the field that
    names it in a path."""

    acme: Tenant
    globex: Tenant
    ada: User
    grace: User
    of_globex: dict[str, str]

    @property
    def foreign(self) -> tuple[str, ...]:
        """What of globex must not reach ada."""
        return (self.globex.id, self.globex.slug, self.grace.id, self.grace.email, *self.of_globex.values())

    def foreign_in(self, field: str) -> tuple[str, ...]:
        """What names something of globex in that field: of its own kind, and of others."""
        if field in MISSING:
            return (self.of_globex[field],)
        own = (self.of_globex[field],) if field in self.of_globex else ()
        return (*own, self.globex.id, self.globex.slug, self.grace.id)


MISSING = {"host": "nothing.such.test", "domain": "nothing.such.test"}
"""Names of nothing, for fields that take no id."""


@pytest.fixture(scope="session")
async def pair(world: World) -> Pair:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    return Pair(acme, globex, await world.owner(acme), await world.owner(globex), await belongings(world, globex))


async def belongings(world: World, tenant: Tenant) -> dict[str, str]:
    """One of each thing that a tenant has, by the field that names it."""
    here, name = {"id": tenant.id}, f"{tenant.slug}.names.test"
    link = await world.operate(f"{SETUP_LINKS}/CreateSetupLink", {**here, "intent": "SETUP_INTENT_LOGIN_HOST"})
    moved = await world.operate(f"{TENANTS}/MigrateTenantPlan", {**here, "planId": "premium"})
    await world.operate(f"{LOGIN_HOSTS}/CreateLoginHost", {**here, "host": name})
    await world.operate(f"{EMAIL_DOMAINS}/CreateEmailDomain", {**here, "domain": name})
    return {
        "host": name,
        "domain": name,
        "setup_link_id": link["setupLink"]["setupLinkId"],
        "operation_id": moved["name"].rpartition("/")[2],
    }


def declared(method: MethodDescriptor) -> policy_pb2.MethodPolicy:
    return method.GetOptions().Extensions[policy_pb2.method]


def by_name(method: MethodDescriptor) -> str:
    return method.name


def sees(answer: Answer, secrets: tuple[str, ...]) -> list[str]:
    text = f"{answer.body} {answer.message} {answer.details} {answer.headers}"
    return [secret for secret in secrets if secret in text]


@pytest.mark.parametrize("method", UNARY, ids=by_name)
async def test_only_the_declared_audiences_are_served(
    method: MethodDescriptor, transport: Transport, mesh: Mesh, pair: Pair
) -> None:
    name, audiences = full_name(method), set(declared(method).audiences)
    if policy_pb2.AUDIENCE_PUBLIC in audiences:
        # Anybody is served, so that nothing may be refused for who calls.
        answer = await transport.call(name, {})
        assert answer.reason not in {"CREDENTIALS_MISSING", "AUDIENCE_NOT_ALLOWED"}, answer
        return
    anonymous = await transport.call(name, own_request(method, pair))
    assert (anonymous.code, anonymous.reason) == ("UNAUTHENTICATED", "CREDENTIALS_MISSING")
    tokens = {"user": pair.ada.token, "service": mesh.service_key, "operator": mesh.operator_key}
    for kind, audience in AUDIENCES.items():
        answer = await transport.call(name, own_request(method, pair), token=tokens[kind], metadata=here(kind, pair))
        if audience not in audiences:
            assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "AUDIENCE_NOT_ALLOWED"), (kind, answer)
        else:
            assert answer.reason != "AUDIENCE_NOT_ALLOWED", (kind, answer)


def here(kind: str, pair: Pair) -> list[tuple[str, str]]:
    """A service or operator says which tenant it means; a user's credential says it."""
    return [] if kind == "user" else [("x-tenant-id", pair.acme.id)]


def own_request(method: MethodDescriptor, pair: Pair) -> dict[str, Any]:
    """A request about ada's own tenant; what else is in its path names nothing that exists. Where it can be checked
    without effect it is: the tenant is needed again."""
    field = declared(method).tenant_field
    dry = {"validateOnly": True} if "validate_only" in method.input_type.fields_by_name else {}
    named = {json_name(method, each): missing_in(each) for each in in_path(method)}
    return named | dry | ({json_name(method, field): pair.acme.id} if field else {})


def missing_in(field: str) -> str:
    """The name of nothing, in that field of a path."""
    return NOTHING if field.endswith("_id") else MISSING.get(field, "nothing_such")


def in_path(method: MethodDescriptor) -> list[str]:
    """The fields in the method's REST path."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return re.findall(r"\{(\w+)\}", getattr(rule, verb)) if verb else []


def json_name(method: MethodDescriptor, field: str) -> str:
    return str(method.input_type.fields_by_name[field].json_name)


def id_fields(method: MethodDescriptor) -> list[str]:
    """The request's fields that name something: the tenant field, strings called id or …_id, and those in its path."""
    named = {declared(method).tenant_field, "id", *in_path(method)}
    return [
        field.name
        for field in method.input_type.fields
        if field.type == FieldDescriptor.TYPE_STRING
        and field.name != "request_id"  # the client's own, never looked up across tenants
        and (field.name in named or field.name.endswith("_id"))
    ]


FOR_USERS = [method for method in UNARY if policy_pb2.AUDIENCE_USER in declared(method).audiences]


@pytest.mark.parametrize("method", [method for method in FOR_USERS if id_fields(method)], ids=by_name)
async def test_foreign_ids_answer_as_missing_ones(method: MethodDescriptor, transport: Transport, pair: Pair) -> None:
    for field in id_fields(method):
        key = json_name(method, field)
        own = own_request(method, pair)
        nothing = MISSING.get(field) or str(uuid.uuid4())
        missing = await transport.call(full_name(method), {**own, key: nothing}, token=pair.ada.token)
        assert missing.reason != "PERMISSION_MISSING", "it must get as far as to look"
        for foreign in pair.foreign_in(field):
            answer = await transport.call(full_name(method), {**own, key: foreign}, token=pair.ada.token)
            assert answer.code != "OK", f"{field} reached another tenant's {foreign}"
            assert (answer.code, answer.message, answer.details) == (missing.code, missing.message, missing.details)


@pytest.mark.parametrize("method", FOR_USERS, ids=by_name)
async def test_no_source_turns_a_user_to_another_tenant(
    method: MethodDescriptor, transport: Transport, pair: Pair
) -> None:
    policy = POLICIES[f"/{full_name(method)}"]
    for source in (("x-tenant-id", pair.globex.id), ("x-tenant-slug", pair.globex.slug)):
        answer = await transport.call(
            full_name(method), own_request(method, pair), token=pair.ada.token, metadata=[source]
        )
        if policy.tenant_scope.name == "NONE":
            assert answer.reason != "TENANT_MISMATCH"
        else:
            assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "TENANT_MISMATCH"), source
        assert not sees(answer, (pair.grace.id, pair.grace.email))


@pytest.mark.parametrize("method", UNARY, ids=by_name)
async def test_no_answer_to_a_user_holds_anything_of_another_tenant(
    method: MethodDescriptor, transport: Transport, pair: Pair
) -> None:
    for request in ({}, own_request(method, pair)):
        if declared(method).tenant_field and not request:
            continue  # over REST such a call has no path
        answer = await transport.call(full_name(method), request, token=pair.ada.token)
        assert not sees(answer, pair.foreign)
        assert not sees(answer, (pair.ada.token, pair.grace.token))


OF_MESH_OR_TENANT = [
    method
    for method in UNARY
    if declared(method).tenant_field and declared(method).tenant_scope == policy_pb2.TENANT_SCOPE_OPTIONAL
]


@pytest.mark.parametrize("method", OF_MESH_OR_TENANT, ids=by_name)
async def test_without_a_tenant_only_operators_reach_the_meshs_own(
    method: MethodDescriptor, transport: Transport, mesh: Mesh, pair: Pair
) -> None:
    request = own_request(method, pair)
    del request[json_name(method, declared(method).tenant_field)]
    of_operator = await transport.call(full_name(method), request, token=mesh.operator_key)
    assert (of_operator.code, of_operator.reason) in {("OK", ""), ("NOT_FOUND", "OPERATION_NOT_FOUND")}
    of_service = await transport.call(full_name(method), request, token=mesh.service_key)
    assert of_service.code in {"NOT_FOUND", "PERMISSION_DENIED"}
    of_user = await transport.call(full_name(method), request, token=pair.ada.token)
    assert not sees(of_user, pair.foreign)
    named = await transport.call(full_name(method), own_request(method, pair), token=pair.ada.token)
    assert (of_user.code, of_user.body, of_user.details) == (named.code, named.body, named.details), "its own tenant's"
    foreign = [("x-tenant-id", pair.globex.id)]
    turned = await transport.call(full_name(method), request, token=pair.ada.token, metadata=foreign)
    assert turned.reason in {"TENANT_MISMATCH", "AUDIENCE_NOT_ALLOWED"}


def test_every_rpc_is_in_the_matrix() -> None:
    streaming = {full_name(method) for service in SERVICES for method in service.methods if method.server_streaming}
    tested = {full_name(method) for method in UNARY}
    assert {name.lstrip("/") for name in POLICIES if not name.startswith("/grpc.")} == tested | streaming
