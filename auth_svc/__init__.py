"""Users and credentials: accounts, passwords, sessions, tokens, and the keys of operators and services.

| folder | what belongs there |
|---|---|
| `accounts` | users: registering, and reading one's own account |
| `passwords` | the rules of passwords, and hashing |
| `sessions` | signing in, and staying signed in by refresh tokens |
| `tokens` | signing keys, access tokens, discovery and introspection |
| `api_keys` | the keys of operators and services |
| `gauges` | the number of users of a tenant: its limit, and its reports to tenant_svc |

A use case opens a door of the database; a `repository` is a module of functions over the connection that it gets
(docs/decisions/0024). `app` constructs everything, `settings` are the settings, `servicers` joins capabilities.
"""
