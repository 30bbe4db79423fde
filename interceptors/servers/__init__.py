"""The chain on gRPC's two Python servers: adapters, watchdog, statuses, headers. `Chain` loads them on first use."""
