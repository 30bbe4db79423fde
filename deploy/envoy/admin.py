"""Envoy's own interface, out of reach of web pages: on a Unix socket, and in front of it a port that only reads."""

from __future__ import annotations

from tenantmesh.deploy.envoy.parts import Json, http_filter, matches, socket_address, typed
from tenantmesh.deploy.envoy.refusals import refuse
from tenantmesh.deploy.envoy.settings import EdgeSettings

__all__ = ["admin", "admin_cluster", "reader"]

CLUSTER = "admin"
READABLE = ("/stats", "/stats/prometheus", "/ready", "/clusters", "/listeners", "/server_info", "/memory", "/runtime")
# A page that has its name resolve to this machine sends that name.
OWN_NAMES = ("localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", "[::1]:*")
OWNER_ONLY = 0o600


def admin(settings: EdgeSettings) -> Json:
    """Return Envoy's interface, where a port for reading is asked for."""
    return {} if settings.admin_port is None else {"admin": {"address": socket(settings)}}


def socket(settings: EdgeSettings) -> Json:
    """Return the address of the interface itself."""
    if settings.admin_socket is None:
        return {"pipe": {"path": f"@tenantmesh-edge-{settings.admin_port}"}}
    return {"pipe": {"path": str(settings.admin_socket), "mode": OWNER_ONLY}}


def admin_cluster(settings: EdgeSettings) -> list[Json]:
    """Return the cluster through which the port reads."""
    if settings.admin_port is None:
        return []
    endpoint = {"endpoint": {"address": socket(settings)}}
    assignment = {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return [{"name": CLUSTER, "connect_timeout": "1s", "load_assignment": assignment}]


def reader(settings: EdgeSettings) -> list[Json]:
    """Return the port that answers GET of metrics and state, and refuses everything else."""
    if settings.admin_port is None:
        return []
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="admin",
        route_config={"name": "admin", "virtual_hosts": virtual_hosts()},
        http_filters=[http_filter("router", "Router")],
        use_remote_address=True,
        normalize_path=True,
        common_http_protocol_options={"idle_timeout": "60s"},
    )
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return [
        {
            "name": "admin",
            "address": socket_address(settings.admin_address, settings.admin_port),
            "enable_reuse_port": False,
            "ignore_global_conn_limit": True,
            "filter_chains": [chain],
        }
    ]


def virtual_hosts() -> list[Json]:
    """Return the routes: reading by this machine's own names."""
    reads = [matches(":method", "GET|HEAD")]
    routes = [{"match": {"path": path, "headers": reads}, "route": {"cluster": CLUSTER}} for path in READABLE]
    only = refuse(403, "This port reads metrics and state: GET /stats/prometheus, /clusters, /ready.\n")
    foreign = refuse(403, "This port answers to localhost and loopback addresses only.\n")
    anything = {"match": {"prefix": "/"}}
    return [
        {"name": "own", "domains": list(OWN_NAMES), "routes": [*routes, anything | only]},
        {"name": "foreign", "domains": ["*"], "routes": [anything | foreign]},
    ]
