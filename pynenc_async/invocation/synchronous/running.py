"""Who drives an inline invocation: the thread that reads its result, or an asyncio Task."""

import asyncio
import threading
from asyncio.events import _get_running_loop
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from pynenc_async.context import CURRENT
from pynenc_async.errors import InvocationTimeoutError
from pynenc_async.execution.handing import run_body
from pynenc_async.execution.plain import returned
from pynenc_async.execution.tracebacks import without_our_frames
from pynenc_async.invocation.synchronous.parties import Run
from pynenc_async.invocation.synchronous.record import SynchronousRecord
from pynenc_async.invocation.synchronous.waits import blocking, refuse_standstill


class InlineRun:
    """A `def` body, called on the spot."""

    def __init__(self) -> None:
        self.ended: Final = _new_end()
        self.thread_id: Final = threading.get_ident()
        self.gone: Final = False
        self.loop: Final = None
        self._stop: Final = threading.Event()

    def run(self, record: SynchronousRecord) -> None:
        """Make attempts until the end; no delay between them is waited out."""
        record._let_deadline_begin()
        delay: float | None = 0.0
        try:
            while delay is not None and not self._stop.is_set():
                delay = record._new_context().run(_call, record)
        finally:
            record._write_off()

    def cancel(self) -> None:
        """Make no further attempt; the body under way cannot be stopped."""
        self._stop.set()


class LoopRun:
    """Any body, in the event loop in which its result is awaited: one Task leads, and one more makes each attempt."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended: Final = _new_end()
        self.thread_id: Final = threading.get_ident()
        self.loop: Final = loop
        self._task: asyncio.Task[None] | None = None

    @property
    def gone(self) -> bool:
        """Whether the loop was closed before the body had ended."""
        return self.loop.is_closed()

    def start(self, record: SynchronousRecord) -> None:
        """Begin; the record, which the runtime holds, keeps the Task alive."""
        # Not by the factory of the loop, which may begin it within the call.
        self._task = asyncio.Task(self._lead(record), loop=self.loop)
        # Not in `_lead`: a Task that is cancelled before its first step never gets there.
        self._task.add_done_callback(lambda _: record._write_off())

    async def _lead(self, record: SynchronousRecord) -> None:
        record._let_deadline_begin()
        delay: float | None = 0.0
        while delay is not None and record.need_more().cancel_reason is None:
            delay = await self.loop.create_task(_attempt(record), context=record._new_context())

    def cancel(self) -> None:
        """Cancel the Task that leads; the attempt is cancelled through it."""
        self.loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _new_end() -> "Future[None]":
    end: Future[None] = Future()
    end.set_running_or_notify_cancel()  # so that a waiter that is cancelled cannot cancel it for the others
    return end


def _call(record: SynchronousRecord) -> float | None:
    """Make one attempt; return the delay before the next one, if there is to be one."""
    CURRENT.set(record)
    record._begin()
    try:
        function = record._task.function
        value = returned(function, function.call(*record._values))
    except BaseException as error:  # noqa: BLE001  whatever a body ends in, its invocation ends
        return record._failed(without_our_frames(error))
    record._succeeded(value)
    return None


async def _attempt(record: SynchronousRecord) -> float | None:
    """Like `_call`, for bodies of all kinds."""
    CURRENT.set(record)
    record._begin()  # not before: a Task that is cancelled before its first step has run nothing
    alarm = _set_alarm(record)
    try:
        value = await _run(record)
    except BaseException as error:  # noqa: BLE001
        return record._failed(without_our_frames(error))
    finally:
        if alarm is not None:
            alarm.cancel()  # before anything else can happen in the loop: it tells nobody but this attempt
    record._succeeded(value)
    return None


async def _run(record: SynchronousRecord) -> Any:
    drive = record._task.function.drive
    return await (run_body(record, {}) if drive is None else drive(record))


def _set_alarm(record: SynchronousRecord) -> asyncio.TimerHandle | None:
    """Let the body that runs in this Task be told to stop when its time is up."""
    allowance = record._allowance()
    if allowance is None:
        return None
    seconds, reason = allowance
    task: Any = asyncio.current_task()
    return task.get_loop().call_later(seconds, _ring, record, task, reason)  # type: ignore[no-any-return]


def _ring(record: SynchronousRecord, task: "asyncio.Task[Any]", reason: str) -> None:
    if record._stop_for_time(reason):
        task.cancel()


# -- waiting for a run -------------------------------------------------------------------------------------------------


async def wait_for_end(record: SynchronousRecord, run: Run) -> None:
    """Wait for the end of a run, in any thread."""
    refuse_standstill(record, blocks=False)
    await asyncio.wrap_future(run.ended)


def block_until_end(record: SynchronousRecord, run: Run, invocation_id: str, timeout: float | None) -> None:
    """Like `wait_for_end`, for a thread."""
    with blocking(record):
        try:
            run.ended.result(timeout)
        except TimeoutError:
            message = f"invocation {invocation_id} has not ended within {timeout} seconds"
            raise InvocationTimeoutError(invocation_id, message) from None


def run_in_new_loop(record: SynchronousRecord, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `main`, which ends `record`, in a loop made for it: in this thread, or, where a loop runs already, in another.

    A second loop within the first is no way out: asyncio refuses it, from Python 3.14 on even to those who trick it.
    """
    if _get_running_loop() is None:
        _run_to_end(main)
        return
    with blocking(record), ThreadPoolExecutor(1, "pynenc-sync") as pool:
        pool.submit(_run_to_end, main).result()


def _run_to_end(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    # With a factory the thread's "current" loop, which may be somebody's, stays as it is.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(main())
