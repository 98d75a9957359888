"""Middleware: what runs around the bodies of tasks, on the loop.

**What counts.** A middleware that *says nothing* (returns None) changes nothing: the outcome of `call_next()` is the
outcome, be it a value or an error. So one that measures needs no `return`, and a forgotten one loses no result. What it
says deliberately holds:

* a value that it returns is the result, whether it has called `call_next` or not; `call_next.answer(None)` says None;
* what `call_next()` raised passes through, as the very same object;
* `RefusedError` and `RetryError`, and what was raised `from` the error of the body, are the error of the invocation. So
  is a `TimeoutError` after the body was cancelled: it comes from a timeout around `call_next()`.

**What is broken.** A middleware is broken when it raises anything else, returns None without having called `call_next`,
returns before the body has ended, or calls `call_next` twice. It is logged and disabled for good, and the invocation goes
on as though it had not been there. One that is `required` is never disabled: what it raises fails the invocation.
"""

from asyncio import CancelledError, Future, get_running_loop
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from types import CoroutineType, FrameType
from typing import Any, Final, final

from pynenc_async.errors import MiddlewareError, RefusedError, RetryError
from pynenc_async.execution.tracebacks import clear_frame, clear_our_frames, is_ours
from pynenc_async.function import Drive
from pynenc_async.record import Record
from pynenc_async.telemetry import log
from pynenc_async.user_errors import cause_of, is_a, members_of, traceback_of


class _State(Enum):
    NOT_CALLED = auto()
    UNDER_WAY = auto()
    RETURNED = auto()
    RAISED = auto()


@final
class CallNext:
    """What a middleware awaits to run the rest, which is the next middleware or the body itself. It does so once."""

    __slots__ = ("_called_twice", "_error", "_inner", "_is_answer", "_name", "_over", "_record", "_state", "_value")

    def __init__(self, name: str, inner: Drive, record: Record) -> None:
        self._name: Final = name
        self._inner: Final = inner
        self._record: Record | None = record
        """None once the rest is over: whoever keeps this must not keep the invocation."""
        self._state = _State.NOT_CALLED
        self._called_twice = False
        self._is_answer = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._over: Future[None] | None = None

    async def __call__(self) -> Any:
        """Run the rest; return its result, or raise what it raises. A second call raises `MiddlewareError`."""
        if self._state is not _State.NOT_CALLED or self._record is None:
            self._called_twice = True
            raise MiddlewareError(self._name, "has called call_next() before", "an attempt runs its body once")
        self._state = _State.UNDER_WAY
        try:
            self._value = await self._inner(self._record)
            self._state = _State.RETURNED
        except BaseException as error:
            clear_our_frames(error)  # now: it may become the cause of another one, whose traceback hides it
            self._error = error
            self._state = _State.RAISED
            raise
        else:
            return self._value
        finally:
            if self._over is not None and not self._over.done():
                self._over.set_result(None)
            del self

    def answer(self, value: Any) -> Any:
        """Return `value`, for `return call_next.answer(None)`: None is meant to be the result."""
        self._is_answer = True
        return value

    def fault_in(self, said: object) -> str | None:
        """What is wrong with a middleware that returned `said`; None: nothing."""
        if self._called_twice:
            return "called call_next() twice"
        if self._state is _State.UNDER_WAY:
            return "returned while the body was under way"
        if type(said) is CoroutineType:
            said.close()
            return "returned a coroutine in place of its result; write `return await call_next()`"
        if said is None and self._state is _State.NOT_CALLED and not self._is_answer:
            return "returned without calling call_next(); to answer None, write `return call_next.answer(None)`"
        return None

    def fault_in_error(self, error: BaseException) -> str | None:
        """What is wrong with a middleware that raised `error`; None: nothing."""
        if error is self._error or not is_a(error, Exception):
            return None
        if self._called_twice:
            return "called call_next() twice"
        if is_a(error, RefusedError) or is_a(error, RetryError):
            return None
        if self._error is not None and _comes_from(error, self._error):
            return None
        return "raised an error of its own; to refuse work, it would raise a RefusedError"

    def says(self, said: object) -> bool:
        """Whether what a middleware returned is the result."""
        return said is not None or self._is_answer

    async def outcome(self) -> Any:
        """Return or raise what the invocation would have ended in without this middleware."""
        try:
            if self._state is _State.NOT_CALLED and self._record is not None:
                return await self._inner(self._record)
            if self._state is _State.UNDER_WAY:
                self._over = get_running_loop().create_future()
                await self._over
            if self._error is not None:
                raise self._error
            return self._value
        finally:
            del self

    def forget(self) -> None:
        """Hold on to nothing."""
        self._record = self._value = self._error = None


Callback = Callable[[Any, CallNext], Awaitable[Any]]
"""A middleware, as it was written."""


class Layer:
    """One middleware of an app."""

    __slots__ = ("_disabled", "callback", "is_disabled", "name", "required")

    def __init__(self, callback: Callback, name: str, *, required: bool, disabled: Callable[["Layer"], None]) -> None:
        self.callback: Final = callback
        self.name: Final = name
        self.required: Final = required
        self.is_disabled = False
        self._disabled: Final = disabled

    def around(self, inner: Drive) -> Drive:
        """Return what runs `inner` in this middleware."""

        def drive(record: Record) -> Any:
            return _enclose(self, inner, record)

        return drive

    def blame(self, record: Any, fault: str, error: BaseException | None) -> None:
        """The middleware is broken: log it once, and use it no more. What is required raises `MiddlewareError` instead."""
        if self.required:
            raise MiddlewareError(self.name, fault, "it is required, so the attempt has failed")
        if self.is_disabled:
            return  # it broke in several invocations at once
        self.is_disabled = True
        self._disabled(self)
        ids = {"invocation_id": record.invocation_id, "task_id": record._task.task_id}
        log.error(
            "middleware %s is disabled: around invocation %s of task %s it %s",
            self.name,
            ids["invocation_id"],
            ids["task_id"],
            fault,
            exc_info=error,
            extra=ids,
        )


async def _enclose(layer: Layer, inner: Drive, record: Record) -> Any:
    call_next = CallNext(layer.name, inner, record)
    try:
        try:
            said = await layer.callback(record, call_next)
        except BaseException as error:
            fault = call_next.fault_in_error(error)
            if fault is None or layer.required:
                raise
            layer.blame(record, fault, error)
            _clear_frames(error)
        else:
            fault = call_next.fault_in(said)
            if fault is not None:
                layer.blame(record, fault, None)
            elif call_next.says(said):
                return said
        return await call_next.outcome()
    except BaseException as error:
        _clear_frames(error)
        raise
    finally:
        call_next.forget()
        del call_next, record


def _comes_from(error: BaseException, origin: BaseException) -> bool:
    """Whether `error` was made of `origin`: raised from it, a group around it, or the timeout that cancelled it."""
    if is_a(origin, CancelledError) and is_a(error, TimeoutError):
        return True
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        one = stack.pop()
        if one is origin:
            return True
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            stack += cause_of(one), *members_of(one)
    return False


def _clear_frames(error: BaseException) -> None:
    """Clear the frames of the middleware that the traceback of `error` goes through, if they have ended.

    The invocation is an argument of theirs, and would stay alive with the traceback. What they called itself, and what
    the body did, stays as it is.
    """
    head = traceback_of(error)
    step = None if head is None else head.tb_next  # the first one is `_enclose`
    if step is not None and step.tb_frame.f_code is _OUTCOME:
        step = step.tb_next
    frames: list[FrameType] = []
    while step is not None and not is_ours(step):
        frames.append(step.tb_frame)
        step = step.tb_next
    went_through = step is not None and step.tb_frame.f_code is _CALL
    for frame in frames if went_through else frames[:1]:
        clear_frame(frame)


_CALL: Final = CallNext.__call__.__code__
_OUTCOME: Final = CallNext.outcome.__code__
