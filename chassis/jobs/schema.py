"""The schema of the job queue: who may do what there. The queue's library makes the tables, by a migration of ours."""

from __future__ import annotations

from tenantmesh.runtime.row_security import Confined, LibrarySchema, TableGrant

__all__ = ["job_schema"]

_ENQUEUED = ("priority", "entrypoint", "payload", "execute_after", "status")
# As PostgreSQL prints back the condition that the migration writes.
_OWN_TENANT = (
    "((status = 'queued'::jobs.pgqueuer_status) AND (substr(payload, 1, 45) = convert_to((('tenants/'::text || "
    "(( SELECT (current_setting('app.tenant_id'::text))::uuid AS current_setting))::text) || '/'::text), "
    "'UTF8'::name)) AND (length(payload) <= 512))"
)
_OF_MESH = (
    "((status = 'queued'::jobs.pgqueuer_status) AND (substr(payload, 1, 11) = convert_to('operations/'::text, "
    "'UTF8'::name)) AND (length(payload) = 47))"
)


def job_schema(app_role: str, directory_role: str, worker_role: str) -> LibrarySchema:
    """Return the declaration: the worker works on every job, a tenant's transaction adds jobs about its tenant, and one
    of the system door jobs about operations of the mesh."""
    return LibrarySchema(
        "jobs",
        "A worker takes the jobs of all tenants, and a job names nothing but its subject.",
        {
            "pgqueuer": [TableGrant(worker_role, ("SELECT", "UPDATE", "DELETE"))],
            "pgqueuer_log": [TableGrant(worker_role, ("SELECT", "INSERT", "DELETE"))],
            "pgqueuer_schedules": [TableGrant(worker_role, ("SELECT",))],
            "pgqueuer_statistics": [TableGrant(worker_role, ("SELECT",))],
        },
        {
            "pgqueuer": [
                Confined(TableGrant(app_role, ("INSERT",), _ENQUEUED), "own_jobs", _OWN_TENANT),
                Confined(TableGrant(directory_role, ("INSERT",), _ENQUEUED), "mesh_jobs", _OF_MESH),
            ]
        },
    )
