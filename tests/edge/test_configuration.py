"""The rendered configuration: accepted by Envoy in every form, and made from the contract."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from tenantmesh.deploy.envoy import EdgeSettings, InvalidConfiguration, UnusableContract, render, validate, write
from tenantmesh.deploy.envoy.contract import read
from tenantmesh.policy.v1 import policy_pb2
from tests.edge.conftest import require_envoy

ROOT = Path(__file__).resolve().parents[2]


def contract() -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString(EdgeSettings().descriptors.read_bytes())


def with_contract(folder: Path, changed: descriptor_pb2.FileDescriptorSet) -> EdgeSettings:
    path = folder / "changed.binpb"
    path.write_bytes(changed.SerializeToString())
    return EdgeSettings(descriptors=path)


@pytest.mark.parametrize(
    "settings",
    [
        EdgeSettings(),
        EdgeSettings(reflection=True, access_log=True, cors_origins=("https://a.test", "https://*.b.test")),
        EdgeSettings(admin_port=None, trusted_hops=1, address="::1"),
        EdgeSettings(tenant=("tenant.mesh:50051", "127.0.0.1:50151"), auth=("[::1]:50052",)),
    ],
)
def test_envoy_accepts_it(settings: EdgeSettings, tmp_path: Path) -> None:
    require_envoy()
    path = write(settings, tmp_path / "state" / "edge.json")
    validate(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == render(settings)


def test_what_envoy_refuses_is_said(tmp_path: Path) -> None:
    require_envoy()
    path = tmp_path / "edge.json"
    path.write_text('{"static_resources": {"listeners": [{"nonsense": true}]}}')
    with pytest.raises(InvalidConfiguration, match="nonsense"):
        validate(path)


def paths(value: Any) -> set[str]:
    """Every route's path or prefix."""
    manager = value["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][-1]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    return {match.get("path") or match.get("prefix") for match in (route["match"] for route in routes)}


def test_every_service_has_its_route() -> None:
    ours = [file for file in contract().file if file.package.startswith("tenantmesh.")]
    services = {f"/{file.package}.{service.name}/": service for file in ours for service in file.service}
    streams = {
        f"{prefix}{method.name}"
        for prefix, service in services.items()
        for method in service.method
        if method.server_streaming or method.client_streaming
    }
    assert services
    assert streams
    assert services.keys() | streams <= paths(render(EdgeSettings()))


def test_reflection_is_for_development() -> None:
    assert not any("reflection" in path for path in paths(render(EdgeSettings())))
    assert any("reflection" in path for path in paths(render(EdgeSettings(reflection=True))))


def test_a_second_edge_on_the_port_fails_instead_of_sharing_it() -> None:
    assert render(EdgeSettings())["static_resources"]["listeners"][0]["enable_reuse_port"] is False


def test_a_service_without_an_upstream_is_refused(tmp_path: Path) -> None:
    changed = contract()
    changed.file.add(name="n.proto", package="tenantmesh.nobody.v1").service.add(name="NobodyService")
    with pytest.raises(UnusableContract, match=r"tenantmesh\.nobody\.v1\.NobodyService"):
        render(with_contract(tmp_path, changed))


@pytest.mark.parametrize(
    ("part", "upstream"),
    [("tenant", "tenant"), ("auth", "auth"), ("usage", "tenant"), ("audit", "tenant"), ("webhook", "tenant")],
)
def test_a_package_is_served_by_its_upstream(part: str, upstream: str, tmp_path: Path) -> None:
    changed = contract()
    changed.file.add(name="n.proto", package=f"tenantmesh.{part}.v1").service.add(name="NewService")
    settings = with_contract(tmp_path, changed)
    services = read(settings.descriptors, settings.upstreams).services
    assert {service.name: service.upstream for service in services}[f"tenantmesh.{part}.v1.NewService"] == upstream


def test_a_service_in_a_package_that_is_reserved_is_refused(tmp_path: Path) -> None:
    changed = contract()
    changed.file.add(name="n.proto", package="tenantmesh.decision.v1").service.add(name="NewService")
    expected = r"tenantmesh\.decision\.v1\.NewService: the package part 'decision' is reserved for decision_svc"
    with pytest.raises(UnusableContract, match=expected):
        render(with_contract(tmp_path, changed))


def test_a_service_whose_upstream_has_no_address_is_refused() -> None:
    settings = EdgeSettings()
    with pytest.raises(UnusableContract, match=r"is served by auth, which the edge has no address for"):
        read(settings.descriptors, {"tenant"})


def test_what_the_transcoder_can_not_do_is_refused(tmp_path: Path) -> None:
    changed = contract()
    method = next(method for file in changed.file for service in file.service for method in service.method)
    method.options.Extensions[annotations_pb2.http].response_body = "user"
    with pytest.raises(UnusableContract, match="response_body"):
        render(with_contract(tmp_path, changed))


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/api/v1/things/{slug=**}", "", "slug=\\*\\*"),
        ("/api/v1/things/{nobody}", "", "nobody"),
        ("/api/v1/things", "slug", "the body slug must be a message"),
        ("/api/v1/things", "nobody", "the body nobody must be a message"),
    ],
)
def test_a_binding_whose_fields_can_not_be_checked_is_refused(path: str, body: str, words: str, tmp_path: Path) -> None:
    changed = contract()
    services = (service for file in changed.file for service in file.service)
    method = next(method for service in services for method in service.method if method.name == "CreateTenant")
    rule = method.options.Extensions[annotations_pb2.http].additional_bindings.add(post=path, body=body)
    assert rule.post == path
    with pytest.raises(UnusableContract, match=words):
        render(with_contract(tmp_path, changed))


def test_a_request_with_a_field_called_tenant_is_refused(tmp_path: Path) -> None:
    changed = contract()
    file = next(file for file in changed.file if file.package == "tenantmesh.tenant.v1" and file.service)
    wanted = file.service[0].method[0].input_type.rpartition(".")[2]
    next(message for message in file.message_type if message.name == wanted).field.add(name="tenant", number=99)
    with pytest.raises(UnusableContract, match=r"\.tenant:"):
        render(with_contract(tmp_path, changed))


@pytest.mark.parametrize("target", ["nohost", "host:", ":1", "host:http"])
def test_an_address_without_a_port_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        render(replace(EdgeSettings(), tenant=(target,)))


def test_the_descriptor_set_is_found_in_a_wheel_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "descriptors.binpb"
    inside.write_bytes(b"")
    monkeypatch.setattr(policy_pb2, "__file__", str(tmp_path / "policy" / "v1" / "policy_pb2.py"))
    assert EdgeSettings().descriptors == inside


def test_a_checkout_reads_what_was_generated_last() -> None:
    assert EdgeSettings().descriptors.samefile(ROOT / "gen" / "descriptors.binpb")


def test_the_edge_makes_spans_where_a_collector_is_set(tmp_path: Path) -> None:
    assert "otlp" not in json.dumps(render(EdgeSettings()))
    rendered = render(replace(EdgeSettings(), otlp="collector.test:4317", trace_ratio=0.5))
    (cluster,) = [each for each in rendered["static_resources"]["clusters"] if each["name"] == "otlp"]
    assert "collector.test" in json.dumps(cluster)
    assert '"random_sampling": {"value": 50.0}' in json.dumps(rendered)
    with pytest.raises(ValueError, match="host:port"):
        render(replace(EdgeSettings(), otlp="collector.test"))
