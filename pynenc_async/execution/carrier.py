"""A carrier: the coroutine of an asyncio Task that runs bodies.

**Theory of operation.** Creating an asyncio Task costs more than everything else that a no-op invocation needs, so one
Task runs many bodies, one after another, as long as they end without suspending. The rule that makes it safe: *a body
that has suspended never shares its Task with another body*. The first that suspends owns the Task to its end, and the
Task ends with it (libraries key state by `current_task()`); `test_carriers.py::test_suspended_bodies_never_share_a_task`.

A carrier is a `Coroutine` by interface, not a generator: asyncio calls `send` and `throw`, and they step the body inside
the body's own context (`stepping`). Being plain methods they also work before the first turn of the Task, which is what
lets `Crew` begin a body in place, inside the step of the Task that awaits it.
"""

from collections.abc import Coroutine, Generator
from typing import Any, Final

from pynenc_async.execution.bodies import DONE
from pynenc_async.execution.stepping import Stepper

BATCH: Final = 128
"""How many bodies one turn of the loop may run; bare asyncio would run all that are ready."""
SLICE_SECONDS: Final = 0.005
"""After how long a batch ends early, so that slow bodies do not hold up the loop together."""


class Carrier(Stepper, Coroutine[Any, Any, None]):
    """Runs bodies on one asyncio Task until one of them suspends, then belongs to that one."""

    __slots__ = ()

    # -- what asyncio calls --------------------------------------------------------------------------------------------

    def send(self, value: Any) -> Any:
        """Go on: with new bodies, or with the one that owns this Task."""
        if self._record is None:
            awaited = self._serve()
        elif self._handed_over is not None:
            awaited = self._take_over()
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
            self._foreman.carrier_started(self)
            self._foreman.settle_later()
            raise error
        awaited = self._handed_over
        if awaited is not None:
            self._handed_over = None
            if awaited.cancel():
                return awaited
        awaited = self._continue(self._bodies.throw, error)
        if awaited is DONE:
            raise StopIteration
        return awaited

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

    # -- running bodies ------------------------------------------------------------------------------------------------

    def _serve(self) -> Any:
        """Run ready bodies until one suspends, none is left, or the batch is over."""
        foreman = self._foreman
        foreman.carrier_started(self)
        if foreman.loop_end.is_near:
            return self._retire()
        desk, take = foreman.desk, foreman.desk.take
        deadline = desk.clock() + SLICE_SECONDS
        desk.now = deadline - SLICE_SECONDS
        for _ in range(foreman.batch()):
            record = take()
            if record is None:
                return self._retire()
            place = record._task.place
            if place is not None and record._task.function.drive is None:
                place.start(record)
                continue
            awaited = self.begin(record)
            del record  # a failure keeps this frame alive, and the frame must not keep the failed record
            if awaited is not DONE:
                foreman.settle()
                return awaited
            if self.task._must_cancel:  # type: ignore[union-attr]  # set by the body: it must not reach the next one
                return self._retire()
            if desk.now > deadline:
                break
        if desk.room is not None:
            desk.room.offer()
        return None

    def _retire(self) -> Any:
        self.task = None
        self._foreman.settle()
        return DONE

    def _take_over(self) -> Any:
        """The first turn of the Task after its body suspended in place: await what the body awaits."""
        self._foreman.carrier_started(self)
        awaited, self._handed_over = self._handed_over, None
        return awaited
