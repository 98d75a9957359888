"""What `current_invocation()` is in a worker: the invocation as far as it is known there."""

from typing import Any, Final

from pynenc_async.arguments import Arguments
from pynenc_async.execution.processes.messages import Run
from pynenc_async.execution.processes.outbox import Outbox
from pynenc_async.execution.processes.stopping import Stopping
from pynenc_async.execution.progress import Progress
from pynenc_async.function import Function, Values
from pynenc_async.options import TaskOptions
from pynenc_async.status import InvocationStatus


class TaskAtWork:
    """A task as far as it is known in a worker."""

    def __init__(self, task_id: str, function: Function) -> None:
        self.task_id: Final = task_id
        self.function: Final = function
        self.options: Final = TaskOptions()
        """The options that hold are the app's business: what they ask for is done there."""
        self.place: Final = None
        self.runtime: Final = None
        """The app does not run here."""


class InvocationAtWork:
    """The invocation whose body runs here: who it is, what it was called with, whether it is to stop."""

    __slots__ = ("_ended_at", "_outbox", "_run", "_stopping", "_task", "_values")

    def __init__(self, run: Run, task: TaskAtWork, values: Values, outbox: Outbox, stopping: Stopping) -> None:
        self._run: Final = run
        self._task: Final[Any] = task
        self._values: Final = values
        self._outbox: Final = outbox
        self._stopping: Final = stopping
        self._ended_at = 0.0
        """To an app that a body starts here, it is nobody who could wait."""

    @property
    def invocation_id(self) -> str:
        """The id, as in the app."""
        return self._run.invocation_id

    @property
    def task(self) -> TaskAtWork:
        """The task, without its options."""
        return self._task  # type: ignore[no-any-return]

    @property
    def arguments(self) -> Arguments:
        """The arguments, as they were decoded."""
        return Arguments(self._task.function, self._values)

    @property
    def status(self) -> InvocationStatus:
        """It runs."""
        return InvocationStatus.RUNNING

    @property
    def num_retries(self) -> int:
        """How many attempts came before this one."""
        return self._run.attempt - 1

    @property
    def stop_requested(self) -> bool:
        """Whether the body was told to stop."""
        stopping = self._stopping
        if stopping.look is not None and not stopping.requested:
            stopping.look()
        return stopping.requested

    def take_progress(self, progress: Progress) -> None:
        """Show a report of the body to whoever watches in the app; callable in any thread."""
        self._outbox.report(self._run.ticket, progress)

    def __repr__(self) -> str:
        return f"<invocation {self.invocation_id} of {self._task.task_id}, in a worker>"
