"""Assembly of a service's chain, and of its clients of the other services, from the shared settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tenantmesh.chassis.settings import ServiceSettings
from tenantmesh.interceptors import (
    ApiKeyVerifier,
    Chain,
    ChainPorts,
    ChainSettings,
    EntitlementDirectory,
    EntitlementSource,
    LeasedQuota,
    LeasedRateLimiter,
    LineBound,
    Mesh,
    QuotaLedger,
    TenantDirectory,
)
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore
from tenantmesh.interceptors.client import Credential, channel, tls_credentials
from tenantmesh.interceptors.concurrency import CallsInFlight, parse_concurrency
from tenantmesh.interceptors.credentials import parse_identities
from tenantmesh.interceptors.limits import parse_rates
from tenantmesh.interceptors.logs import AccessLog
from tenantmesh.interceptors.tokens import JwtVerifier, KeySet
from tenantmesh.runtime.redis_client import StoreClient
from tenantmesh.runtime.settings import split_address
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.runtime.telemetry.spans import CallSpans

__all__ = ["auth_channel", "call_spans", "make_chain", "make_mesh", "make_ports", "mesh_tls"]


def make_chain(
    services: Iterable[ServiceDescriptor], ports: ChainPorts, settings: ServiceSettings, telemetry: Telemetry
) -> Chain:
    """Make the chain for these services, and register its metrics. Raises PolicyError for a policy that the chain can't
    keep."""
    chain_settings = ChainSettings(
        base_domain=settings.mesh.base_domain,
        trusted_proxies=settings.mesh.trusted_proxies,
        rates=parse_rates(settings.mesh.rates),
        concurrency=parse_concurrency(settings.mesh.concurrency),
        identities=parse_identities(settings.mesh.identities),
        access_log=AccessLog(settings.telemetry.access_log),
        refusal_lines=LineBound(
            settings.telemetry.refusal_lines,
            settings.telemetry.refusal_interval.total_seconds(),
            settings.telemetry.refusal_addresses,
        ),
        longest_watch=settings.server.longest_watch.total_seconds(),
        max_request_bytes=settings.server.max_request_bytes,
        max_answer_bytes=settings.server.max_response_bytes,
    )
    chain = Chain(services, ports, chain_settings)
    telemetry.collector(lambda: [*_in_flight(chain.in_flight), _left_out(chain.lines.left_out)])
    return chain


def _in_flight(classes: Iterable[CallsInFlight]) -> list[Metric]:
    """Return the metrics of calls in flight. Tenants are no label: there may be any number of them."""
    now = GaugeMetricFamily("tenantmesh_calls_in_flight", "Calls in flight, by concurrency class.", labels=["class"])
    refused = CounterMetricFamily(
        "tenantmesh_calls_in_flight_refused",
        "Calls refused with TOO_MANY_IN_FLIGHT, by concurrency class and by whose bound was reached.",
        labels=["class", "scope"],
    )
    for counted in classes:
        now.add_metric([counted.name], counted.number)
        for scope, number in counted.refused.items():
            refused.add_metric([counted.name, scope], number)
    return [now, refused]


def _left_out(lines: Mapping[str, int]) -> Metric:
    """Return the metric of log lines that were counted instead of written."""
    family = CounterMetricFamily(
        "tenantmesh_log_lines_left_out", "Log lines that were counted instead of written, by logger.", labels=["logger"]
    )
    for logger, number in list(lines.items()):
        family.add_metric([logger], number)
    return family


def make_ports(
    settings: ServiceSettings,
    telemetry: Telemetry,
    redis: StoreClient,
    *,
    keys: KeySet,
    api_keys: ApiKeyVerifier,
    tenants: TenantDirectory,
    entitlements: EntitlementSource,
    ledger: QuotaLedger,
) -> ChainPorts:
    """Make the chain's ports: leases on the store, the directory of entitlements, and the observers of telemetry.

    Registers the counters of the leases.
    """
    quotas = LeasedQuota(
        ledger,
        RedisQuotaPool(redis),
        reserve_share=settings.mesh.reserve_share,
        reserve_seconds=settings.mesh.reserve_time.total_seconds(),
    )
    limiter = LeasedRateLimiter(RedisRateStore(redis))
    telemetry.counters("tenantmesh_allowance", quotas.stats)
    telemetry.counters("tenantmesh_burst", limiter.stats)
    return ChainPorts(
        tokens=JwtVerifier(settings.tokens.issuer, settings.tokens.audience, keys),
        api_keys=api_keys,
        directory=tenants,
        entitlements=EntitlementDirectory(entitlements),
        quotas=quotas,
        limiter=limiter,
        observer=telemetry.record_call,
        tracer=call_spans(settings, telemetry),
    )


def call_spans(settings: ServiceSettings, telemetry: Telemetry) -> CallSpans | None:
    """Return the tracer of calls; None where traces are not exported."""
    if telemetry.tracer is None:
        return None
    return CallSpans(telemetry.tracer, split_address(settings.server.listen))


def make_mesh(settings: ServiceSettings, telemetry: Telemetry) -> Mesh:
    """Make the clients of the other services. They open their channels on first use."""
    return Mesh(
        tenant_target=settings.mesh.tenant_target,
        auth_target=settings.mesh.auth_target,
        credential=settings.mesh.credential.get_secret_value(),
        issuer=settings.tokens.issuer,
        audience=settings.tokens.audience,
        tls=mesh_tls(settings),
        tracer=call_spans(settings, telemetry),
    )


def auth_channel(settings: ServiceSettings, telemetry: Telemetry) -> grpc.aio.Channel:
    """Open a channel to auth_svc, with the service's own key, for methods that `Mesh` does not know."""
    return channel(
        settings.mesh.auth_target,
        credential=Credential(settings.mesh.credential.get_secret_value()),
        tls=mesh_tls(settings),
        tracer=call_spans(settings, telemetry),
    )


def mesh_tls(settings: ServiceSettings) -> grpc.ChannelCredentials | None:
    """Return the TLS credentials for channels to other services of the mesh, or None where they speak plain text."""
    ca = settings.mesh.tls_ca
    return None if ca is None else tls_credentials(ca, settings.server.tls_cert, settings.server.tls_key)
