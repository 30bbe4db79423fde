"""Programs that take from a limit, several at once: each says `ready`, begins when told to, and says what it got."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

__all__ = ["PROCESSES", "taken_by"]

PROCESSES = 4


async def taken_by(program: str, *arguments: str) -> list[dict[str, Any]]:
    """What each of four processes says that it got, when all begin together."""
    processes = [await _start(program, arguments) for _ in range(PROCESSES)]
    for process in processes:
        assert await _line(process) == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        await process.stdin.drain()
    said = [json.loads(await _line(process)) for process in processes]
    for process in processes:
        await process.wait()
    return said


async def _start(program: str, arguments: tuple[str, ...]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", program, *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()
