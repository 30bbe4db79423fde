"""Retention of quotas: deleting reservations that have ended, and periods that ended long ago."""
