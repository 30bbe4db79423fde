"""Names the fixture modules, and sets what must be set before gRPC is imported."""

from __future__ import annotations

import os

# Tests start programs from a process in which gRPC has threads; its fork handlers, made for forks that go on using
# gRPC, now and then end such a child before it becomes its program.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# The workers of stacks that tests start ask no DNS of this machine; those that need answers are given a server.
os.environ.setdefault("TENANTMESH_DOMAINS_RESOLVERS", "127.0.0.1:9")

pytest_plugins = ["tests.fixtures.engines", "tests.fixtures.stack", "tests.fixtures.mesh", "tests.fixtures.processes"]
