"""Gauge levels: limited where they rise, in this service, and reported to tenant_svc."""
