"""The event loop that a runtime is bound to: it is entered, left for another one, and called from other threads.

What came from other threads waits in an inbox that the loop empties. What ran on a loop that is gone is written off.
"""

import sys
from asyncio import AbstractEventLoop, get_running_loop
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from functools import partial
from random import Random
from typing import Any, ClassVar, Final

from pynenc_async.clock import monotonic_clock_of, randomness_of, tie_break_of, wall_clock_of
from pynenc_async.errors import AppNotStartedError, InvocationNotFoundError
from pynenc_async.execution.carrier import Carrier
from pynenc_async.execution.crew import Crew
from pynenc_async.execution.processes.inside import refuse_start
from pynenc_async.execution.shift import BATCH
from pynenc_async.execution.watchdog import Watchdog
from pynenc_async.family import guardian_of, is_told_to_stop, living_tree
from pynenc_async.forks import UNDER_WAY_IN_PARENT, keep_for_parent, tell_of_forks
from pynenc_async.guard import serve_each
from pynenc_async.headroom import add_headroom
from pynenc_async.ids import IdSource
from pynenc_async.invocation.loops import bound_elsewhere
from pynenc_async.invocation.placement import Placement
from pynenc_async.invocation.unstored import Unstored
from pynenc_async.journal import expect_end
from pynenc_async.record import Record
from pynenc_async.scheduler.observers import Observers
from pynenc_async.scheduler.room import Room
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.scheduler.slots import Wiring
from pynenc_async.scheduler.statuses import CANCELLED
from pynenc_async.scheduler.watches import Watches
from pynenc_async.status import InvocationStatus
from pynenc_async.store.records import Records
from pynenc_async.telemetry import LogFailures, log


class Phase(Enum):
    """Whether calls are admitted."""

    OPEN = auto()
    """Every call; in memory the app starts itself."""
    DRAINING = auto()
    """Calls made by running bodies."""
    CLOSED = auto()
    """None, until the app is started again."""
    COPIED = auto()
    """None, ever: this process was forked off while the app ran, and it runs on in the other one."""


class LoopBound(Unstored):
    """Has the parts that run invocations, and binds them to a loop."""

    scheduler_type: ClassVar[type[Scheduler]] = Scheduler

    def __init__(
        self,
        *,
        name: str,
        max_concurrency: int | None,
        max_threads: int,
        max_processes: int,
        retain_count: int,
        retain_seconds: float,
        retain_bytes: int | None,
        ageing_seconds: float | None,
        max_queued: int | None,
        watchdog_seconds: float | None,
        log_failures: LogFailures,
    ) -> None:
        super().__init__(name)
        self.places: Final = Placement(
            max_threads=max_threads, max_processes=max_processes, ageing_seconds=ageing_seconds
        )
        self.threads: Final = self.places.threads
        self.ids: Final = IdSource()
        self.store: Final = Records(retain_count, retain_seconds, retain_bytes)
        self.scheduler: Final = self.scheduler_type(
            Wiring(
                store=self.store,
                clock=wall_clock_of(None),
                max_concurrency=max_concurrency,
                places=self.places.all,
                format_id=self.format_id,
                ageing_seconds=ageing_seconds,
                log_failures=log_failures,
            )
        )
        scheduler = self.scheduler
        self._room: Room | None = None
        if max_queued is not None:
            self._room = Room(max_queued, self.count_waiting, self.those_waiting, scheduler.relieve)
        scheduler.room = self._room
        self._phase = Phase.OPEN
        self.loop: AbstractEventLoop | None = None
        self._open_loop: object = self
        """The loop whose calls need no second look, while the app is open; until then something that is no loop."""
        self._plain_loop: object = self
        """The loop in which calls are queued at once: none while somebody observes."""
        self.observers: Final = Observers(self._name_record, self._choose_way)
        scheduler.observers = self.observers
        self.watches: Final = Watches(self._queue_for)
        self._standbys: dict[Carrier, None] = {}
        self._crew: Crew | None = None
        self.watchdog: Final = Watchdog(watchdog_seconds, lambda: scheduler.in_use > 0 or bool(self._standbys))
        self._inbox: Final[deque[Callable[[], object]]] = deque()
        """What other threads have decided, mostly calls, in order."""
        self._numbers: Final = self.ids.numbers
        self._records: Final = self.store.records
        tell_of_forks(self)

    @property
    def runner_id(self) -> str:
        """Who runs what is submitted here: this process, since it was forked off or has started the app."""
        return self.ids.runner_id

    @property
    def phase(self) -> Phase:
        """Whether calls are admitted."""
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase
        self._open_loop = self.loop if phase is Phase.OPEN and self.loop is not None else self

    @property
    def crew(self) -> Crew:
        """What runs bodies on the loop to which the app is bound."""
        if self._crew is None:
            raise self._not_started()
        return self._crew

    # -- the loop ------------------------------------------------------------------------------------------------------

    def bind(self, loop: AbstractEventLoop) -> None:
        """Use `loop` from now on. What ran on an earlier loop, now closed, is written off; what waited runs on this one.

        Raises `AppNotStartedError`, and changes nothing, while an earlier loop still has something of the app in it.
        """
        self.refuse_copy()
        if loop is self.loop:
            return
        self.refuse_other_loop(loop)
        refuse_start(self._name)
        self._leave_loop()
        scheduler = self.scheduler
        scheduler.clock = wall_clock_of(loop)
        scheduler.random = randomness_of(loop)
        self.loop = loop
        self._crew = Crew(scheduler, self.places, loop, self.watchdog, _batches(tie_break_of(loop)), self._loop_ends)
        self.watchdog.bind(loop)
        scheduler.settle = self._crew.settle
        self.observers.bind(loop)
        self.watches.backlog.bind(loop)
        self._choose_way()
        scheduler.agenda.bind(monotonic_clock_of(loop), loop.call_later)
        self.store.bind(scheduler.clock, scheduler.passed, loop.call_later)
        scheduler.unseen.bind(scheduler.passed, loop.call_later)
        self._standbys = self._crew.standbys
        self.phase = self._phase
        self._empty_inbox()  # what came from other threads when the loop before had ended

    def refuse_other_loop(self, loop: AbstractEventLoop) -> None:
        """Raise `AppNotStartedError` unless `loop` is the one of the app, or that one is closed or has nothing left to do."""
        own = self.loop
        if own is not None and own is not loop and not own.is_closed() and self._needs_its_loop(own):
            raise bound_elsewhere(self._name, own)

    def _needs_its_loop(self, loop: AbstractEventLoop) -> bool:
        """Whether the app cannot leave `loop`: it runs, or has waiters and bodies that would never hear of anything again."""
        return loop.is_running() or any(record._ended_at is None for record in self.store)

    def refuse_stop_elsewhere(self) -> None:
        """Raise `AppNotStartedError` where an app that is started is shut down in another loop than its own."""
        own = self.loop
        if own is None or own is get_running_loop() or own.is_closed() or self._phase is Phase.CLOSED:
            return
        raise bound_elsewhere(self._name, own)

    def note_fork(self) -> None:
        """Become a runner of its own, in a child: what the parent has under way is not run here as well.

        While the app runs there, no call is admitted here: all that the app is made of lies in the middle of something.
        """
        self.ids.renew()
        if self._crew is not None:
            self._crew.leave_to_parent()
        if self.loop is not None and self.loop.is_running() and self._phase is not Phase.CLOSED:
            self.phase = Phase.COPIED
            return
        self.scheduler.registry.note_fork()
        self.scheduler.forget_comebacks()
        self.scheduler.leftovers.forget()
        self.scheduler.unseen.forget()
        for record in [one for one in self.store if one._ended_at is None]:
            self._cut_off(record)
            self._leave_to_parent(record)
        self._inbox.clear()
        self._standbys = {}
        self.loop = self._crew = None
        self._leave_loop()
        self.observers.note_fork()  # last: what was just decided is nobody's news
        self.watches.note_fork()
        self.watchdog.note_fork()
        self.phase = self._phase
        self._choose_way()

    def _cut_off(self, record: Record) -> None:
        """Take from an invocation, in a child, its body and all who hear of it: they are in the parent."""
        more = record._more
        keep_for_parent((record._driver, None if more is None else more.handed))
        record._driver = record._waiters = None
        if more is not None:
            more.handed = more.watch = None

    def _leave_to_parent(self, record: Record) -> None:
        """Give up, in a child, an invocation that the parent has; nothing waits for it here."""
        self.scheduler.end(record, CANCELLED, None, UNDER_WAY_IN_PARENT)

    def refuse_copy(self) -> None:
        """Raise `AppNotStartedError` in a child that was forked off while the app ran."""
        if self._phase is Phase.COPIED:
            raise AppNotStartedError(
                f"{self._name} runs in the process that this one was forked off, and cannot run here as well; fork before "
                "it is started, begin the process with 'spawn' in place of 'fork', or make another app in it"
            )

    def call_in_loop(self, callback: Callable[[], object]) -> None:
        """Call back in the loop, from any thread."""
        self.require_loop(None).call_soon_threadsafe(callback)

    def open(self, loop: AbstractEventLoop) -> None:
        """Admit calls, and run them on `loop`."""
        self.bind(loop)
        self.phase = Phase.OPEN

    async def start(self, loop: AbstractEventLoop) -> None:
        """Admit calls, and run them on `loop`."""
        self.open(loop)

    @property
    def is_durable(self) -> bool:
        """Whether a store keeps what does not end here."""
        return False

    def begin_nothing_more(self) -> None:
        """Begin nothing that others could run as well."""

    def end_for_shutdown(self, record: Record) -> None:
        """Bring an invocation to its end, or give it back, because the app is shut down."""
        self.scheduler.cancel(record, "the app was shut down")

    def _leave_loop(self) -> None:
        """Write off what the loop that is gone had under way."""
        if self._crew is not None:
            self._crew.threads.close()
            self._crew.loop_end.come()
        if self._room is not None:
            self._room.leave_loop()
        self.scheduler.settle = _nobody_is_there
        self.scheduler.leftovers.leave_loop()
        self.scheduler.unseen.leave_loop()
        self.scheduler.agenda.leave_loop()
        self.store.leave_loop()
        living = [record for record in self.store if record._ended_at is None]
        for record in living:
            record._waiters = None  # they belonged to the same loop
            if record._more is not None:
                record._more.waits = 0  # and so did the awaits that the bodies were in
                if record._more.progress is not None:
                    record._more.progress.leave_loop()
        self.scheduler.forget_comebacks()
        for record in living:
            if record._driver is not None:
                self.scheduler.abandon(record, "its event loop was closed")
        if self._crew is not None:
            self._crew.elsewhere.close()

    def _loop_ends(self) -> None:
        """The loop is about to close, be it in order or not."""
        crew = self._crew
        self._take_back_unbegun()
        if crew is None or self._phase is Phase.CLOSED:
            return
        living = [record for record in self.store if record._ended_at is None]
        waiting = sum(record._driver is None for record in living)
        under_way = crew.cut_off + len(living) - waiting
        if under_way or waiting:
            log.warning(
                "the event loop ends while %d invocations of %s are under way, which end with it, and %d wait, which %s; "
                "`async with app:` lets them finish",
                under_way,
                self._name,
                waiting,
                "stay in the store" if self.is_durable else "only another loop of this process would run",
            )

    def _take_back_unbegun(self) -> None:
        """The loop ends: what was handed to a thread or a process, and has not begun there, waits for the next loop."""
        for record in self.store:
            if record._status is InvocationStatus.PENDING and record._driver is not None and record._driver.revoke():
                self.scheduler.put_back(record, "its event loop was closed")

    def format_id(self, number: int) -> str:
        """Return the id of an invocation that lives here."""
        return self.ids.format(number)

    def _name_record(self, record: Record) -> tuple[str, str]:
        return self.format_id(record._number), self.runner_id

    def _choose_way(self) -> None:
        self._plain_loop = self if self.loop is None or self.observers else self.loop

    def decide(self, decision: Callable[..., object], *args: object) -> None:
        """Let the scheduler decide something: now, or in its loop as soon as possible."""
        if _get_running_loop() is self.loop:
            decision(*args)
        else:
            self.call_in_loop(lambda: decision(*args))

    def cancel_tree(self, record: Record, reason: str) -> list[Record] | None:
        """Cancel an invocation and its living children: now in the loop, as soon as possible from another thread.

        Returns:
            The invocations that were told to stop; None where that is decided later, in the loop.
        """
        if self.decides_here(record):
            tree = living_tree(record)
            self.scheduler.cancel(record, reason)
            return tree
        self.call_in_loop(lambda: self.scheduler.cancel(record, reason))
        return None

    def decides_here(self, record: Record | None) -> bool:
        """Return whether this call runs in the app's loop; False in a thread that has none.

        Raises:
            AppNotStartedError: Another loop runs in this thread, or the app's loop does not run.
        """
        if _get_running_loop() is not None:
            self.require_own_loop(record)
            return True
        if not self.require_loop(record).is_running():
            raise AppNotStartedError(f"{self._name} has no running event loop now; cancel inside of one")
        return False

    def _not_started(self) -> AppNotStartedError:
        return AppNotStartedError(
            f"{self._name} has no event loop to run on: call its tasks inside a running loop, "
            "for instance in `app.run(main)`, or use Pynenc('sync://')"
        )

    def _queue_for(self, use: Any) -> Callable[[Record], None]:
        return self.scheduler.way_in(use.options, use.limiter)

    def count_waiting(self) -> int:
        """How many have been submitted and have not begun, or wait for their next attempt."""
        return self.scheduler.waiting

    def those_waiting(self) -> Iterable[Record]:
        """Them, the newest first; nobody, where some are not in memory."""
        return self.scheduler.those_waiting() if self.count_waiting() == self.scheduler.waiting else ()

    # -- the inbox -----------------------------------------------------------------------------------------------------

    def _queue(self, record: Record) -> None:
        """Take in, on the loop, what was submitted."""
        raise NotImplementedError

    def _queue_in_turn(self, record: Record) -> None:
        """Take it in when no other decision is under way."""
        self.scheduler.turnstile.enter(self._queue_or_end, record)

    def _queue_or_end(self, record: Record) -> None:
        try:
            self._queue(record)
        except BaseException as error:
            limit = add_headroom()
            try:
                self.scheduler.undo(record, "it could not be queued", error)  # nothing else would end it
            finally:
                sys.setrecursionlimit(limit)
            raise

    def _post(self, record: Record) -> None:
        expect_end(record)
        guardian = guardian_of(record)
        # The body that did so counts, unless it had been told to stop by then.
        self.decide_in_order(
            partial(self._take_posted, record, None if guardian is None or is_told_to_stop(guardian) else guardian)
        )

    def decide_in_order(self, decision: Callable[[], object]) -> None:
        """Let the loop decide something, before all that this thread hands to it later."""
        self._inbox.append(decision)
        self.loop.call_soon_threadsafe(self._empty_inbox)  # type: ignore[union-attr]

    def _empty_inbox(self) -> None:
        inbox = self._inbox
        while inbox:
            serve_each((inbox.popleft(),), _decide, "taking in a call from another thread")
        self.crew.settle()

    def _take_posted(self, record: Record, guardian: Record | None) -> None:
        self._queue_in_turn(record)
        if guardian is not None and is_told_to_stop(guardian):
            self.scheduler.cancel(record, f"its parent {self.format_id(guardian._number)} was told to stop")

    # -- who waits for it ----------------------------------------------------------------------------------------------

    def require_loop(self, record: Record | None) -> AbstractEventLoop:
        """Return the loop on which a living invocation will end; raise for a restored handle, of which nothing is known."""
        if record is not None and record._number == 0 and record._restored is not None:
            raise InvocationNotFoundError(record._restored[0])
        if self.loop is None:
            raise self._not_started()
        return self.loop

    def require_own_loop(self, record: Record | None) -> AbstractEventLoop:
        """Like `require_loop`; raises where another loop runs here, unless nothing keeps the app in its own."""
        loop = get_running_loop()
        if self.loop is None or self.require_loop(record) is not loop:
            self.bind(loop)
            self.require_loop(record)
        return loop


def _decide(decision: Callable[[], object]) -> None:
    decision()


def _nobody_is_there() -> None:
    """There is no loop in which anything could get going."""


def _batches(tie_break: Random | None) -> Callable[[], int]:
    """How many bodies a turn runs: fixed, or, as nothing is promised about it, drawn anew in simulations."""
    if tie_break is None:
        return lambda: BATCH
    return lambda: tie_break.choice((1, 2, 3, BATCH))
