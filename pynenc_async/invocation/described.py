"""What every handle tells about the record that it is: identity, arguments, status, history."""

from threading import get_ident
from typing import Any, Generic, ParamSpec, TypeVar, cast

from pynenc_async.arguments import Arguments
from pynenc_async.call import Call
from pynenc_async.context import LEFT_BEHIND
from pynenc_async.execution.progress import Progress, board_of
from pynenc_async.family import is_told_to_stop
from pynenc_async.history import HistoryEntry, told_in_order
from pynenc_async.invocation.base import AppRecord, BaseInvocation
from pynenc_async.printable import printable
from pynenc_async.record import Identity, Record, TaskRecord
from pynenc_async.scheduler.durability import durable_of, identity_of, is_away
from pynenc_async.status import InvocationStatus

Params = ParamSpec("Params")
Result = TypeVar("Result")


class DescribedInvocation(Record, BaseInvocation[Params, Result], Generic[Params, Result]):
    """A record as its users read it."""

    __slots__ = ()

    @property
    def call(self) -> Call[Params, Result]:
        """The task with the arguments."""
        return Call(self._task, self.arguments)

    @property
    def app(self) -> AppRecord:
        """The app that it belongs to."""
        return cast(AppRecord, self._task.app)

    @property
    def task(self) -> TaskRecord:
        """The task, with the options that hold for this invocation."""
        return cast(TaskRecord, self._task)

    @property
    def arguments(self) -> Arguments:
        """The bound arguments. Raises `SerializationError` for stored ones that this release of the task cannot read."""
        self._require_readable()
        return Arguments(self._task.function, self._values)

    def _require_readable(self) -> None:
        more = self._more
        if more is not None and more.is_stored and (problem := durable_of(self).unreadable) is not None:
            raise problem.with_traceback(None)

    def __repr__(self) -> str:
        """Name the task and the status that is known here, and no argument: those may be secrets."""
        return f"<{type(self).__name__} {printable(self.invocation_id)} of task {self._task.task_id}, {self._status}>"

    @property
    def invocation_id(self) -> str:
        """Unique among all invocations of all processes.

        Of a call with registration concurrency it is settled with `accepted()`: where another process has made the same
        call first, the handle becomes a handle to that invocation, and has its id (and its hash) from then on.
        """
        return self._identity()[0]

    @property
    def parent_invocation_id(self) -> str | None:
        """The invocation in whose body it was submitted, or for which a trigger fired it."""
        return self._identity()[1]

    def _identity(self) -> Identity:
        more = self._more
        if more is not None and more.is_stored:
            return self._restored or identity_of(self)  # its runner may have been another incarnation of this process
        parent: Any = self._parent
        if isinstance(parent, tuple):
            return cast(Identity, parent)
        runtime, number = self._task.runtime, self._number
        runner_id: str = runtime.ids.runner_of(number)
        if parent is None:
            return f"{runner_id}-{number}", None, runner_id
        # Below 0 it was taken over from another runner, and goes by the id that it got there.
        parent_id = runtime.format_id(parent._number if isinstance(parent, Record) else parent)
        return f"{runner_id}-{number}", parent_id, runner_id

    @property
    def status(self) -> InvocationStatus:
        """Where it stands now: for what another process has, as the store says.

        Raises:
            InvocationNotFoundError: The store has forgotten what another process had.
        """
        self._look_from_afar()
        return self._status

    def _look_from_afar(self) -> None:
        more = self._more
        if more is not None and more.is_stored and self._ended_at is None and is_away(self):
            self._task.runtime.refresh(self)

    @property
    def stop_requested(self) -> bool:
        """Whether the body was told to stop: for bodies in threads, which can only stop by themselves."""
        return is_told_to_stop(self) or get_ident() in LEFT_BEHIND

    @property
    def progress(self) -> Progress | None:
        """What the body has reported last, by `report_progress`."""
        more = self._more
        return None if more is None or more.progress is None else cast(Progress, more.progress.latest)

    def take_progress(self, progress: Progress) -> None:
        """Show a report of the body to whoever watches; callable in any thread. Reports after the end are refused."""
        if self._ended_at is None:
            board_of(self).put_up(progress, getattr(self._task.runtime, "loop", None))

    @property
    def num_retries(self) -> int:
        """How many attempts were followed by another: for what another process has, as the store says; see `status`."""
        self._look_from_afar()
        return self._retries

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """Every transition so far."""
        stored: tuple[HistoryEntry, ...] | None = self._task.runtime.stored_history(self)
        if stored is not None:
            return stored
        runner_id = self._identity()[2] or ""
        steps = self.steps()[:]
        moments = told_in_order(step[1] for step in steps)
        return tuple(
            HistoryEntry(
                status=status, timestamp=timestamp, order=order, runner_id=runner_id, attempt=attempt, reason=reason
            )
            for order, ((status, _, attempt, reason), timestamp) in enumerate(zip(steps, moments, strict=True))
        )
