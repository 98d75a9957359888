"""How the simulated loop waits: the clock that moves only when there is nothing else to do.

Theory of operation. Once per turn, asyncio's loop asks its selector to wait: for no time when something is ready, else
until the next timer, else for ever. The selector is a public seam, so this is where virtual time lives. It answers, in
this order:

1. Something is ready, or a file is: no waiting, no time passes.
2. A thread works for the loop: wait for it, really, with time standing still. In virtual time a thread takes no time.
3. Somebody wants to know that nothing is ready (`wait_all_tasks_blocked`): tell them.
4. A socket is open: the outside world has no virtual time, so wait really, for the next timer too.
5. A timer is set: jump to it.
6. Nobody is left to act: raise `DeadlockError`.

Waiting really has an end (`patience`), after which `StalledError` is raised. Both errors leave through the loop's run,
not through a task: no `except` of the program under test can swallow them.

Threads are known by counting (`ThreadWork`), and only three orders matter. Work is counted before it is submitted; it
is taken off the count after its result is in the ready queue; and the count is read before the files are polled. So
when the count was zero and the poll found nothing, no counted thread has anything left to say, and time may move. See
`test_time_stands_still_while_a_thread_works`.
"""

import asyncio
import math
import random
import selectors
import time
from typing import TypeAlias

from pynenc_async.testing.internals import next_deadline, ready_queue, set_clock_resolution
from pynenc_async.testing.report import DeadlockError, StalledError, describe_tasks
from pynenc_async.testing.shuffle import shuffle
from pynenc_async.testing.thread_turns import ThreadTurn, ThreadTurns
from pynenc_async.testing.thread_work import ThreadWork

Events: TypeAlias = list[tuple[selectors.SelectorKey, int]]

FINEST_TICK = 1e-9  # the resolution of CPython's monotonic clock on Linux, which asyncio's own loops use
STRANGERS_GRACE = 1.0  # real seconds that an uncounted thread gets to wake the loop before the verdict is deadlock
SETTLING_TIME = (
    0.01  # real seconds for threads to finish together, in seeded mode, so that there is an order to shuffle
)


class AutojumpSelector(selectors.DefaultSelector):
    """A selector that spends virtual time where it can, and real time where it must."""

    def __init__(self, loop: asyncio.BaseEventLoop, *, turn_order: random.Random | None, patience: float) -> None:
        super().__init__()
        self.now = 0.0
        self.thread_work = ThreadWork()
        self.has_stalled = False
        self._loop = loop
        self._turn_order = turn_order
        self._turns = None if turn_order is None else ThreadTurns(turn_order)
        self._patience = patience
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._own_files = 0

    def adopt_open_files(self) -> None:
        """Regard what is registered by now as the loop's own (its self-pipe), which nobody outside will write to."""
        self._own_files = len(self.get_map())

    def add_idle_waiter(self, waiter: asyncio.Future[None]) -> None:
        """Resolve this future as soon as nothing is ready and no thread works, before time moves."""
        self._idle_waiters.append(waiter)

    def settle_threads(self) -> None:
        """In seeded mode, let the threads at work have their turns, and what has no turn a moment to end."""
        if self._turns is not None:
            self._turns.settle()
            if self.thread_work.outstanding > self._turns.pieces:
                self.thread_work.wait_until_none(SETTLING_TIME)

    def new_turn(self, pool: object) -> ThreadTurn | None:
        """Return the turn of a new piece of work, in seeded mode."""
        return None if self._turns is None else self._turns.issue(pool)

    def close_turns(self) -> None:
        """Let every thread go that waits for its turn."""
        if self._turns is not None:
            self._turns.close()

    def select(self, timeout: float | None = None) -> Events:
        """Wait for one turn of the loop; in seeded mode, decide the order of what is ready then.

        There, threads at work get a moment to end first: whether they end just before this turn or just after it must not
        be what decides.
        """
        self.settle_threads()
        events = self._wait(timeout)
        if self._turn_order is not None:
            shuffle(ready_queue(self._loop), self._turn_order)
        return events

    def _wait(self, timeout: float | None) -> Events:
        threads_at_work = self.thread_work.outstanding  # read before the poll: see the theory of operation
        events = super().select(0)
        if events or timeout == 0:
            return events
        if threads_at_work:
            return self._wait_for_threads()
        if self._wake_idle_waiters():
            return []
        deadline = next_deadline(self._loop)
        if self._foreign_files():
            return self._wait_for_files(deadline)
        if deadline == math.inf:
            return self._verdict()
        self._move_to(deadline)
        return []

    def _wait_for_threads(self) -> Events:
        events = self._wait_really(self._patience)
        if not events:
            raise self._stalled(f"threads: {self.thread_work.outstanding} at work")
        self.settle_threads()
        return events

    def _wait_for_files(self, deadline: float) -> Events:
        began, really_began = self.now, time.monotonic()
        events = self._wait_really(min(deadline - began, self._patience))
        if not events and began + self._patience < deadline:
            raise self._stalled(f"files or sockets: {self._foreign_files()} open")
        self._move_to(min(began + time.monotonic() - really_began, deadline))
        return events

    def _verdict(self) -> Events:
        """Raise `DeadlockError`, unless a thread that nobody counted proves it wrong within a moment.

        Only a program that fails, or that uses such threads, pays for the moment.
        """
        events = self._wait_really(STRANGERS_GRACE if self.thread_work.has_strangers() else 0)
        if not events:
            raise DeadlockError(self.now, self._report())
        return events

    def _wait_really(self, seconds: float) -> Events:
        """Wait for a file or a wake-up; an empty list means that the time is really over."""
        end = time.monotonic() + seconds
        while True:
            events = super().select(max(0, end - time.monotonic()))
            if events or time.monotonic() >= end:
                return events

    def _wake_idle_waiters(self) -> bool:
        waiters, self._idle_waiters = self._idle_waiters, []
        living = [waiter for waiter in waiters if not waiter.done()]
        for waiter in living:
            waiter.set_result(None)
        return bool(living)

    def _foreign_files(self) -> int:
        return len(self.get_map()) - self._own_files

    def _move_to(self, now: float) -> None:
        self.now = now
        # asyncio runs what is due before `time() + resolution`. Far from zero the tick of a float is coarser than any
        # fixed resolution, the sum equals `time()`, and a timer that is due now would never run, nor time move again.
        # See `test_a_deadline_millennia_away_does_not_spin`.
        set_clock_resolution(self._loop, max(FINEST_TICK, 2 * math.ulp(now)))

    def _stalled(self, awaited: str) -> StalledError:
        self.has_stalled = True
        return StalledError(awaited, self._patience, self.now, self._report())

    def _report(self) -> str:
        return describe_tasks(asyncio.all_tasks(self._loop))
