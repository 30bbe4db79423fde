"""The exception by which a handler sends a job back into the queue, although nothing has failed."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["JobPostponed"]


class JobPostponed(Exception):
    """The job can't have its turn now. It is tried again after the pause, as often as it takes."""

    def __init__(self, pause: timedelta) -> None:
        super().__init__(f"try again in {pause}")
        self.pause = pause
