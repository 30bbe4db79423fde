"""The settings of the worker. It serves no calls, so the group `server` of every process has no effect on it."""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr

from tenantmesh.runtime.settings import Count, Duration, Group, ProcessSettings

__all__ = ["JobSettings", "WorkerSettings"]


class JobSettings(Group):
    """How jobs are taken from the queue.

    lease: how long a job belongs to a silent worker. Then another worker takes it. A live worker renews its lease twice
    in that time.
    """

    queue_url: SecretStr
    concurrency: Count = 10
    lease: Duration = timedelta(seconds=10)
    poll_interval: Duration = timedelta(seconds=2)
    attempts: Count = 10
    longest_pause: Duration = timedelta(minutes=1)
    grace: Duration = timedelta(seconds=10)
    log_retention: Duration = timedelta(days=30)


class WorkerSettings(ProcessSettings):
    """The settings that the worker reads from the environment; see `runtime.settings` for the names."""

    worker: JobSettings
