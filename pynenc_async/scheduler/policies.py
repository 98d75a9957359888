"""What the options of a task add to the way of its invocations: delays, limits, timeouts, deadlines, expiry, retries.

Only invocations of tasks with such options come here: they are *admitted* instead of queued (`Task.queue`).
"""

from asyncio import CancelledError
from bisect import bisect
from collections.abc import Callable
from random import Random
from typing import Any, Final

from msgspec import UNSET

from pynenc_async.errors import ConcurrencyLimitError, InvocationExpiredError, InvocationTimeoutError
from pynenc_async.options import OnLimit, TaskOptions
from pynenc_async.record import More, Record
from pynenc_async.scheduler.agenda import Agenda, Kind
from pynenc_async.scheduler.core import CANCELLED, FAILED, RETRY, SchedulerCore
from pynenc_async.scheduler.cycles import ring_through_limit
from pynenc_async.scheduler.grace import Grace
from pynenc_async.scheduler.limits import Limiter
from pynenc_async.scheduler.ready import RUNNABLE
from pynenc_async.scheduler.registration import Registry
from pynenc_async.scheduler.retrying import delay_before_retry
from pynenc_async.scheduler.room import Room
from pynenc_async.scheduler.rules import Rule, in_words
from pynenc_async.scheduler.slots import PAUSED, PENDING, REGISTERED
from pynenc_async.status import InvocationStatus
from pynenc_async.telemetry import logger

SCHEDULED: Final = InvocationStatus.SCHEDULED
CONCURRENCY_CONTROLLED: Final = InvocationStatus.CONCURRENCY_CONTROLLED
CONCURRENCY_CONTROLLED_FINAL: Final = InvocationStatus.CONCURRENCY_CONTROLLED_FINAL
REROUTED: Final = InvocationStatus.REROUTED
_SLACK: Final = 1e-6
"""Seconds by which a timer may ring early, as far as timeouts are concerned."""
KILLED_SECONDS: Final = 5.0
"""How long a process that was killed may take to be gone."""

_WAITING: Final = (RETRY, CONCURRENCY_CONTROLLED)


class PolicedScheduler(SchedulerCore):
    """The scheduler core, and the policies of tasks."""

    def __init__(self, **wiring: Any) -> None:
        super().__init__(**wiring)
        self.agenda: Final = Agenda(self._due, self._is_live)
        self.random = Random()  # noqa: S311  jitter
        self.settle: Callable[[], None] = _nobody_settles
        """Gets bodies going after something became ready that no body's end announces."""
        self.grace: Final = Grace(self.agenda, self.store.records.get, self._grace_due)
        self.registry: Final = Registry(self.agenda.call_later)
        self.room: Room | None = None
        self._limiters: Final[dict[str, Limiter]] = {}
        self._due_actions: Final[dict[Kind, Callable[[Any], None]]] = {
            Kind.START: self._start_due,
            Kind.RETRY: self._retry_due,
            Kind.TIMEOUT: self._timeout_due,
            Kind.DEADLINE: self._deadline_due,
            Kind.EXPIRY: self._expiry_due,
        }

    # -- the way in ----------------------------------------------------------------------------------------------------

    def limiter_of(self, task_id: str) -> Limiter:
        """Return the limiter that all uses of one task share."""
        limiter = self._limiters.get(task_id)
        if limiter is None:
            agenda = self.agenda
            limiter = Limiter(agenda.now, agenda.call_later, self.ageing_seconds, self._grant_permits)
            self._limiters[task_id] = limiter
        return limiter

    def way_in(self, options: TaskOptions, limiter: Limiter | None) -> Callable[[Record], None]:
        """Return what takes in the invocations of a task: chosen once for it, not for each of them."""
        if options.starts_later or options.deadline is not None or options.expires_in is not None:
            return self._admit
        append = self.ready.lane(options.priority).items.append
        if limiter is None:
            return append

        def admit_limited(record: Record) -> None:
            rule = limiter.admit(record)
            if rule is None:
                append(record)
            else:
                self._refuse(record, limiter, rule)

        return admit_limited

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

    def set_deadline(self, record: Record, moment: float) -> None:
        """End `record` at `moment` of the agenda's clock, unless it has an earlier deadline."""
        more = record.need_more()
        if more.deadline is None or moment < more.deadline:
            more.deadline = self.agenda.put_at(moment, Kind.DEADLINE, record)

    def _register(self, record: Record) -> None:
        expires_in = record._task.options.expires_in
        if expires_in is not None:
            self.agenda.put(expires_in, Kind.EXPIRY, record)
        self._enter(record)

    def _enter(self, record: Record) -> None:
        """Queue `record`, with a permit where it needs one; let it wait for it, or drop it."""
        limiter: Limiter | None = record._task.limiter
        rule = None if limiter is None else limiter.admit(record)
        if limiter is None or rule is None:
            self.queue(record)
            if record._waiters is not None and record.is_awaited_by_body():  # since before it could be queued
                self.hasten((record,))
        else:
            self._refuse(record, limiter, rule)

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
        if record._status not in _WAITING:  # a retry stays one while it waits
            self._move(record, CONCURRENCY_CONTROLLED, reason)
        asked_for = record._waiters is not None or (self.room is not None and self.room.is_asked_for)
        if asked_for:
            self._refuse_ring(record)

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
            items = self.ready.lane(record._task.options.priority).items
            if others_queue:
                items.append(record)
            elif not items or record._number < items[0]._number:
                items.appendleft(record)
            else:
                items.insert(bisect(items, record._number, key=_number_of), record)
        if granted:
            self.settle()

    def _move(self, record: Record, status: InvocationStatus, reason: str = "") -> None:
        self.now = self.clock()
        record.leave_path()
        self.note(record, status, record._retries, reason)
        record._status = status

    # -- the way of an attempt -----------------------------------------------------------------------------------------

    def attempt_goes_on(self, record: Record) -> None:
        """An attempt of a task with a timeout has not ended at once."""
        more = record.need_more()
        if more.timeout_at is None and more.told_at is None:  # else it was handed on, and is measured already, or told
            more.timeout_at = self.agenda.put(record._task.options.timeout, Kind.TIMEOUT, record)

    def let_go(self, record: Record, more: More) -> None:
        """An attempt is over: its permit is free, its timeout void."""
        if more.timeout_at is not None:
            more.timeout_at = None
            self.agenda.note_dead()
        more.told_at = None
        task, is_over = record._task, record._ended_at is not None
        if task.limiter is not None:
            key, more.permit = more.permit, UNSET
            if key is not UNSET:
                if task.limiter.give_back(record, key):
                    self._grant_permits(task.limiter)
            elif more.held and is_over:
                task.limiter.forget(record)
        if is_over and (
            more.held
            or more.deadline is not None
            or more.registration is not None
            or record._started_at is None
            or task.options.expires_in is not None
        ):
            self._forget(record, more)

    def _forget(self, record: Record, more: More) -> None:
        options = record._task.options
        never_due = more.held or (options.starts_later and record._started_at is None)
        for pending in (more.deadline is not None, options.expires_in is not None, never_due):
            if pending:
                self.agenda.note_dead()
        more.held = False
        if more.registration is not None:
            self.registry.ended(record)

    def verdict(self, record: Record, error: BaseException) -> BaseException:
        """What the error of a body means: one that was told to stop because of its timeout has timed out."""
        more = record._more
        if more is None or more.timed_out is None or more.cancel_reason is not None:
            return error
        reason, more.timed_out = more.timed_out, None
        if not isinstance(error, CancelledError):
            return error
        timeout = InvocationTimeoutError(self.format_id(record._number), reason)
        timeout.__cause__ = error
        return timeout

    def retry_delay(self, record: Record, error: BaseException) -> float | None:
        """How many seconds the retry after `error` waits; None: there is none, or the deadline comes first."""
        delay = delay_before_retry(record._task.options, error, record._retries, self.random.random)
        deadline = record._more.deadline if record._more is not None else None
        if delay is not None and deadline is not None and self.agenda.now() + delay >= deadline:
            return None
        return delay

    def retry_after(self, record: Record, delay: float) -> None:
        """Let `record`, which is in RETRY, be run again in `delay` seconds."""
        if delay > 0:
            record.need_more().held = True
            self.agenda.put(delay, Kind.RETRY, record)
        else:
            self._enter(record)

    # -- what is due ---------------------------------------------------------------------------------------------------

    def _is_live(self, when: float, kind: Kind, subject: Any) -> bool:
        if kind is Kind.CALL:
            return subject.callback is not None
        if subject._ended_at is not None:
            return False
        if kind is Kind.TIMEOUT:
            return bool(subject._more.timeout_at == when)
        if kind is Kind.DEADLINE:
            return bool(subject._more.deadline == when)
        return kind is not Kind.EXPIRY or subject._started_at is None

    def _due(self, kind: Kind, subject: Any) -> None:
        if kind is Kind.CALL:
            callback, subject.callback = subject.callback, None
            callback()
        else:
            self._due_actions[kind](subject)
        self.settle()

    def _start_due(self, record: Record) -> None:
        self._move(record, REGISTERED)
        self._register(record)

    def _retry_due(self, record: Record) -> None:
        record.need_more().held = False
        self._enter(record)

    def _timeout_due(self, record: Record) -> None:
        more, timeout = record.need_more(), record._task.options.timeout
        left = timeout - self._seconds_under_way(record)
        if left > _SLACK:
            more.timeout_at = self.agenda.put(left, Kind.TIMEOUT, record)
        else:
            more.timeout_at = None
            self._time_out(record, f"an attempt took longer than timeout={timeout:g} s")

    def _seconds_under_way(self, record: Record) -> float:
        """For how long the attempt has run. One at a place may have begun later than it was handed out, or not yet."""
        if record._task.place is None:
            return float(record._task.options.timeout)
        return 0.0 if record._status is PENDING else self.clock() - record._started_at  # type: ignore[operator]

    def _deadline_due(self, record: Record) -> None:
        reason = "its deadline has passed"
        if record._driver is not None and not (record._status is PENDING and record._driver.revoke()):
            self._time_out(record, reason)
        elif record._status is RETRY:  # which can become CANCELLED, and not FAILED
            self.withdraw(record, InvocationTimeoutError(self.format_id(record._number), reason), reason)
        else:
            self._expire(record, reason)

    def _expiry_due(self, record: Record) -> None:
        self._expire(record, f"it has waited longer than expires_in={record._task.options.expires_in:g} s")

    def _expire(self, record: Record, reason: str) -> None:
        self.withdraw(record, InvocationExpiredError(self.format_id(record._number), reason), reason)

    def _time_out(self, record: Record, reason: str) -> None:
        more = record.need_more()
        if more.timed_out is None and more.cancel_reason is None:
            more.timed_out = reason
            self.stop_children(record, "its parent timed out")
            now = self.agenda.now()
            self.ask_to_stop(record, more, reason, now)
            self.grace.begin((record,), now)

    def ask_to_stop(self, record: Record, more: More, reason: str, now: float) -> None:
        """Tell the body to stop; the caller lets its grace begin, `now`, after which it is abandoned."""
        if more.told_at is not now:
            more.told_at = now
        if more.timeout_at is not None:
            more.timeout_at = None
            self.agenda.note_dead()
        (more.handed or record._driver).cancel(reason)

    def _grace_due(self, record: Record) -> None:
        driver = record._driver
        if record._status is PENDING:
            driver.revoke()
        elif driver.insist():
            self.agenda.call_later(KILLED_SECONDS, lambda: self._killed_due(record, driver))
            return
        self._give_up(record)

    def _killed_due(self, record: Record, driver: Any) -> None:
        if record._ended_at is None and record._driver is driver:
            self._give_up(record)

    def _give_up(self, record: Record) -> None:
        more = record.need_more()
        driver, place = record._driver, record._task.place
        invocation_id, task_id = self.format_id(record._number), record._task.task_id
        found = "is still waiting" if record._status is PAUSED else "ignored it"
        logger.error(
            "invocation %s of task %s was told to stop %g s ago, %s, and is abandoned",
            invocation_id,
            task_id,
            record._task.options.cancel_grace,
            found,
            extra={"invocation_id": invocation_id, "task_id": task_id},
        )
        if more.timed_out is not None:
            error = InvocationTimeoutError(invocation_id, more.timed_out)
            if record._status is PAUSED:
                self.resumed(record)  # which alone can fail; it gives the slot back before anybody could miss it
            self.end(record, FAILED, error, f"{more.timed_out}; told to stop, it {found}")
        else:
            self.end(record, CANCELLED, None, f"{more.cancel_reason or 'cancelled'}; the body {found}")
        if place is not None:
            place.abandon(driver)

    # -- decided by `Scheduler` ----------------------------------------------------------------------------------------

    def withdraw(self, record: Record, outcome: object, reason: str) -> None:
        """End, as CANCELLED, an invocation whose body is not under way."""
        raise NotImplementedError

    def stop_children(self, record: Record, reason: str) -> None:
        """Cancel what the body of `record` has submitted."""
        raise NotImplementedError


def _number_of(record: Record) -> int:
    return record._number


def _nobody_settles() -> None:
    pass
