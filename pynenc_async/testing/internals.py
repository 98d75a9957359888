"""Every use of what asyncio keeps private, in one place.

Public asyncio has no way to look into the ready queue, which is what shuffling it takes. Each function says which
attribute it relies on. All of them are the same in CPython 3.11 to 3.14, in `asyncio/base_events.py` (`_ready`,
`_scheduled`, `_clock_resolution`), `asyncio/events.py` (`_callback`) and in both the C and the Python `Task`
(`_fut_waiter`). Their absence shows at once: the tests of the harness use every one.
"""

import asyncio
import gc
import inspect
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast


def ready_queue(loop: asyncio.BaseEventLoop) -> deque[asyncio.Handle]:
    """Return the callbacks that the loop runs next, in order: the live queue, not a copy."""
    return cast("deque[asyncio.Handle]", cast("Any", loop)._ready)


def next_deadline(loop: asyncio.BaseEventLoop) -> float:
    """Return the time of the earliest timer, infinity when there is none.

    Only valid while the loop waits in its selector: it has just removed the cancelled timers from the head of the heap.
    """
    timers = cast("list[asyncio.TimerHandle]", cast("Any", loop)._scheduled)
    return timers[0].when() if timers else math.inf


def set_clock_resolution(loop: asyncio.BaseEventLoop, seconds: float) -> None:
    """Say how close to the present a timer counts as due."""
    cast("Any", loop)._clock_resolution = seconds


def callback_of(handle: asyncio.Handle) -> Callable[..., object] | None:
    """Return what the handle calls; None once it was cancelled."""
    return cast("Callable[..., object] | None", cast("Any", handle)._callback)


def task_stepped_by(callback: object) -> asyncio.Task[object] | None:
    """Return the task that this callback starts or resumes, None for every other callback.

    Both kinds of step are callables bound to their task; asyncio's own debug output tells them apart the same way
    (`base_events._format_handle`). What is bound to a task and public (`call_later(1, task.cancel)`) is no step.
    """
    owner = getattr(callback, "__self__", None)
    if not isinstance(owner, asyncio.Task):
        return None
    name = getattr(callback, "__name__", "")
    is_public_method = not name.startswith("_") and hasattr(asyncio.Task, name)
    return None if is_public_method else cast("asyncio.Task[object]", owner)


def awaited_by(task: asyncio.Task[Any]) -> asyncio.Future[Any] | None:
    """Return the future or task that this suspended task waits for."""
    return cast("asyncio.Future[Any] | None", cast("Any", task)._fut_waiter)


def async_generator_behind(awaitable: object) -> AsyncGenerator[Any, Any] | None:
    """Return the async generator that an `await anext(...)` runs, None for every other awaitable.

    The awaitable does not tell, in any version; only the garbage collector knows. Good enough for a report.
    """
    return next(filter(inspect.isasyncgen, gc.get_referents(awaitable)), None)
