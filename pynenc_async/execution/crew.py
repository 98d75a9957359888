"""The crew: gets carriers going when there is work, keeps one at hand for running in place, owns threads and workers."""

import sys
from asyncio import AbstractEventLoop, CancelledError, Task, all_tasks, current_task
from asyncio.tasks import _enter_task, _leave_task  # documented for those who extend asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

from pynenc_async.execution.bodies import DONE
from pynenc_async.execution.carrier import Carrier
from pynenc_async.execution.elsewhere import Elsewhere
from pynenc_async.execution.loop_end import LoopEnd
from pynenc_async.execution.shift import BATCH, Shift
from pynenc_async.execution.stepping import Dispenser, Stepper, put_aside
from pynenc_async.execution.threads.pool import Threads
from pynenc_async.execution.watchdog import Watchdog
from pynenc_async.forks import keep_for_parent
from pynenc_async.guard import report_failure, serve_each
from pynenc_async.headroom import add_headroom
from pynenc_async.record import Record

IN_PLACE_BUDGET: Final = 128
"""How many bodies may run in place between two turns of the loop: `while True: await noop()` must not stop the world."""
IN_PLACE_DEPTH: Final = 16
"""How deep bodies run in place inside each other; deeper ones go through the loop and spare the stack."""
CONTEXTS_KEPT: Final = 1_000
"""How many contexts of Tasks that have ended are kept for the next ones."""
MOST_COUNTED: Final = 1_000_000
"""More bodies than could begin in any turn."""


class Crew:
    """All carriers of one app on one loop."""

    def __init__(
        self,
        desk: Any,
        places: Any,
        loop: AbstractEventLoop,
        watchdog: Watchdog,
        batch: Callable[[], int] | None = None,
        loop_ends: Callable[[], object] = lambda: None,
    ) -> None:
        self.desk: Dispenser = desk
        self.loop: Final = loop
        self.batch: Callable[[], int] = batch or (lambda: BATCH)
        self._ready: Final = desk.ready
        self._scheduler: Final = desk
        self._watchdog: Final = watchdog
        self.standbys: Final[dict[Carrier, None]] = {}
        """Carriers without a body whose Tasks wait for a turn; the dict keeps their order."""
        self.shift: Final = Shift()
        self.contexts: Final[deque[Context]] = deque(maxlen=CONTEXTS_KEPT)
        """Empty contexts of Tasks that have ended, for the next ones."""
        self._budget = IN_PLACE_BUDGET
        self._depth = 0
        self.stopped: Final[list[Stepper]] = []
        """Whose bodies have stopped as they were told to, which has not been reported yet."""
        self.loop_end: Final = LoopEnd(loop, comes=loop_ends, went_on=self._loop_goes_on)
        self.cut_off = 0
        """How many bodies have ended because somebody else has cancelled their Tasks, as the end of a loop does."""
        self.threads: Final = Threads(desk, places.threads, loop, self.settle, self.loop_end.come_if_closed)
        places.threads.start, places.threads.abandon = self.threads.start, self.threads.abandon
        self.elsewhere: Final = Elsewhere(desk, places, loop, self.settle)

    def _new_carrier(self) -> Carrier:
        # Bodies bring their own contexts, and a Task must not pin its creator's. Each Task has one for itself: as long as a
        # body runs the loop, its Task is in its context, which no other Task can enter then.
        context = self.contexts.pop() if self.contexts else Context()
        carrier = Carrier(self, context)
        task: Any = Task(carrier, loop=self.loop, context=context)
        # If the loop is closed first, the scheduler writes the end of what it carried.
        task._log_destroy_pending = False
        carrier.task = task
        return carrier

    def settle(self) -> None:
        """Get a carrier going if there is work that could start, and none is on its way.

        One is enough: what it begins in its turn, and suspends, is carried by others that it gets going itself.
        """
        if self.loop_end.is_near:
            return  # what is queued waits for the next loop
        if self._scheduler.room is not None:
            self._scheduler.room.offer()
        if not self.standbys and self._scheduler.startable(1):
            if self._watchdog.is_resting:
                self._watchdog.wake()
            self.standbys[self._new_carrier()] = None

    # -- in a turn of a carrier ----------------------------------------------------------------------------------------

    def begin_shift(self) -> None:
        """A carrier without a body has its turn."""
        desk = self.desk
        desk.now = now = desk.clock()
        startable = self._scheduler.startable(MOST_COUNTED)
        self.shift.begin(now, self.batch(), startable)
        if startable > 1:
            self.loop.call_soon(self.settle)  # if a body runs the loop itself, others begin what else could begin

    def begin_others(self) -> None:
        """Begin the bodies of this shift that are not left to the carrier whose turn it is, in the same turn of the loop.

        Other carriers begin them in their own names, as the current Task (as with an eager start), each until one suspends;
        then its Task takes over in its first turn. As the last is left to the present carrier, whose Task is scheduled last,
        the bodies go on in the order in which they have begun.
        """
        loop, desk, shift = self.loop, self.desk, self.shift
        take, outer = desk.take, current_task(loop)
        _leave_task(loop, outer)  # type: ignore[arg-type]
        try:
            while shift.left > shift.own and (record := take()) is not None:
                carrier = self._at_hand() if self.standbys else self._new_carrier()
                task: Any = carrier.task
                awaited = DONE
                _enter_task(loop, task)
                try:
                    awaited = carrier.work(record)
                finally:
                    _leave_task(loop, task)
                    del record
                    if awaited is not DONE:
                        shift.suspends = True
                        carrier.handed_over = put_aside(awaited)
                    elif task._must_cancel:
                        carrier.task = None  # nothing may begin in its name: its turn ends it
                    else:
                        self.standbys[carrier] = None
                    if carrier.back is not None:
                        carrier.come_back()
                desk.now = now = desk.clock()
                if now > shift.deadline:
                    shift.left = 0
        except BaseException as error:  # noqa: BLE001  the bodies that have suspended before must be carried on
            report_failure(error, "beginning a body")
        finally:
            _enter_task(loop, outer)  # type: ignore[arg-type]

    def end_shift(self, carrier: Carrier) -> bool:
        """The shift is over: say whether the carrier is to go on in the next turn; until then it is at hand."""
        if self._scheduler.room is not None:
            self._scheduler.room.offer()
        if self.standbys:
            return False
        self.standbys[carrier] = None
        return True

    def _at_hand(self) -> Carrier:
        """Take a carrier that waits for its turn, or make one."""
        carrier = next(iter(self.standbys))
        if carrier.task._must_cancel:  # type: ignore[union-attr]
            return self._new_carrier()
        del self.standbys[carrier]
        return carrier

    def leave_to_parent(self) -> None:
        """In a forked child: the loop with all that it carries, the threads and the workers are the parent's."""
        keep_for_parent((self.loop, all_tasks(self.loop), self.stopped))
        self.threads.leave_to_parent()
        self.elsewhere.leave_to_parent()

    def report_soon(self) -> None:
        """Report all that stop in this turn of the loop together.

        A tree that is cancelled stops in one turn. To unwind one body after the other, and then to end one invocation
        after the other, runs through less code and data at a time than to do both for each: they stay in the processor's
        cache, which saves a fifth of the time.
        """
        self.loop.call_soon(self._report_stopped)

    def _report_stopped(self) -> None:
        stopped, error = self.stopped[:], CancelledError()
        self.stopped.clear()
        serve_each(stopped, lambda carrier: carrier.report_stopped(error), "reporting a body that has stopped")
        self.settle()

    def settle_later(self) -> None:
        """The same, if the loop still runs a moment from now: somebody has cancelled a Task behind our back.

        It may be asyncio.run on its way out, which cancels all of them: what is queued must not begin on a loop that is
        about to close. It waits for the next one.
        """
        self.cut_off += 1
        self.loop_end.suspect({carrier.task for carrier in self.standbys})

    def _loop_goes_on(self) -> None:
        """It was not the end of the loop."""
        self.cut_off = 0
        self.settle()

    def carrier_started(self, carrier: Carrier) -> bool:
        """A turn of the loop has begun; say whether the carrier was at hand until now."""
        self._budget = IN_PLACE_BUDGET
        return self.standbys.pop(carrier, self) is None

    def can_run_in_place(self, record: Record) -> bool:
        """Whether `run_in_place` would begin `record`, given a slot."""
        if self._budget <= 0 or self._depth >= IN_PLACE_DEPTH or not self.standbys or self.loop_end.is_near:
            return False
        standby: Any = next(iter(self.standbys))
        if standby.task._must_cancel:
            return False
        return self._ready.peek_only() is record and record._task.place is None

    def run_in_place(self, record: Record) -> bool:
        """Begin `record` now, inside the step of the Task that awaits it, if it is the only one that could start.

        Saves the awaiting Task two turns of the loop. The body sees its own Task, as with an eager start: the current
        task is swapped for a standby's, which takes over if the body suspends.
        """
        loop = self.loop
        outer = current_task(loop)
        if outer is None or not self.can_run_in_place(record) or not self._scheduler.take_only(record):
            return False
        self._budget -= 1
        self._depth += 1
        carrier = next(iter(self.standbys))
        del self.standbys[carrier]
        task: Any = carrier.task
        _leave_task(loop, outer)
        _enter_task(loop, task)
        suspended = False
        try:
            suspended = carrier.begin_in_place(record)
        except BaseException as error:
            limit = add_headroom()
            try:
                carrier.break_off(record, error)
            finally:
                sys.setrecursionlimit(limit)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        finally:
            _leave_task(loop, task)
            _enter_task(loop, outer)
            self._depth -= 1
            del record
            if carrier.back is not None:
                carrier.come_back()
            if suspended:
                self.settle()  # that carrier is taken: the rest needs another
            elif task._must_cancel:
                carrier.task = None  # nothing may begin in its name: its turn ends it
                self.settle()
            else:
                self.standbys[carrier] = None
        return True
