"""The mesh's edge: Envoy's configuration, made from the descriptor set. Starting Envoy is not here.

A process that starts an edge writes the configuration (`write`), lets Envoy check it (`validate`) and runs `command`.
"""

from __future__ import annotations

from tenantmesh.deploy.envoy.binary import InvalidConfiguration, binary, command, validate
from tenantmesh.deploy.envoy.contract import UnusableContract
from tenantmesh.deploy.envoy.cors import origin_form
from tenantmesh.deploy.envoy.limits import EdgeLimits
from tenantmesh.deploy.envoy.render import render, write
from tenantmesh.deploy.envoy.settings import DownstreamTls, EdgeSettings, UpstreamTls

__all__ = [
    "DownstreamTls",
    "EdgeLimits",
    "EdgeSettings",
    "InvalidConfiguration",
    "UnusableContract",
    "UpstreamTls",
    "binary",
    "command",
    "origin_form",
    "render",
    "validate",
    "write",
]
