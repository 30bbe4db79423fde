"""Real PostgreSQL, Valkey and Envoy on one machine, started, watched and stopped by us.

`deploy.embedded.stack.Stack` is the whole product, `deploy.embedded.engines.Engines` the two databases alone. Only the
programs of the wheels are used. Nothing here knows what the services do.
"""
