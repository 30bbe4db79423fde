"""Users and credentials: accounts, passwords, sessions, tokens, and the keys of operators and services.

| folder | what belongs there |
|---|---|
| `accounts` | users: registering, and reading one's own account |
| `passwords` | the rules of passwords, and hashing |
| `sessions` | signing in, and staying signed in by refresh tokens |
| `tokens` | signing keys, access tokens, discovery and introspection |
| `api_keys` | the keys of operators and services |
| `gauges` | the number of users of a tenant: its limit, and its reports to tenant_svc |
| `tenant_data` | all that there is of one tenant: counted, and destroyed for a purge |

Each folder is a capability; `capabilities` lists them and says why each stands where it does. A use case opens a door
of the database; a `repository` is a module of functions over the connection that it gets (docs/decisions/0024).
`schema` names the database roles, and `tables` gathers the tables that capabilities declare. `settings` are read from
the environment, `resources` is what a process shares, and `app` puts it together.
"""
