"""A carrier: the coroutine of an asyncio Task that runs bodies.

**Theory of operation.** Creating an asyncio Task costs more than everything else that a no-op invocation needs, so one
Task runs many bodies, one after another, as long as they end without suspending. The rule that makes it safe: *a body
that has suspended never shares its Task with another body*. The first that suspends owns the Task to its end, and the
Task ends with it (libraries key state by `current_task()`); `test_carriers.py::test_suspended_bodies_never_share_a_task`.

A carrier is a `Coroutine` by interface, not a generator: asyncio calls `send` and `throw`, and they step the body inside
the body's own context (`stepping`). Being plain methods they also work before the first turn of the Task, which is what
lets `Crew` begin a body in place, inside the step of the Task that awaits it.

**A body may run the loop itself**, further up the stack, as nest_asyncio and debuggers do. Everything else in the loop goes
on meanwhile: each Task has a context of its own, a Task whose turn comes while a body runs in its name waits until that is
back, other carriers begin what is queued, and a body that awaits others there gives its slot away (`invocation.waiting`).
"""

from asyncio import CancelledError
from collections.abc import Coroutine, Generator
from types import CodeType, FrameType
from typing import Any

from pynenc_async.execution.bodies import DONE
from pynenc_async.execution.stepping import Return, Stepper, take_up
from pynenc_async.record import Record
from pynenc_async.user_errors import is_a


class Carrier(Stepper, Coroutine[Any, Any, None]):
    """Runs bodies on one asyncio Task until one of them suspends, then belongs to that one."""

    __slots__ = ()

    # -- what tools look at --------------------------------------------------------------------------------------------

    @property
    def _body(self) -> Any:
        """The coroutine of the body that owns this Task; None while none does."""
        bodies: Any = self._bodies
        return None if self._record is None else bodies.gi_yieldfrom

    @property
    def cr_frame(self) -> FrameType | None:
        """The frame of the body, as `Task.get_stack` and debuggers want it."""
        return getattr(self._body, "cr_frame", None)

    @property
    def cr_code(self) -> CodeType | None:
        """The code of the body."""
        return getattr(self._body, "cr_code", None)

    @property
    def cr_await(self) -> object:
        """What the body awaits."""
        return getattr(self._body, "cr_await", None)

    @property
    def cr_running(self) -> bool:
        """Whether the body runs at this moment."""
        return bool(getattr(self._body, "cr_running", False))

    @property
    def cr_suspended(self) -> bool:
        """Whether the body waits."""
        return bool(getattr(self._body, "cr_suspended", False))

    def __getattr__(self, name: str) -> str:
        """Return the name of the body, which an object has not by itself as a function has it."""
        if name in ("__name__", "__qualname__"):
            return str(getattr(self._body, name, "waits_for_bodies"))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    # -- what asyncio calls --------------------------------------------------------------------------------------------

    def send(self, value: Any) -> Any:
        """Go on: with new bodies, or with the one that owns this Task."""
        if self._record is None:
            awaited = self._serve()
        elif self.handed_over is not None:
            self._foreman.carrier_started(self)
            awaited, self.handed_over = take_up(self.handed_over), None
        elif self._held is not None:
            awaited = self._continue(*self._held)
        else:
            awaited = self._continue(self._step, value)
        if awaited is DONE:
            raise StopIteration  # raised here: each frame that it passes costs as much as a few calls
        return awaited

    def throw(self, typ: Any, val: Any = None, tb: Any = None, /) -> Any:
        """Deliver an exception, in practice a cancellation, to the body that owns this Task."""
        del tb
        error = typ if val is None else val
        if self._record is None:
            if not self._foreman.carrier_started(self) and self.task is not None:
                self.task.uncancel()
                self.task.cancel(*error.args)  # it reaches the body where that suspends next
                return self._until_back()
            self._foreman.settle_later()
            raise error
        awaited = self.handed_over
        if awaited is not None:
            self.handed_over = None
            cancel = getattr(take_up(awaited), "cancel", None)
            if cancel is not None and cancel():
                return awaited
        awaited = self._continue(self._bodies.throw if type(error) is CancelledError else self._throw, error)
        if awaited is DONE:
            raise StopIteration
        return awaited

    def _throw(self, error: BaseException) -> Any:
        """Raise an error in the body: past the generator, which would close the body in place of raising a GeneratorExit."""
        bodies: Any = self._bodies
        if not is_a(error, GeneratorExit):
            return bodies.throw(error)
        try:
            return bodies.gi_yieldfrom.throw(error)
        except StopIteration as end:
            self.value = end.value
            return DONE

    def close(self) -> None:
        """Stop for good: the loop is closed, or nothing is left to do."""
        self._bodies.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("a carrier belongs to its Task and cannot be awaited")

    def cancel(self, reason: str) -> None:
        """Ask the body to stop."""
        if self.task is not None and not self.task.get_loop().is_closed():
            self.task.cancel(reason)

    def revoke(self) -> bool:
        """A body is begun as soon as it is here, or what surrounds it is."""
        return False

    def insist(self) -> bool:
        """A body that swallows its cancellation cannot be stopped."""
        return False

    def leave_behind(self) -> bool:
        """A body on the loop was told by its cancellation, and has its grace to clean up."""
        return False

    # -- running bodies ------------------------------------------------------------------------------------------------

    def _serve(self) -> Any:
        """Begin the bodies of a turn."""
        foreman = self._foreman
        if not foreman.carrier_started(self):
            return self._until_back()
        if foreman.loop_end.is_near:
            return self._retire()
        foreman.begin_shift()
        shift, task = foreman.shift, self.task
        if shift.left > shift.own:
            foreman.begin_others()
        if shift.left and not task._must_cancel:  # type: ignore[union-attr]
            record = foreman.desk.take()
            if record is not None:
                awaited = self.work(record)
                del record
                if awaited is not DONE:
                    shift.suspends = True
                    foreman.settle()
                    return awaited
        if shift.left or task._must_cancel or not foreman.end_shift(self):  # type: ignore[union-attr]
            return self._retire()  # there is none; or a cancellation by a body must not reach the next one
        return None

    def work(self, record: Record | None) -> Any:
        """Begin `record`, and what comes after it: until a body suspends (return what it awaits), or the shift is over.

        If something is left of the shift, there is nothing more to begin, or a body has cancelled this Task.
        """
        shift, desk = self._foreman.shift, self._foreman.desk
        take, begin, task, deadline = desk.take, self.begin, self.task, shift.deadline
        for left in range(shift.left - 1, -1, -1):
            shift.left = left
            place = record._task.place  # type: ignore[union-attr]
            if place is not None and record._task.function.drive is None:  # type: ignore[union-attr]
                place.start(record)
            else:
                awaited = begin(record)  # type: ignore[arg-type]
                record = None  # a failure keeps this frame alive, and the frame must not keep the failed record
                if awaited is not DONE:
                    return awaited
                if task._must_cancel:  # type: ignore[union-attr]
                    break
                if desk.now > deadline:
                    shift.left = 0
                    break
            if left:
                record = take()
                if record is None:
                    break
        return DONE

    def _until_back(self) -> Any:
        """Return what to await while a body runs in the name of this Task, further up the stack: it runs the loop itself.

        What the body may wait for is begun by other carriers.
        """
        self.back = back = Return(loop=self._foreman.loop)
        self._foreman.settle()
        return next(back.__await__())

    def _retire(self) -> Any:
        self.task = None
        self._foreman.settle()
        return DONE
