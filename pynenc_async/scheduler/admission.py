"""What stands between a call and the queue: the moment from which it may run, and a permit of its task's limits.

Only invocations of tasks with such options come here: they are *admitted* instead of queued (`Task.queue`).
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from pynenc_async.errors import ConcurrencyLimitError
from pynenc_async.options import OnLimit, TaskOptions
from pynenc_async.record import Record
from pynenc_async.scheduler.agenda import Kind
from pynenc_async.scheduler.cycles import ring_through_limit
from pynenc_async.scheduler.limits import Limiter
from pynenc_async.scheduler.rules import Rule, in_words
from pynenc_async.scheduler.slots import Wiring
from pynenc_async.scheduler.statuses import (
    CONCURRENCY_CONTROLLED,
    CONCURRENCY_CONTROLLED_FINAL,
    REGISTERED,
    REROUTED,
    RETRY,
    RUNNABLE,
    SCHEDULED,
)
from pynenc_async.scheduler.stopping import Stopping
from pynenc_async.status import InvocationStatus


class Admission(Stopping):
    """Lets invocations into the queue when they may run."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._limiters: Final[dict[str, Limiter]] = {}
        self._due_actions[Kind.START] = self._start_due

    def way_in(self, options: TaskOptions, limiter: Limiter | None) -> Callable[[Record], None]:
        """Return what takes in the invocations of a task: chosen once for it, not for each of them."""
        if options.starts_later or options.deadline is not None or options.expires_in is not None:
            return self._admit
        append = self.ready.appender(options.priority)
        if limiter is None:
            return append

        def admit_limited(record: Record) -> None:
            rule = limiter.admit(record)
            if rule is None:
                append(record)
            else:
                self._refuse(record, limiter, rule)

        return partial(self.turnstile.enter, admit_limited)

    # -- its moment ----------------------------------------------------------------------------------------------------

    def _admit(self, record: Record) -> None:
        options = record._task.options
        delay = options.delay
        if options.at is not None:
            delay = max(0.0, options.at.timestamp() - self.clock())
        if options.deadline is not None:
            self.set_deadline(record, self.agenda.now() + options.deadline)
        if options.starts_later:
            record._status = SCHEDULED  # says it all: what waits for its moment needs no rare state
            self.agenda.put(delay, Kind.START, record)
        else:
            self._register(record)

    def _start_due(self, record: Record) -> None:
        self._move(record, REGISTERED)
        self._register(record)

    def set_deadline(self, record: Record, moment: float) -> None:
        """End `record` at `moment` of the agenda's clock, unless it has an earlier deadline."""
        more = record.need_more()
        if more.deadline is None or moment < more.deadline:
            more.deadline = self.agenda.put_at(moment, Kind.DEADLINE, record)

    def _register(self, record: Record, waited: float = 0.0) -> None:
        """Let it run from now on; it could have run for so many seconds already."""
        expires_in = record._task.options.expires_in
        if expires_in is not None:
            self.agenda.put(expires_in - waited, Kind.EXPIRY, record)
        self._enter(record)

    def _move(self, record: Record, status: InvocationStatus, reason: str = "") -> None:
        self.now = self.clock()
        *_, (_, _, attempt, _) = (
            record.leave_path()
        )  # one that was handed out and put back is in the attempt after its retries
        self.note(record, status, attempt, reason)
        record._status = status

    # -- its permit ----------------------------------------------------------------------------------------------------

    def limiter_of(self, task_id: str) -> Limiter:
        """Return the limiter that all uses of one task share."""
        limiter = self._limiters.get(task_id)
        if limiter is None:
            limiter = Limiter(self._timers, self.ageing_seconds, self._note_room, self._began_at)
            limiter = self._limiters.setdefault(task_id, limiter)
        return limiter

    def _note_room(self, limiter: Limiter) -> None:
        """There may be room though no permit came back."""
        self.turnstile.enter(self._grant_permits, limiter)

    def _began_at(self, record: Record) -> float:
        """Return when the last attempt of `record` began that has, on the agenda's clock."""
        return self.agenda.now() - (self.clock() - record._started_at)  # type: ignore[operator]  # it has begun

    def _enter(self, record: Record) -> None:
        """Queue `record`, with a permit where it needs one; let it wait for it, or drop it."""
        limiter: Limiter | None = record._task.limiter
        if limiter is None:
            self._let_in(record)
        else:
            self.turnstile.enter(self._enter_limited, record, limiter)

    def _enter_limited(self, record: Record, limiter: Limiter) -> None:
        rule = limiter.admit(record)
        if rule is None:
            self._let_in(record)
        else:
            self._refuse(record, limiter, rule)

    def _let_in(self, record: Record) -> None:
        self.queue(record)
        if record._waiters is not None and record.is_awaited_by_body():  # since before it could be queued
            self.hasten((record,))

    def put_back(self, record: Record, reason: str) -> None:
        """Queue one again that was handed out, and whose body was taken back before it began."""
        more = record.need_more()
        record._driver = None
        self.now = self.clock()
        record.leave_path()
        self.note(record, REROUTED, record._retries + 1, reason)
        self._give_slot_back(record)
        record._status = REROUTED
        self.let_go(record, more)
        self._enter(record)

    def _refuse(self, record: Record, limiter: Limiter, rule: Rule) -> None:
        """There is no permit for `record` now."""
        if record._task.options.on_limit is OnLimit.DROP and record._status is REGISTERED:
            self.drop(record, in_words(record, rule))
        else:
            self._wait_for_permit(record, limiter, rule)

    def drop(self, record: Record, reason: str) -> None:
        """End a new invocation by the policy of its task."""
        error = ConcurrencyLimitError(self.format_id(record._number), f"dropped: {reason}")
        self.end(record, CONCURRENCY_CONTROLLED_FINAL, error, reason)

    def _wait_for_permit(self, record: Record, limiter: Limiter, rule: Rule) -> None:
        record.need_more().held = True
        reason = limiter.wait(record, rule)
        if record._status is not RETRY and record._status is not CONCURRENCY_CONTROLLED:  # as which it waits already
            self._move(record, CONCURRENCY_CONTROLLED, reason)
        if record._waiters is not None or (self.room is not None and self.room.is_asked_for):
            self._refuse_ring(record)

    def _grant_permits(self, limiter: Limiter) -> None:
        newest = limiter.newest
        others_queue = newest is not None and newest._status in RUNNABLE
        granted = limiter.grant()
        for record in granted:
            if record._status is CONCURRENCY_CONTROLLED:
                self._move(record, REROUTED)
        # Who has waited for a permit has waited for a turn already, and goes ahead of those who came later: but not of
        # other keys that have a permit and wait for a slot, or a hot key would starve them.
        for record in granted if others_queue else reversed(granted):
            lane = self.ready.lane(record._task.options.priority)
            if others_queue:
                lane.push(record)
            else:
                lane.put_in_order(record)
        if granted:
            self.settle()

    # -- what would wait for ever --------------------------------------------------------------------------------------

    def _refuse_ring(self, record: Record) -> bool:
        error = ring_through_limit(record) if record._task.options.detect_cycles else None
        if error is not None:
            self.withdraw(record, error, "it would wait for a limit that can never be free")
        return error is not None

    def relieve(self) -> bool:
        """Room is asked for and there is none: end the newest that waits, if it is for those who ask that it waits."""
        newest = next(self.those_waiting(), None)
        more = None if newest is None else newest._more
        return newest is not None and more is not None and more.held and self._refuse_ring(newest)
