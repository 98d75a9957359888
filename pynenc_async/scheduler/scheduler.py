"""The scheduler: every decision about invocations, and here what follows an attempt.

Each class adds one question to the one before it: `Slots`, who gets a slot; `Endings`, what follows when a body ends;
`Stopping`, how one is stopped; `Admission`, who may queue; `Timeouts`, what takes too long; and last, what a failure is
followed by, and what an attempt gives back. With a store come `writing` and `durable`.
"""

from typing import Final

from msgspec import UNSET

from pynenc_async.clock import randomness_of
from pynenc_async.record import More, Record
from pynenc_async.scheduler.agenda import Kind
from pynenc_async.scheduler.keys import Key
from pynenc_async.scheduler.limits import Limiter
from pynenc_async.scheduler.registration import Registry
from pynenc_async.scheduler.retrying import delay_before_retry
from pynenc_async.scheduler.slots import Wiring
from pynenc_async.scheduler.timeouts import Timeouts


class Scheduler(Timeouts):
    """Decides who runs next, who waits, who is told, who is stopped, who is tried again."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self.random = randomness_of(None)
        """Jitter; another source on each loop."""
        self.registry: Final = Registry(self.agenda.call_later)
        self._due_actions[Kind.RETRY] = self._retry_due

    def undo(self, record: Record, reason: str, error: BaseException | None = None) -> None:
        """End an invocation whose way into the queue was broken off, wherever that was; make good what that has left."""
        self.turnstile.enter(self._end_broken_off, record, reason, error)
        if record._task.limiter is not None:
            self.turnstile.enter(self._repair, record._task.limiter)
        self.turnstile.enter(self.recount)

    def _end_broken_off(self, record: Record, reason: str, error: BaseException | None) -> None:
        if record._ended_at is not None:
            return
        if record._driver is None:
            self.withdraw(record, error, reason)
        else:
            self._cancel_now(record, reason)

    def _repair(self, limiter: Limiter) -> None:
        limiter.repair()
        self._grant_permits(limiter)

    # -- retries -------------------------------------------------------------------------------------------------------

    def retry_delay(self, record: Record, error: BaseException) -> float | None:
        """How many seconds the retry after `error` waits; None: there is none, or the deadline comes first."""
        delay = delay_before_retry(record._task.options, error, self.failures(record), self.random.random)
        deadline = record._more.deadline if record._more is not None else None
        if delay is not None and deadline is not None and self.agenda.now() + delay >= deadline:
            return None
        return delay

    def failures(self, record: Record) -> int:
        """How many of its attempts have failed."""
        return record._retries

    def retry_after(self, record: Record, delay: float) -> None:
        """Let `record`, which is in RETRY, be run again in `delay` seconds."""
        if delay > 0:
            record.need_more().held = True
            self.agenda.put(delay, Kind.RETRY, record)
        else:
            self._enter(record)

    def _retry_due(self, record: Record) -> None:
        record.need_more().held = False
        self._enter(record)

    def due_after(self, seconds: float) -> list[Record]:
        """Return what is delayed, or waits for its retry, for longer than so many seconds."""
        return self.agenda.after(seconds, (Kind.START, Kind.RETRY))

    # -- what an attempt gives back ------------------------------------------------------------------------------------

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
                self.turnstile.enter(self._give_back, record, key)
            elif more.held and is_over:
                self.turnstile.enter(task.limiter.forget, record)
        if is_over and (
            more.held
            or more.deadline is not None
            or more.registration is not None
            or record._started_at is None
            or task.options.expires_in is not None
        ):
            self._forget(record, more)

    def _give_back(self, record: Record, key: Key) -> None:
        limiter: Limiter = record._task.limiter
        if limiter.give_back(record, key):
            self._grant_permits(limiter)

    def _forget(self, record: Record, more: More) -> None:
        """It has ended: what was noted for later is void."""
        options = record._task.options
        never_due = more.held or (options.starts_later and record._started_at is None)
        for pending in (more.deadline is not None, options.expires_in is not None, never_due):
            if pending:
                self.agenda.note_dead()
        more.held = False
        if more.registration is not None:
            self.registry.ended(record)
