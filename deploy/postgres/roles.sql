-- Roles, schemas and database rights of TenantMesh, for PostgreSQL 15 and later.
--
-- A superuser runs this once in each database, after creating it; running it again changes nothing:
--   createdb tenantmesh && psql -X -v ON_ERROR_STOP=1 -d tenantmesh -f roles.sql
-- Passwords are not set here, so that none lands in a log or a repository: use psql's \password.
-- Rights on tables are not given here either: each migration grants them beside the table's row-level security.

BEGIN;
SET LOCAL client_min_messages = warning;

DO $roles$
DECLARE
    role_name text;
BEGIN
    -- Installers on one server take turns, also in different databases: roles are the server's, advisory locks are not.
    LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;
    FOREACH role_name IN ARRAY ARRAY[
        'tenant_owner', 'auth_owner', 'tenantmesh_migrate',
        'tenant_app', 'tenant_directory', 'tenant_worker', 'tenant_purger', 'auth_app', 'auth_directory', 'auth_purger'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I', role_name);
        END IF;
        EXECUTE format(
            'ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT', role_name);
        EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', role_name, '1s');
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', role_name, '10s');
    END LOOP;
END
$roles$;

-- Owners hold the schemas and everything in them; nobody logs in as one.
ALTER ROLE tenant_owner NOLOGIN;
ALTER ROLE auth_owner NOLOGIN;

-- Migrations log in as this role and become an owner with SET ROLE. NOINHERIT: without SET ROLE it may do nothing.
ALTER ROLE tenantmesh_migrate LOGIN;
ALTER ROLE tenantmesh_migrate SET search_path = pg_catalog;
GRANT tenant_owner, auth_owner TO tenantmesh_migrate;

-- The services: the app roles live under row-level security, the directory roles read what migrations name. The worker
-- role takes jobs from the queue and nothing else; what a job is about, the worker changes as tenant_app. The purger
-- roles read and delete rows of the tenant that a transaction is for, once that tenant is deleted, and nothing else.
-- PostgreSQL lets every role change its own settings and password; the timeouts here bound mistakes, not an intruder.
ALTER ROLE tenant_app LOGIN;
ALTER ROLE tenant_directory LOGIN;
ALTER ROLE tenant_worker LOGIN;
ALTER ROLE tenant_purger LOGIN;
ALTER ROLE auth_purger LOGIN;
ALTER ROLE auth_app LOGIN;
ALTER ROLE auth_directory LOGIN;
ALTER ROLE tenant_app SET statement_timeout = '5s';
ALTER ROLE tenant_directory SET statement_timeout = '5s';
ALTER ROLE tenant_worker SET statement_timeout = '5s';
ALTER ROLE auth_app SET statement_timeout = '5s';
ALTER ROLE auth_directory SET statement_timeout = '5s';
ALTER ROLE tenant_purger SET statement_timeout = '30s';
ALTER ROLE auth_purger SET statement_timeout = '30s';
ALTER ROLE tenant_app SET search_path = tenant, pg_catalog;
ALTER ROLE tenant_directory SET search_path = tenant, pg_catalog;
ALTER ROLE tenant_worker SET search_path = jobs, pg_catalog;
ALTER ROLE tenant_purger SET search_path = tenant, pg_catalog;
ALTER ROLE auth_purger SET search_path = auth, pg_catalog;
ALTER ROLE auth_app SET search_path = auth, pg_catalog;
ALTER ROLE auth_directory SET search_path = auth, pg_catalog;

CREATE SCHEMA IF NOT EXISTS tenant AUTHORIZATION tenant_owner;
CREATE SCHEMA IF NOT EXISTS auth AUTHORIZATION auth_owner;
CREATE SCHEMA IF NOT EXISTS jobs AUTHORIZATION tenant_owner;
ALTER SCHEMA tenant OWNER TO tenant_owner;
ALTER SCHEMA jobs OWNER TO tenant_owner;
ALTER SCHEMA auth OWNER TO auth_owner;
REVOKE ALL ON SCHEMA tenant, jobs, auth, public FROM PUBLIC;
-- Large objects lie outside every table, so that no row-level security holds for them. Nothing here uses them.
REVOKE EXECUTE ON FUNCTION
    pg_catalog.lo_create(oid), pg_catalog.lo_creat(integer), pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;
GRANT USAGE ON SCHEMA tenant TO tenant_app, tenant_directory, tenant_purger;
GRANT USAGE ON SCHEMA jobs TO tenant_app, tenant_directory, tenant_worker;
GRANT USAGE ON SCHEMA auth TO auth_app, auth_directory, auth_purger;

-- PostgreSQL lets everyone execute new functions and use new types; here each is granted by name.
ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner, auth_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE tenant_owner, auth_owner REVOKE USAGE ON TYPES FROM PUBLIC;

DO $database$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO tenantmesh_migrate, '
        'tenant_app, tenant_directory, tenant_worker, tenant_purger, auth_app, auth_directory, auth_purger',
        current_database());
END
$database$;

COMMIT;
