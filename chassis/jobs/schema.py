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


def job_schema(app_role: str, worker_role: str) -> LibrarySchema:
    """Return the declaration: the worker works on every job, and a tenant's transaction adds jobs about its tenant."""
    return LibrarySchema(
        "jobs",
        "A worker takes the jobs of all tenants, and a job names nothing but a subject of its tenant.",
        {
            "pgqueuer": [TableGrant(worker_role, ("SELECT", "UPDATE", "DELETE"))],
            "pgqueuer_log": [TableGrant(worker_role, ("SELECT", "INSERT", "DELETE"))],
            "pgqueuer_schedules": [TableGrant(worker_role, ("SELECT",))],
            "pgqueuer_statistics": [TableGrant(worker_role, ("SELECT",))],
        },
        {"pgqueuer": Confined(TableGrant(app_role, ("INSERT",), _ENQUEUED), "own_jobs", _OWN_TENANT)},
    )
