"""Changes that are decided and not yet committed: one draft for each invocation, and what is to happen afterwards.

A draft is open until the ledger takes it; then its change is fixed, and what is decided next goes into another one. The
revision that a change names counts the steps of all drafts before it, so that they can be under way one behind the other.

The usual steps (registered, begun, ended) are not written out before that: the record and the draft say them.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from pynenc_async.record import Record, Step
from pynenc_async.scheduler.durability import Durable, durable_of
from pynenc_async.status import InvocationStatus
from pynenc_async.store.values import Change, NewInvocation, Permit, RatePermit, Transition

_PENDING: Final = InvocationStatus.PENDING
_RUNNING: Final = InvocationStatus.RUNNING
_REROUTED: Final = InvocationStatus.REROUTED
_DROPPED: Final = InvocationStatus.CONCURRENCY_CONTROLLED_FINAL


End = tuple[float, InvocationStatus, Any, str, int]
"""Moment, status, outcome, reason and attempt of an end."""


class Draft(msgspec.Struct, eq=False):
    """What has been decided about one invocation since the last change."""

    record: Record
    is_new: bool = False
    is_start: bool = False
    """Whether a body begins once this is committed."""
    end: End | None = None
    """The end that is told once this is committed."""
    result: bytes | None = None
    error: bytes | None = None
    due_at: float | None = None
    since: float | None = None
    """When that was decided, on the same clock."""
    permits: tuple[Permit, ...] = ()
    rate: RatePermit | None = None
    taken: bool = True
    """Whether this process kept it in memory when the change was made."""
    change: Change | None = None
    """What it comes to, once it is fixed."""
    spelled_out: list[Step] | None = None
    """All steps, in order, as soon as one of them is none of the usual ones."""

    # -- what is decided -----------------------------------------------------------------------------------------------

    def write(self, step: Step) -> None:
        """Add a step."""
        self.spell_out().append(step)

    def begin(self, now: float, attempt: int) -> None:
        """Add the beginning of an attempt: it is the moment at which the record says that it started."""
        if self.spelled_out is not None:
            self.spelled_out += (_PENDING, now, attempt, ""), (_RUNNING, now, attempt, "")
        self.is_start = True

    def finish(self, end: End) -> None:
        """Add the end. A start that comes to nothing needs no permit, and so cannot be refused."""
        if self.is_start:
            self.permits, self.rate = (), None
        if self.spelled_out is not None:
            self.spelled_out.append(_last_step(end))
        self.end = end

    def spell_out(self) -> list[Step]:
        """Write out what the record and the draft say, because the record is about to say something else."""
        if self.spelled_out is None:
            self.spelled_out = list(self._usual_steps())
        return self.spelled_out

    @property
    def steps(self) -> tuple[Step, ...]:
        """What has happened, in order."""
        return self._usual_steps() if self.spelled_out is None else tuple(self.spelled_out)

    def _usual_steps(self) -> tuple[Step, ...]:
        record = self.record
        steps: tuple[Step, ...] = (record.first_step(),) if self.is_new else ()
        if self.is_start:
            now: Any = record._started_at
            attempt = record._retries + 1
            steps += (_PENDING, now, attempt, ""), (_RUNNING, now, attempt, "")
        return steps if self.end is None else (*steps, _last_step(self.end))

    # -- what is committed ---------------------------------------------------------------------------------------------

    def parts(self) -> "tuple[Draft, ...]":
        """Return what is to be committed as one change each: a start that may be refused, and an outcome, go by themselves."""
        certain = self._certain()
        if not certain:
            return (self,)
        steps = self.spell_out()
        before = Draft(
            self.record, is_new=self.is_new, due_at=self.due_at, since=self.since, spelled_out=steps[:certain]
        )
        self.is_new, self.spelled_out = False, steps[certain:]
        return before, self

    def _certain(self) -> int:
        """How many of the steps have to be committed before the rest.

        The way out of a queue (REROUTED) is refused with its start: one that was tried in vain leaves no trace.
        """
        if not (self.permits or self.rate):
            return int(self.is_new and bool(self.error or self.result))
        statuses = [step[0] for step in self.spell_out()]
        start = len(statuses) - 1 - statuses[::-1].index(_PENDING)
        return start - (start > 0 and statuses[start - 1] is _REROUTED)

    def fix(self) -> "Draft":
        """Let this be the next change of its invocation, and return the draft."""
        durable = durable_of(self.record)
        steps = self.steps
        revision = durable.revision
        durable.revision = revision + len(steps)
        self.taken = durable.taken
        self.change = self._registration(durable, steps) if self.is_new else self._transition(durable, steps, revision)
        return self

    def _transition(self, durable: Durable, steps: tuple[Step, ...], revision: int) -> Transition:
        return Transition(
            invocation_id=durable.invocation_id,
            revision=revision,
            steps=steps,
            due_at=self.due_at,
            since=self.since,
            result=self.result,
            error=self.error,
            permits=self.permits,
            rate=self.rate,
            taken=self.taken,
        )

    def _registration(self, durable: Durable, steps: tuple[Step, ...]) -> NewInvocation:
        record = self.record
        options = record._task.options
        arguments, durable.arguments = durable.arguments, b""
        return NewInvocation(
            invocation_id=durable.invocation_id,
            task_id=record._task.task_id,
            arguments=arguments,
            steps=steps,
            parent_invocation_id=durable.parent_id,
            priority=options.priority,
            due_at=_due_at(record, durable) if self.due_at is None else self.due_at,
            deadline_at=deadline_of(record),
            since=durable.since if self.since is None else self.since,
            max_crashes=options.max_crashes,
            options=durable.options,
            taken=self.taken,
            unique=None if self.end is not None and self.end[1] is _DROPPED else durable.unique,
            fire=durable.fire,
        )


def deadline_of(record: Record) -> float | None:
    """When an invocation has to be over, on the clock of the session, if anything says so."""
    return durable_of(record).deadline_at


def note_waits(record: Record, guardian: Record | None, clock: Callable[[], float]) -> None:
    """Note from when on a new invocation waits, and its deadline: its own, or that of its guardian, which it inherits."""
    options = record._task.options
    inherited = None if guardian is None else deadline_of(guardian)
    if inherited is None and options.deadline is None and not options.starts_later:
        return
    durable = durable_of(record)
    durable.since = now = clock()
    own = None if options.deadline is None else now + options.deadline
    durable.deadline_at = min((moment for moment in (own, inherited) if moment is not None), default=None)


def put_off_for(record: Record) -> float:
    """Return for how many seconds a new invocation is put off by the options of its task."""
    options = record._task.options
    return float(options.delay if options.at is None else max(0.0, options.at.timestamp() - record._registered_at))


def _due_at(record: Record, durable: Durable) -> float | None:
    """When a new invocation may be run, on the clock of the session, if that is put off."""
    if not record._task.options.starts_later or durable.since is None:
        return None
    return durable.since + put_off_for(record)


def _last_step(end: End) -> Step:
    now, status, _, reason, attempt = end
    return status, now, attempt, reason
