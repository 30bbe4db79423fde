"""Waiting for the signal that ends a program."""

from __future__ import annotations

import asyncio
import signal

__all__ = ["stop_signal"]


async def stop_signal() -> signal.Signals:
    """Return the SIGTERM or SIGINT that ends the program, once it comes. Afterwards both act as they did before, so
    that a second one ends a program that takes too long.

    Signals come to the main thread only: wait for them on its loop. Needs a Unix system.
    """
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def receive(number: signal.Signals) -> None:
        if not received.done():
            received.set_result(number)

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, receive, number)
    try:
        return await received
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
