"""Indexes for the list of tenants: by each field that filters and orders promise to read by an index.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# Labels and words as arrays and vectors that GIN indexes serve. `label_entries` has the keys and `key=value`, since
# PostgreSQL keeps statistics of the elements of arrays, and none of what is in a jsonb. A word is a run of letters and
# digits, in lower case by the rules of the database, see `chassis.filters.words`. Both are PARALLEL UNSAFE, so that the
# planner starts no workers for a page of a list.
_FUNCTIONS = """
CREATE FUNCTION tenant.label_entries(labels jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT coalesce(array_agg(key) || array_agg(key || '=' || value), '{}') FROM jsonb_each_text(labels)
$function$;
CREATE FUNCTION tenant.search_words(slug text, display_name text, external_id text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT array_to_tsvector(array_remove(regexp_split_to_array(lower(
        (slug || ' ' || display_name || ' ' || coalesce(external_id, '')) COLLATE "default"), '[^[:alnum:]]+'), ''))
$function$;
REVOKE ALL ON FUNCTION tenant.label_entries(jsonb), tenant.search_words(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant.label_entries(jsonb), tenant.search_words(text, text, text)
    TO tenant_app, tenant_directory;
"""

# Texts are in the order of code points, which serves prefixes and is the order of the list.
_INDEXES = """
CREATE INDEX tenants_slug_idx ON tenant.tenants (slug, tenant_id);
CREATE INDEX tenants_display_name_idx ON tenant.tenants (display_name COLLATE "C", tenant_id);
CREATE INDEX tenants_plan_idx ON tenant.tenants (plan_id COLLATE "C", tenant_id);
CREATE INDEX tenants_region_idx ON tenant.tenants (region, tenant_id);
CREATE INDEX tenants_state_idx ON tenant.tenants (state, tenant_id);
CREATE INDEX tenants_create_time_idx ON tenant.tenants (create_time, tenant_id);
CREATE INDEX tenants_update_time_idx ON tenant.tenants (update_time, tenant_id);
CREATE INDEX tenants_delete_time_idx ON tenant.tenants (delete_time) WHERE delete_time IS NOT NULL;
CREATE INDEX tenants_labels_idx ON tenant.tenants USING gin (tenant.label_entries(labels));
CREATE INDEX tenants_words_idx ON tenant.tenants USING gin (tenant.search_words(slug, display_name, external_id));
"""


def upgrade() -> None:
    script(_FUNCTIONS)
    script(_INDEXES)
