"""Every REST path of the contract: a field is bound once, by the path, the body or the query, under a known name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest

from tenantmesh.deploy.envoy import EdgeSettings
from tenantmesh.deploy.envoy.contract import VARIABLE, Binding, Contract, read
from tenantmesh.deploy.envoy.fields import Field, JsonKind
from tests.edge.conftest import Edge

SETTINGS = EdgeSettings()
CONTRACT: Contract = read(SETTINGS.descriptors, SETTINGS.upstreams)
SERVED = {200, 501}
"""What the upstream answers to a call that reaches it: it implements a few methods only."""


@dataclass(frozen=True)
class Sent:
    """A request of one binding, and a word of the answer."""

    binding: Binding
    query: str = ""
    body: str = ""
    word: str = ""

    @property
    def path(self) -> str:
        return VARIABLE.sub("x", self.binding.path)


def fields_of(binding: Binding) -> tuple[Field, ...]:
    return CONTRACT.messages[binding.request]


def encoded(name: str) -> str:
    """A name of which every character is percent-encoded."""
    return "".join(f"%{ord(character):02x}" for character in name)


def values(field: Field) -> list[str]:
    """The parameters that set a field by a query, in both spellings."""
    if field.kind is JsonKind.VALUE:
        return list(field.spellings)
    inner = CONTRACT.messages.get(field.message, ())
    return [f"{outer}.{name}" for outer in field.spellings for each in inner for name in each.spellings]


def bound_in_the_path() -> Iterator[Sent]:
    for binding in CONTRACT.bindings:
        for field in (field for field in fields_of(binding) if field.name in binding.variables):
            for name in (*field.spellings, encoded(field.name)):
                yield Sent(binding, f"{name}=other", word=f"{field.json_name} is in the path")


def bound_in_the_body() -> Iterator[Sent]:
    for binding in CONTRACT.bindings:
        for field in fields_of(binding):
            if binding.body == field.name or (binding.body == "*" and field.name not in binding.variables):
                for name in values(field):
                    yield Sent(binding, f"{name}=1", word=f"{field.json_name} is set in the body")


def in_the_query(binding: Binding) -> list[Field]:
    if binding.body == "*":
        return []
    return [field for field in fields_of(binding) if field.name not in (*binding.variables, binding.body)]


def twice_in_the_query() -> Iterator[Sent]:
    for binding in CONTRACT.bindings:
        yield Sent(binding, "tenant=a&tenant=a", word="tenant is given twice")
        for field in in_the_query(binding):
            if not field.repeated:
                for name in (*field.spellings, encoded(field.json_name)):
                    sent = f"{field.json_name}=1&tenant=a&{name}=1"
                    yield Sent(binding, sent, word=f"{field.json_name} is given twice")


def unknown_in_the_query() -> Iterator[Sent]:
    for binding in CONTRACT.bindings:
        for name in ("nonsense", "id.x", "", ".", "x" * 300):
            yield Sent(binding, f"{name}=1", word="is ")


def object_of(binding: Binding) -> tuple[Field, ...]:
    """The fields of a body."""
    if binding.body == "*":
        return fields_of(binding)
    held = next(field for field in fields_of(binding) if field.name == binding.body)
    return CONTRACT.messages[held.message]


def with_body() -> list[Binding]:
    return [binding for binding in CONTRACT.bindings if binding.body]


def example(field: Field) -> str:
    """JSON that a field takes."""
    value = "{}" if field.kind is JsonKind.OBJECT else "null"
    return f"[{value}]" if field.repeated else value


def twice_in_the_body() -> Iterator[Sent]:
    for binding in with_body():
        for field in (field for field in object_of(binding) if field.name not in binding.variables):
            escaped = f"\\u{ord(field.json_name[0]):04x}{field.json_name[1:]}"
            for name in (*field.spellings, escaped):
                sent = f'{{"{field.json_name}": {example(field)}, "{name}": {example(field)}}}'
                yield Sent(binding, body=sent, word=f"{field.json_name} is given twice")


def unknown_in_the_body() -> Iterator[Sent]:
    for binding in with_body():
        yield Sent(binding, body='{"nonsense": 1}', word="nonsense is no field")
        for field in object_of(binding):
            if (wrong := field.name.upper()) not in field.spellings:
                yield Sent(binding, body=f'{{"{wrong}": 1}}', word=f"Did you mean {field.json_name}?")
            if field.kind is JsonKind.OBJECT:
                inner = '{"nonsense": 1}'
                where = f"{field.json_name}[0]" if field.repeated else field.json_name
                sent = f'{{"{field.name}": {f"[{inner}]" if field.repeated else inner}}}'
                yield Sent(binding, body=sent, word=f"{where}.nonsense is no field")


def path_in_the_body() -> Iterator[Sent]:
    for binding in (binding for binding in with_body() if binding.body == "*"):
        for field in (field for field in fields_of(binding) if field.name in binding.variables):
            for name in field.spellings:
                yield Sent(binding, body=f'{{"{name}": "x"}}', word=f"{field.json_name} is in the path")


def of_another_form() -> Iterator[Sent]:
    for binding in with_body():
        for body in ("[]", "5", '"x"', "null", " "):
            yield Sent(binding, body=body, word="must be a JSON object")
        for body in ("{} {}", "{}x"):
            yield Sent(binding, body=body, word="end behind its JSON object")
        for field in (field for field in object_of(binding) if field.name not in binding.variables):
            wrong = "{}" if field.kind is JsonKind.VALUE or field.repeated else "[]"
            if field.kind is not JsonKind.ANY:
                yield Sent(binding, body=f'{{"{field.json_name}": {wrong}}}', word=f"{field.json_name} must")


def body_that_is_not_read() -> Iterator[Sent]:
    for binding in (binding for binding in CONTRACT.bindings if not binding.body):
        for field in fields_of(binding)[:1]:
            yield Sent(binding, body=f'{{"{field.json_name}": 1}}', word="reads no body")
        yield Sent(binding, body="[]", word="reads no body")


def answered(edge: Edge, requests: Iterable[Sent]) -> list[tuple[Sent, int, dict[str, Any]]]:
    """Sends many requests over one connection, and returns each with the status and the body of its answer."""
    with closing(HTTPConnection("127.0.0.1", edge.rest.port, timeout=10)) as connection:
        return [(sent, *answer(connection, sent)) for sent in requests]


def answer(connection: HTTPConnection, sent: Sent) -> tuple[int, dict[str, Any]]:
    query = f"?{sent.query}" if sent.query else ""
    headers = {"content-type": "application/json"} if sent.body else {}
    connection.request(sent.binding.verb, sent.path + query, sent.body.encode() or None, headers)
    with connection.getresponse() as response:
        return response.status, json.loads(response.read())


@pytest.mark.parametrize(
    "kind",
    [
        bound_in_the_path,
        bound_in_the_body,
        twice_in_the_query,
        unknown_in_the_query,
        twice_in_the_body,
        unknown_in_the_body,
        path_in_the_body,
        of_another_form,
        body_that_is_not_read,
    ],
    ids=lambda kind: str(kind.__name__),
)
async def test_a_field_is_bound_once_at_every_path(edge: Edge, kind: Any) -> None:
    arrived = len(edge.upstream.arrivals)

    def refused_wrongly() -> list[str]:
        answers = answered(edge, kind())
        assert answers
        return [
            f"{sent.binding.verb} {sent.path}?{sent.query} {sent.body}: {status} {body}"
            for sent, status, body in answers
            if status != 400 or body["code"] != 3 or sent.word not in body["message"] or body["message"][0] == ":"
        ]

    assert await asyncio.to_thread(refused_wrongly) == []
    assert len(edge.upstream.arrivals) == arrived, "a refused call reached the service"


def whole() -> Iterator[Sent]:
    """A request at each path that sets what may be set where it may be set."""
    for binding in (binding for binding in CONTRACT.bindings if not binding.streams):
        groups: set[str] = set()
        query = ["tenant=acme"]
        for field in (field for field in in_the_query(binding) if field.kind is JsonKind.VALUE):
            if field.oneof not in groups or not field.oneof:
                query.append(f"{field.name}=")
                groups.add(field.oneof)
        body = ", ".join(
            f'"{field.json_name}": {example(field)}'
            for field in (object_of(binding) if binding.body else ())
            if binding.body != "*" or field.name not in binding.variables
        )
        yield Sent(binding, "&".join(query), f"{{{body}}}" if binding.body else "")
        yield Sent(binding, "tenant=acme")


async def test_every_path_takes_each_field_in_its_place(edge: Edge) -> None:
    def refused() -> list[str]:
        return [
            f"{sent.binding.verb} {sent.path}?{sent.query} {sent.body}: {status} {body}"
            for sent, status, body in answered(edge, whole())
            # The transcoder reads an empty text as no number, which shows that it has found the field.
            if status not in SERVED and "invalid value" not in body["message"]
        ]

    assert await asyncio.to_thread(refused) == []
