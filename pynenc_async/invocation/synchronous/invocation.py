"""The handle of an invocation that runs inline."""

import asyncio
from asyncio.events import _get_running_loop
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic, NoReturn, ParamSpec, Self, TypeVar, cast, final

from pynenc_async.absent import OF_INVOCATIONS, explain_absent, explain_iteration
from pynenc_async.errors import InvocationCancelledError, InvocationNotFinalError, SerializationError
from pynenc_async.execution.stream import stream_of
from pynenc_async.family import living_tree
from pynenc_async.function import FunctionKind
from pynenc_async.invocation.base import AppRecord
from pynenc_async.invocation.cancellation import Cancellation, CancelOutcome
from pynenc_async.invocation.described import DescribedInvocation
from pynenc_async.invocation.synchronous.record import SynchronousRecord
from pynenc_async.invocation.synchronous.running import (
    InlineRun,
    LoopRun,
    block_until_end,
    run_in_new_loop,
    wait_for_end,
)
from pynenc_async.invocation.synchronous.stream import SynchronousStream
from pynenc_async.invocation.synchronous.waits import body_here, waiting
from pynenc_async.status import InvocationStatus
from pynenc_async.user_errors import OF_COROUTINES, is_a, put_traceback, translated

Params = ParamSpec("Params")
Result = TypeVar("Result")

_SUCCESS: Final = InvocationStatus.SUCCESS
_CANCELLED: Final = InvocationStatus.CANCELLED
_THREAD: Final = FunctionKind.THREAD
_STREAM: Final = FunctionKind.STREAM


@final
@explain_iteration("`async for item in invocation.stream()` reads the items of an async generator")
@explain_absent(OF_INVOCATIONS)
class SynchronousInvocation(SynchronousRecord, DescribedInvocation[Params, Result], Generic[Params, Result]):
    """An execution of a call that runs at the call: once, whoever reads its result. Not for production.

    It has the statuses, retries and exceptions of any invocation. Where it runs, and which options mean nothing here, is
    said in `pynenc_async.invocation.synchronous`.
    """

    __slots__ = ()

    # -- the outcome ---------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Result:
        """The value, or the raised exception; waits for a body that is under way in another thread.

        Inside an event loop, but for `def` bodies, it raises `InvocationNotFinalError`: await the invocation there.
        """
        return self.blocking_result()

    def blocking_result(self, timeout: float | None = None) -> Result:
        """Like `result`; waits at most `timeout` seconds for another thread, then raises `InvocationTimeoutError`.

        What this very read runs takes as long as it takes.
        """
        if self._ended_at is None:
            self._block(timeout)
        return self._value()

    def exception(self) -> BaseException | None:
        """Return what the function raised, or None; waits like `result`."""
        if self._ended_at is None:
            self._block(None)
        return None if self._status is _SUCCESS else self._failure()

    def _run_at_call(self) -> None:
        """Run it to its end, or let it begin in the running loop; a stream without a loop runs as it is read."""
        if not _may_block():
            self._start()
        elif self._task.function.kind is not _STREAM:
            with waiting(self):
                self._run_or_block(None)
            if self._status is not _SUCCESS and (
                is_a(self._outcome, KeyboardInterrupt) or is_a(self._outcome, SystemExit)
            ):
                raise self._failure()  # meant for the program, which may never look at the handle

    def _block(self, timeout: float | None) -> None:
        if not _may_block():
            message = f"invocation {self.invocation_id} is {self._status}; inside the event loop, await it"
            raise InvocationNotFinalError(self.invocation_id, f"{message}: `await invocation`")
        self._drop_unread_items()
        with waiting(self):
            self._run_or_block(timeout)

    def _run_or_block(self, timeout: float | None) -> None:
        run = self._under_way()
        function = self._task.function
        if run is None and (function.kind is not _THREAD or function.drive is not None):
            run_in_new_loop(self, self._run_or_wait)
            return
        offered = InlineRun()
        run = self._claim(offered)
        if run is offered:
            offered.run(self)
            self._task.runtime.follow_up_blocking()
        elif run is not None:
            block_until_end(self, run, self.invocation_id, timeout)

    def _value(self) -> Result:
        if self._status is _SUCCESS:
            return cast(Result, self._outcome)
        raise translated(self._failure(), OF_COROUTINES)  # as an `await` does: see PEP 479

    def _failure(self) -> BaseException:
        if self._status is _CANCELLED:
            return InvocationCancelledError(self.invocation_id, self.steps()[-1][3])
        error: BaseException = self._outcome
        put_traceback(error, self.need_more().traceback)
        return error

    # -- inside an event loop ------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, Result]:
        yield from self.until_ended().__await__()
        return self._value()

    async def until_ended(self) -> None:
        """Run the body, unless it is under way, and await the end, whatever it is."""
        if self._ended_at is None:
            self._drop_unread_items()
            with waiting(self):
                await self._run_or_wait()

    async def _run_or_wait(self) -> None:
        run = self._start()
        if run is not None:
            await wait_for_end(self, run)
            await self._task.runtime.follow_up()

    def _start(self) -> Any:
        """Make sure that it runs, in this loop if nowhere else; return the run, or None after its end."""
        offered = LoopRun(asyncio.get_running_loop())
        run = self._claim(offered)
        if run is offered:
            offered.start(self)
        return run

    def _drop_unread_items(self) -> None:
        if self._task.function.kind is _STREAM:
            stream_of(self).drop_unread()

    async def wait(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  the handle's own vocabulary
        """Run it, or wait for the end, at most `timeout` seconds; say whether the end has come. Raises no failure.

        A `def` body cannot be left while it runs.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.until_ended()
        return self._ended_at is not None

    async def accepted(self) -> Self:
        """Return at once: nothing else will ever know of it."""
        return self

    def cancel(self, reason: str = "") -> Cancellation[CancelOutcome]:
        """Stop it, with the invocations it submitted that are not detached, at the call.

        What has not begun never will. Awaiting the answer waits for what is under way; without a loop:
        `asyncio.run(invocation.cancel())`. See `DistributedInvocation.cancel`.
        """
        tree: list[Any] = living_tree(self) if self._ended_at is None else []
        if tree:
            self._cancel(reason)
        return Cancellation(partial(self._stopped, tree))

    async def _stopped(self, tree: list[Any]) -> CancelOutcome:
        for invocation in tree:
            await invocation._until_stopped()
        if tree:
            await self._task.runtime.follow_up()
        if self._status is not _CANCELLED:
            return CancelOutcome.FINISHED
        return CancelOutcome.NEVER_STARTED if self._started_at is None else CancelOutcome.STOPPED

    async def _until_stopped(self) -> None:
        """Wait for the end of what has been cancelled: a body may wait so for itself, or for who awaits it."""
        run = self._under_way()
        if run is not None:
            with waiting(self, detect_cycles=False):
                await wait_for_end(self, run)

    def stream(self, *, from_start: bool = True) -> SynchronousStream[Result]:
        """Return the items of an async generator task, for `async for`, and without a loop for a plain `for`."""
        if self._task.function.kind is not _STREAM:
            raise TypeError(f"{self._task.task_id} is not an async generator: it has a result, and no stream")
        return SynchronousStream(self, from_start=from_start)

    # -- as text ------------------------------------------------------------------------------------------------------

    def to_json(self) -> NoReturn:
        """Raise `SerializationError`: nothing that reads it could run the body, which lives in this process alone."""
        raise SerializationError(
            "invocation",
            f"{self} is synchronous: it runs where it is called, and no other process could find it; "
            "use an app at 'memory://' to serialize invocations",
        )

    @classmethod
    def from_json(cls, app: AppRecord, serialized: str | bytes) -> NoReturn:
        """Raise `SerializationError`: a synchronous invocation cannot have been written down."""
        del serialized
        raise SerializationError(
            "invocation",
            f"app {app.app_id!r} is synchronous: its invocations exist in one process, and are never read from JSON; "
            "use DistributedInvocation.from_json with an app at 'memory://'",
        )


def _may_block() -> bool:
    """Return whether this is no event loop's thread, or a `def` body that holds one up already."""
    body = body_here()
    return _get_running_loop() is None or (body is not None and body._task.function.kind is _THREAD)
