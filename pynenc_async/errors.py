"""Every error of the package. Constructors take data and write the message; the message names the field and the fix.

Constructors take something else than `args`, which is the message alone, so Python's own way to pickle and to copy an
exception (call the class with `args`) fails for most of them. `reduce_error` is the way of all errors here.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

from pynenc_async.pickling import reduce_exception
from pynenc_async.printable import printable, printable_lines


def reduce_error(error: BaseException) -> tuple[Any, ...]:
    """Be the `__reduce__` of an error: what is pickled or copied has its message, attributes, notes and cause."""
    return reduce_exception(error, stand_in=RemoteError)


USER_CODE_RAISES: Final = (Exception, SystemExit, GeneratorExit)
"""What a property, an iterator or a `__post_init__` of a user may raise while a value is read or made: not a Ctrl-C."""


class PynencError(Exception):
    """Base of all errors raised by pynenc_async. They can be pickled and copied, and so sent to other processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_error(self)

    def __str__(self) -> str:
        """Return the message, with what a terminal would obey spelled out: much of it may come from strangers."""
        return printable_lines(super().__str__())


class TaskDefinitionError(PynencError):
    """Raised by `@app.task` when a function cannot become a task: wrong kind, duplicate name, nested where it cannot work."""

    def __init__(self, task_id: str, problem: str, fix: str) -> None:
        super().__init__(f"task {task_id}: {problem}; {fix}")
        self.task_id = task_id


class InvalidTaskOptionsError(PynencError):
    """Raised by `@app.task(...)`, `@app.cron(...)`, `with_options`, `Pynenc(...)` for an unknown or mistyped option."""

    def __init__(self, owner: str, option: str, problem: str) -> None:
        super().__init__(f"{owner}: option {option!r} {problem}")
        self.owner = owner
        self.option = option
        self.problem = problem


class TriggerDefinitionError(PynencError):
    """Raised by `app.on(...)` for what cannot be a trigger: a name in use, a task of another app, arguments that do not fit."""

    def __init__(self, trigger: str, problem: str, fix: str) -> None:
        super().__init__(f"trigger {trigger!r}: {problem}; {fix}")
        self.trigger = trigger


class ConfigurationError(PynencError):
    """Raised by `Pynenc(...)` when a configuration file cannot be read, or has another form than it should."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"configuration file {source}: {problem}")
        self.source = source
        self.problem = problem


class AppNotStartedError(PynencError):
    """Raised by a call when no event loop can run it: the app was never started, or has been shut down.

    Raised, too, by whatever uses an app in another event loop than its own, where it would wait for ever: it names that loop.
    """


class InvocationError(PynencError):
    """Base of the errors that concern one invocation."""

    def __init__(self, invocation_id: str, message: str) -> None:
        super().__init__(message)
        self.invocation_id = invocation_id


class InvocationNotFoundError(InvocationError):
    """Raised by `app.get_invocation` and by awaiting a restored handle whose id this app does not know."""

    def __init__(self, invocation_id: str) -> None:
        super().__init__(
            invocation_id,
            f"no invocation {invocation_id!r} in this app: it was never submitted here, or retention has dropped it",
        )


class InvocationNotFinalError(InvocationError):
    """Raised by `.result` and `.exception()` when the invocation has not ended and blocking is impossible."""


class InvocationCancelledError(InvocationError):
    """Raised in the waiters of a cancelled invocation. A bare `CancelledError` always means that the waiter was cancelled."""

    def __init__(self, invocation_id: str, reason: str = "") -> None:
        why = f": {printable(reason)}" if reason else ""
        super().__init__(invocation_id, f"invocation {invocation_id} was cancelled{why}")
        self.reason = reason


class InvocationTimeoutError(InvocationError, TimeoutError):
    """Raised when an invocation, or a blocking read of its result, takes longer than allowed."""


class InvocationExpiredError(InvocationError):
    """Raised in the waiters of an invocation that waited longer than it was allowed to before it could start."""


class InvocationStatusError(PynencError):
    """Raised for a forbidden transition, and for a write by a runner that does not own the invocation. Nothing changes."""


class CycleDetectedError(PynencError):
    """Raised by a call that repeats a living ancestor's call, and by an await that would close a ring of waiters."""

    def __init__(self, kind: str, path: Sequence[str]) -> None:
        super().__init__(
            f"{kind}: {' -> '.join(path)}; break the cycle, or switch the check off with @app.task(detect_cycles=False)"
        )
        self.path = tuple(path)


class ConcurrencyLimitError(InvocationError):
    """Raised in the waiters of an invocation that a concurrency limit dropped; the message names the rule."""


class QueueFullError(PynencError):
    """Raised by a call when as many invocations wait as the app allows."""


class RetryError(PynencError):
    """Raise it in a task to be run again, at the earliest `after` seconds from now, while `max_retries` allows."""

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message or "retry requested")
        self.after = None if after is None else after + 0.0  # raises TypeError here for what is no number
        if self.after is not None and not isfinite(self.after):
            raise ValueError(f"after={after!r} is no number of seconds; leave it out for the delay of the task")


class MiddlewareError(PynencError):
    """Raised by `@app.middleware` for what cannot be one, and by a second `call_next()`."""

    def __init__(self, name: str, problem: str, fix: str) -> None:
        super().__init__(f"middleware {name}: {problem}; {fix}")
        self.name = name


class RefusedError(PynencError):
    """Raise it in a middleware to refuse an invocation, which then fails with it and is not retried."""


class ResourceError(PynencError):
    """Raised by `@app.resource` for what cannot be one, and in bodies whose resource can no longer be opened."""

    def __init__(self, name: str, problem: str, fix: str) -> None:
        super().__init__(f"resource {name}: {problem}; {fix}")
        self.name = name


class DirectCallError(PynencError):
    """Raised inside an event loop by what would block it: `blocking_submit`, and a call of a `def` of `@app.direct_task`."""

    def __init__(self, task_id: str, instead: str | None = None) -> None:
        """Take the task, and what to do instead; None: what is to be done in place of a direct call."""
        super().__init__(
            f"direct task {task_id} would block the event loop until its value is there; "
            f"use `await asyncio.to_thread(...)`, or `await app.get_task({task_id!r})(...)`, or make it async def"
            if instead is None
            else f"task {task_id} would block the event loop; use `{instead}` there"
        )
        self.task_id = task_id


class NotInWorkflowError(PynencError):
    """Raised by the functions of `pynenc_async.workflow` when no body of a workflow runs here."""

    def __init__(self, asked: str, task_id: str | None) -> None:
        where = "outside of a running body" if task_id is None else f"in task {task_id}, which is no workflow"
        super().__init__(f"workflow.{asked}() was called {where}; call it in the body of an @app.task(workflow=True)")
        self.task_id = task_id


class WorkflowNondeterminismError(PynencError):
    """Raised in a workflow whose body asks for something else than in an earlier attempt. Never retried."""

    def __init__(self, task_id: str, index: int, *, recorded: str, asked: str) -> None:
        super().__init__(
            f"workflow {task_id} asked for {asked} as its request number {index}, where an earlier attempt asked for "
            f"{recorded}; what differs between attempts must come from pynenc_async.workflow or from a child"
        )
        self.task_id = task_id
        self.index = index
        self.recorded = recorded
        self.asked = asked


class SerializationError(PynencError):
    """Raised when a value cannot be encoded, or a payload cannot be decoded; `field` says where."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class StreamTruncatedError(InvocationError):
    """Raised by `stream()` when items are not to be had: no longer in the bounded buffer, or in another process."""


class RemoteError(PynencError):
    """Stands for an exception whose class is not known here; carries what was written down about it."""

    def __init__(self, type_name: str, message: str, traceback: str = "") -> None:
        super().__init__(f"{type_name}: {message}")
        self.type_name = type_name
        self.message = message
        self.traceback = traceback


class WorkerCrashedError(PynencError):
    """Raised in the waiters of an invocation whose worker process, or runner, died in its body.

    Raised, too, where the system refuses the thread or the worker process that its body needs; `__cause__` says why.

    `exit_code` as far as it is known, or below 0 with the `signal_name` of what killed it. `crashes` counts those of this
    invocation so far: at `max_crashes` it is not tried again.
    """

    def __init__(
        self,
        problem: str,
        *,
        task_id: str = "",
        exit_code: int | None = None,
        signal_name: str | None = None,
        crashes: int = 1,
    ) -> None:
        super().__init__(problem)
        self.task_id = task_id
        self.exit_code = exit_code
        self.signal_name = signal_name
        self.crashes = crashes


class StoreError(PynencError):
    """Raised when the store cannot do what was asked: unreachable, corrupt, full, or of another version.

    `temporary` says that the same may work later without anybody's help but room or patience: a full disk, a lock.
    """

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary
