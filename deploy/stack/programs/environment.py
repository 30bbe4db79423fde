"""The groups of settings that a stack can give a program. A row of the table names those that its program reads."""

from __future__ import annotations

from collections.abc import Mapping

from tenantmesh.deploy.stack.ports import LOOPBACK
from tenantmesh.deploy.stack.programs.program import Surroundings
from tenantmesh.deploy.stack.programs.python_program import PythonProgram

__all__ = ["database", "directory", "job_queue", "mesh", "proof_key", "purger", "redis", "signing_key", "tokens"]


def database(program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the role that reads and writes tenants' rows."""
    return {"TENANTMESH_DATABASE_URL": around.postgres.url(f"{program.role}_app").get_secret_value()}


def directory(program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the role that reads what belongs to no tenant."""
    return {"TENANTMESH_DATABASE_SYSTEM_URL": around.postgres.url(f"{program.role}_directory").get_secret_value()}


def job_queue(program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the role that takes jobs."""
    return {"TENANTMESH_WORKER_QUEUE_URL": around.postgres.url(f"{program.role}_worker").get_secret_value()}


def redis(_program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the store of limits and attempts."""
    return {
        "TENANTMESH_REDIS_URL": around.store.url.get_secret_value(),
        "TENANTMESH_REDIS_CLUSTER": str(around.store.cluster).lower(),
    }


def mesh(program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the addresses of both services, and the program's own key for them."""
    return {
        "TENANTMESH_MESH_TENANT_TARGET": f"{LOOPBACK}:{around.ports['tenant']}",
        "TENANTMESH_MESH_AUTH_TARGET": f"{LOOPBACK}:{around.ports['auth']}",
        "TENANTMESH_MESH_CREDENTIAL": around.places.key(program.name).read_text(encoding="utf-8").strip(),
    }


def tokens(_program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the issuer and audience of access tokens, the same to those who sign and those who verify."""
    return {
        "TENANTMESH_TOKENS_ISSUER": f"http://{LOOPBACK}:{around.ports['edge']}",
        "TENANTMESH_TOKENS_AUDIENCE": "tenantmesh",
    }


def signing_key(_program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the key that decrypts the signing keys. Only the service that signs may have it."""
    return {"TENANTMESH_TOKENS_KEK_FILE": str(around.places.signing_kek)}


def purger(program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the role that deletes the rows of purged tenants."""
    return {"TENANTMESH_PURGE_DATABASE_URL": around.postgres.url(f"{program.role}_purger").get_secret_value()}


def proof_key(_program: PythonProgram, around: Surroundings) -> Mapping[str, str]:
    """Give the key that decrypts the keys that sign proofs of purges."""
    return {"TENANTMESH_PURGE_KEK_FILE": str(around.places.proof_kek)}
