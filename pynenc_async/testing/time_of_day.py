"""The time of day in the world of the program under test."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from pynenc_async.clock import wall_clock_of
from pynenc_async.context import CURRENT


def now() -> datetime:
    """Return the time of day as the program under test lives it, in UTC: `datetime.now()` always tells the real one.

    Callable in coroutines and callbacks of a simulated loop, and in the threads of its `def` tasks; anywhere else it is the
    real time.
    """
    loop = asyncio._get_running_loop()
    if loop is not None:
        return datetime.fromtimestamp(wall_clock_of(loop)(), UTC)
    scheduler: Any = getattr(getattr(CURRENT.get(), "app", None), "_dispatcher", None)
    clock = wall_clock_of(None) if scheduler is None else scheduler.scheduler.clock
    return datetime.fromtimestamp(clock(), UTC)
