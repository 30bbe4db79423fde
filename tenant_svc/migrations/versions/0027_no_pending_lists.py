"""Look-ups that stay flat: no lists of pending entries, and indexes for what a purge looks up.

Revision ID: 0027
Revises: 0026
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# Every look-up reads the list, which any change of any tenant makes longer, up to `gin_pending_list_limit` (4 MB): with
# 100,000 tenants a look-up by host took twenty times as long. A tenant has few entries, so that they are cheap to write
# at once.
_WITHOUT_LISTS = ("tenants_login_hosts_idx", "tenants_labels_idx", "tenants_words_idx")

# A purge finds the jobs that name its tenant, the failures in the log of jobs, and the tenant's last purge. The queue
# holds a job for each tenant that is deleted and not yet purged.
_INDEXES = """
CREATE INDEX pgqueuer_payload_idx ON jobs.pgqueuer (payload);
CREATE INDEX pgqueuer_log_failures_idx ON jobs.pgqueuer_log (id) WHERE traceback IS NOT NULL;
CREATE INDEX mesh_operations_subject_idx ON tenant.mesh_operations (subject, operation_id);
"""


def upgrade() -> None:
    for index in _WITHOUT_LISTS:
        script(f"ALTER INDEX tenant.{index} SET (fastupdate = off); SELECT gin_clean_pending_list('tenant.{index}');")
    script(_INDEXES)
