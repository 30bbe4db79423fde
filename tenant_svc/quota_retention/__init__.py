"""Retention of quotas: reservations that have ended and periods long over are deleted."""
