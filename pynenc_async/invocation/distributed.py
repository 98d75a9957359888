"""The handle: what a call returns."""

import asyncio
import types
from asyncio.events import _get_running_loop
from collections.abc import Generator
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, cast, final

from pynenc_async.absent import OF_INVOCATIONS, explain_absent, explain_iteration
from pynenc_async.errors import (
    InvocationCancelledError,
    InvocationNotFinalError,
    InvocationNotFoundError,
    PynencError,
)
from pynenc_async.family import living_tree
from pynenc_async.function import FunctionKind
from pynenc_async.invocation.base import AppRecord
from pynenc_async.invocation.cancellation import Cancellation, CancelOutcome
from pynenc_async.invocation.described import DescribedInvocation
from pynenc_async.invocation.serialized import fill, parse, write, write_plain
from pynenc_async.invocation.streaming import InvocationStream, elsewhere
from pynenc_async.invocation.thread_wait import End, ThreadWait
from pynenc_async.invocation.updates import ProgressUpdates
from pynenc_async.invocation.waiting import Signal, current_body, run_in_body, suspend
from pynenc_async.record import Record
from pynenc_async.scheduler.durability import lost_of
from pynenc_async.status import InvocationStatus
from pynenc_async.user_errors import OF_COROUTINES, put_traceback, translated

Params = ParamSpec("Params")
Result = TypeVar("Result")

_SUCCESS: Final = InvocationStatus.SUCCESS
_CANCELLED: Final = InvocationStatus.CANCELLED
_STREAM: Final = FunctionKind.STREAM


@final
@explain_iteration("`async for item in invocation.stream()` reads the items of an async generator")
@explain_absent(OF_INVOCATIONS)
class DistributedInvocation(DescribedInvocation[Params, Result], Generic[Params, Result]):
    """An awaitable execution of a call, driven by the scheduler.

    It runs whether or not somebody awaits it. Cancelling a waiter never cancels it; `cancel` does.
    """

    __slots__ = ()

    # -- waiting -------------------------------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, Result]:
        if self._ended_at is None:
            yield from self._reach_end()
        if self._status is _SUCCESS:
            return cast(Result, self._outcome)
        failure = self._failure()
        try:
            raise failure
        finally:
            del self, failure  # the traceback holds this frame: it must not hold the invocation in turn

    def _reach_end(self) -> Generator[Any, None, None]:
        """Run in place if possible, then wait for the end; say nothing of the outcome."""
        runtime = self._task.runtime
        if self._number == 0 or _get_running_loop() is not runtime.loop:
            runtime.require_own_loop(self)
        body = current_body()
        if self._started_at is None and runtime.crew.can_run_in_place(self):
            if body is None:
                runtime.crew.run_in_place(self)
            else:
                yield from run_in_body(self, body)
        if self._ended_at is None:
            yield from self._wait_for_end(body)
        del self, body  # a body that failed in place keeps the frames above it: they must not keep its invocation

    def _wait_for_end(self, body: Record | None, *, detect_cycles: bool = True) -> Generator[Any, None, None]:
        loop = self._task.runtime.require_own_loop(self)
        signal = Signal(loop, body)
        self.add_waiter(signal)
        try:
            yield from suspend(signal, (self,), body, detect_cycles=detect_cycles)
        finally:
            self.remove_waiter(signal)

    @types.coroutine
    def until_ended(self) -> Generator[Any, None, None]:
        """Await the end, whatever it is."""
        if self._ended_at is None:
            yield from self._reach_end()

    @types.coroutine
    def _until_stopped(self) -> Generator[Any, None, None]:
        """Wait for the end of what has been cancelled: a body may wait so for itself, or for who awaits it."""
        if self._ended_at is None:
            yield from self._wait_for_end(current_body(), detect_cycles=False)

    async def wait(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  the handle's own vocabulary
        """Wait for the end, at most `timeout` seconds; say whether it has come. Never raises what the function raised.

        Raises `InvocationNotFoundError` for what another process had, and the store has forgotten.
        """
        if self._ended_at is None:
            try:
                async with asyncio.timeout(timeout):
                    await self.until_ended()
            except TimeoutError:
                pass
            self._require_found()
        self.note_awaited()
        return self._ended_at is not None

    def note_awaited(self) -> None:
        """Note that somebody has waited for the end, and may take the failure by looking at it: see `exception`."""
        alarm = None if self._more is None else self._more.alarm
        if alarm is not None:
            alarm.was_awaited = True

    async def accepted(self) -> Self:
        """Return when the store holds the invocation durably: at once in memory. Raises `StoreError` where it cannot."""
        await self._task.runtime.until_accepted(self)
        return self

    def cancel(self, reason: str = "") -> Cancellation[CancelOutcome]:
        """Stop it, with the invocations it submitted that are not detached.

        The request is made at the call, from any thread; to wait for it is another matter, and may be left out.

        Args:
            reason: Why, as the history and `InvocationCancelledError` say it.

        Returns:
            An awaitable that is done when all of that has really ended, and says what was found. It is awaited in the
            app's loop.

        Raises:
            AppNotStartedError: The app has no running loop, or another loop runs in this thread; nothing was cancelled.
        """
        told: list[Any] | None = self._task.runtime.cancel_tree(self, reason) if self._ended_at is None else []
        return Cancellation(partial(self._stopped, told))

    async def _stopped(self, told: list[Any] | None) -> CancelOutcome:
        """Return what was found, once everything that was told to stop has ended."""
        tree: list[Any] = living_tree(self) if told is None else told
        for record in tree:
            if record._ended_at is None:
                await record._until_stopped()
        if told != [] and self._status is _CANCELLED and self._more is not None and self._more.is_stored:
            await self._task.runtime.until_kin_stopped(self)
        self._require_found()
        if self._status is not _CANCELLED:
            return CancelOutcome.FINISHED
        return CancelOutcome.NEVER_STARTED if self._started_at is None else CancelOutcome.STOPPED

    async def __aenter__(self) -> Self:
        """Tie the work to a block: `async with fetch(url) as invocation:`."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._ended_at is None:
            await self.cancel("the block that it was tied to was left")

    def stream(self, *, from_start: bool = True) -> InvocationStream[Result]:
        """Return the items of an async generator task, from the first one or from now on. For any number of readers."""
        if self._task.function.kind is not _STREAM:
            raise TypeError(f"{self._task.task_id} is not an async generator: it has a result, and no stream")
        if self._number == 0:
            if self._more is not None and self._more.is_stored:
                raise elsewhere(self.invocation_id)
            raise InvocationNotFoundError(self.invocation_id)
        return InvocationStream(self, from_start=from_start)

    def updates(self) -> ProgressUpdates:
        """Return the reports of the body, for `async for`: the latest first; any number of watchers."""
        return ProgressUpdates(self)

    # -- the outcome ---------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Result:
        """The value, or the raised exception.

        Before the end it raises `InvocationNotFinalError` in a thread with a running loop; other threads block.
        """
        return self.blocking_result()

    def blocking_result(self, timeout: float | None = None) -> Result:
        """Like `result`; blocks at most `timeout` seconds, then raises `InvocationTimeoutError`."""
        if self._ended_at is None:
            self._block(timeout)
        if self._status is _SUCCESS:
            return cast(Result, self._outcome)
        failure = translated(self._failure(), OF_COROUTINES)  # as an `await` does: see PEP 479
        try:
            raise failure
        finally:
            del self, failure

    def exception(self) -> BaseException | None:
        """Return what the function raised, or None. Before the end like `result`.

        Once the end was awaited, by `wait` or by a group, to look at the failure is to take it: then it is not logged.
        """
        if self._ended_at is None:
            self._block(None)
            self._require_found()
            self.note_awaited()
        if self._status is _SUCCESS:
            return None
        alarm = None if self._more is None else self._more.alarm
        return self._failure() if alarm is not None and alarm.was_awaited else self._error()

    def _require_found(self) -> None:
        """Raise `InvocationNotFoundError` where the store has forgotten the invocation, and nobody knows its end."""
        lost = lost_of(self)
        if lost is not None:
            raise lost

    def _block(self, timeout: float | None) -> None:
        if _get_running_loop() is not None:
            self._require_found()
            raise InvocationNotFinalError(
                self.invocation_id,
                f"invocation {self.invocation_id} is {self._status}; inside the event loop, await it: `await invocation`",
            )
        ThreadWait(End(self), self._task.runtime.require_loop(self)).block(timeout)

    def _failure(self) -> BaseException:
        """Return what to raise for an awaiter, who takes it."""
        more = self._more
        if more is not None and more.alarm is not None:
            more.alarm.disarm()
            more.alarm = None
        return self._error()

    def _error(self) -> BaseException:
        """Return what to raise, for somebody who merely looks at it."""
        more = self._more
        if self._ended_at is None:
            return lost_of(self) or InvocationNotFinalError(
                self.invocation_id,
                f"invocation {self.invocation_id} is not over, and goes on in another process or at the next start",
            )
        if self._status is _CANCELLED:
            if isinstance(self._outcome, PynencError):
                return self._outcome  # it says more: it has expired, can never get through a limit, was not stored
            history = self.history  # of what another process has, the store knows the reason
            return InvocationCancelledError(self.invocation_id, history[-1].reason if history else "")
        error: BaseException = self._outcome
        put_traceback(error, None if more is None else more.traceback)
        return error

    # -- as text ------------------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Write the invocation down: one flat JSON object. Raises `SerializationError` naming task and field."""
        identity = self._identity()
        self._require_readable()
        self._look_from_afar()
        return write_plain(self, identity) or write(self, identity, self._error)

    @classmethod
    def from_json(cls, app: AppRecord, serialized: str | bytes) -> Self:
        """Return the living invocation where `app` knows its id, else a restored handle. Does no I/O.

        Raises `SerializationError` that names the field.
        """
        envelope = parse(serialized)
        known = app.find_invocation(envelope.invocation_id)
        if known is not None:
            return cast(Self, known)
        restored = cls.__new__(cls)
        fill(restored, app, envelope)
        return restored
