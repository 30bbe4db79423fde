"""The parts that every process needs before it can serve. Knows no tenant, plan or RPC.

| module | contents |
|---|---|
| `settings` | frozen settings of a process, parsed once from the environment |
| `tuning` | environment that must be in place before grpc is imported |
| `ids` | identifiers made by the service (UUIDv7) |
| `database` | the two doors to PostgreSQL and the statements that go through them |
| `row_security` | row-level security: declared beside a table, turned into DDL, verified before serving |
| `migrations` | Alembic, run by program, one schema per service |
| `locks` | the numbers of advisory locks, in one registry |
| `breaker` | a circuit breaker that knows no transport |
| `redis_client` | a Redis client that fails fast, behind the breaker |
| `telemetry` | logs with secrets removed, metrics, traces |
| `health` | grpc.health.v1, driven by checks |
| `server` | a tuned gRPC server: start, drain, worker processes, close in reverse |

A module belongs here when any process of any product could use it unchanged. Code that knows the caller, the tenant or
the plan belongs to `interceptors` or to a service; `runtime` and `interceptors` never import each other.
"""
