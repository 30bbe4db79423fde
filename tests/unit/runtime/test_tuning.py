from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tenantmesh.runtime import tuning

REPORT = """
import os
from tenantmesh.runtime import tuning

tuning.apply()
print(os.getpid(), os.environ["GRPC_EXPERIMENTS"])
"""


def test_this_grpc_still_knows_the_experiment() -> None:
    """grpc names an unknown one on stderr, once it is in use."""
    program = "import grpc; grpc.insecure_channel('127.0.0.1:1').close()"
    environment = {**os.environ, **tuning.ENVIRONMENT, "GRPC_VERBOSITY": "ERROR"}
    known = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "Unknown experiment" not in known.stderr
    environment["GRPC_EXPERIMENTS"] = "-no_such_thing"
    other = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "Unknown experiment" in other.stderr


@pytest.mark.parametrize(("chosen", "used"), [(None, "-event_engine_listener"), ("mine", "mine")])
def test_a_process_without_the_environment_becomes_one_with_it(chosen: str | None, used: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    if chosen is not None:
        environment["GRPC_EXPERIMENTS"] = chosen
    with subprocess.Popen([sys.executable, "-c", REPORT], env=environment, stdout=subprocess.PIPE, text=True) as child:
        output, _ = child.communicate(timeout=20)
        assert output.split() == [str(child.pid), used]
