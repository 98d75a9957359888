"""Who waits for what, and where: the report inside the errors of the simulated loop."""

import asyncio
import inspect
import traceback
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from pynenc_async.errors import reduce_error
from pynenc_async.testing.internals import async_generator_behind, awaited_by


class DeadlockError(RuntimeError):
    """Nothing can ever happen again in this loop: nothing is ready, no timer is set, no thread works, no file is open.

    Raised by the simulated loop out of its run, in place of hanging. The message names every pending task, what it
    waits for, and the line where it waits.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_error(self)

    def __init__(self, virtual_time: float, report: str) -> None:
        super().__init__(
            f"deadlock at virtual time {virtual_time:.6f}: everybody waits, nobody is left to act\n{report}"
        )


class StalledError(RuntimeError):
    """The simulated loop waited too long, in real time, for something outside of it: a thread or a socket.

    Raised by the simulated loop out of its run. A thread that itself waits for the loop stalls it: see
    `pynenc_async.clock.SimulatedLoop`.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_error(self)

    def __init__(self, awaited: str, patience: float, virtual_time: float, report: str) -> None:
        super().__init__(
            f"waited {patience:g} s of real time for {awaited}, at virtual time {virtual_time:.6f}, in vain\n{report}"
        )


def describe_tasks(tasks: Iterable[asyncio.Task[object]]) -> str:
    """Return a paragraph for each task: its name, what it waits for, and the await chain down to the line."""
    in_order_of_creation = sorted(tasks, key=lambda task: (len(task.get_name()), task.get_name()))
    return "\n".join(map(_describe, in_order_of_creation)) or "(no task is pending)"


def _describe(task: asyncio.Task[object]) -> str:
    awaited = awaited_by(task)
    if isinstance(awaited, asyncio.Task):
        reason = f"waits for task {awaited.get_name()!r}"
    elif awaited is not None:
        reason = f"waits for {awaited!r}"
    else:
        reason = "is ready to run"
    frames = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in _await_chain(task.get_coro()))
    return f"task {task.get_name()!r} {reason}\n{''.join(frames.format())}".rstrip()


def _await_chain(awaitable: object) -> Iterator[FrameType]:
    """Yield the frames from the task's coroutine inwards; `Task.get_stack` stops at the outermost."""
    while awaitable is not None:
        if inspect.iscoroutine(awaitable):
            frame, awaitable = awaitable.cr_frame, awaitable.cr_await
        elif inspect.isgenerator(awaitable):
            frame, awaitable = awaitable.gi_frame, awaitable.gi_yieldfrom
        elif inspect.isasyncgen(awaitable):
            frame, awaitable = awaitable.ag_frame, awaitable.ag_await
        else:
            frame, awaitable = None, async_generator_behind(awaitable)
        if frame is not None:
            yield frame
