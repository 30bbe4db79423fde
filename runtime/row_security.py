"""Row-level security, declared beside each table, turned into DDL by its migration.

    USERS = tenant_owned(Table("users", METADATA, …), app_role="auth_app", privileges=("SELECT", "INSERT"))

A declaration lives in `Table.info`; `ddl` renders it, `runtime.database_gate`'s `verify` compares it with the catalog
of the running database. Every table is either tenant-owned or a catalog: there is no third kind.
"""
