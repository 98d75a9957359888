"""A task: a function registered in an app. Calling it submits an invocation."""

import logging
import sys
from asyncio.events import _get_running_loop
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from pickle import PicklingError, UnpicklingError
from typing import Any, Final, Generic, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, final

from pynenc_async.absent import OF_TASKS, explain_absent
from pynenc_async.arguments import Arguments
from pynenc_async.context import CURRENT
from pynenc_async.errors import DirectCallError, InvalidTaskOptionsError
from pynenc_async.function import Function, FunctionKind, Values
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.group import DistributedInvocationGroup
from pynenc_async.invocation.thread_submitting import Submission
from pynenc_async.invocation.thread_wait import ThreadWait
from pynenc_async.options import TaskOptions, TaskOptionsDict
from pynenc_async.printable import printable
from pynenc_async.scheduler.keys import bucket_key, line_key, permit_key
from pynenc_async.store.values import Fire

Params = ParamSpec("Params")
Result = TypeVar("Result")
TaskParams = tuple[Any, ...] | Mapping[str, Any] | Arguments
"""One element of `parallelize`."""


class TaskApp(Protocol):
    """What a task knows of its app."""

    @property
    def app_id(self) -> str:
        """The name of the app."""
        ...

    @property
    def runtime(self) -> Any:
        """What submits and groups invocations: in the loop, or synchronously."""
        ...


@final
@explain_absent(OF_TASKS)
class Task(Generic[Params, Result]):
    """Made by `@app.task`; `await task(...)` is typed like the function."""

    def __init__(self, app: TaskApp, function: Function, options: TaskOptions) -> None:
        self.app: Final[Any] = app
        self.function: Final = function
        self.options: TaskOptions = options
        self.task_id: Final = function.task_id
        self.fire: Fire | None = None
        """The moment of a schedule for which this use of the task runs."""
        self.fires_alone = False
        """Whether no other run of that schedule may live then, in any process."""
        self.func: Final = cast("Callable[Params, Any]", function.func)
        """The function as it was written."""
        self.runtime: Final[Any] = app.runtime
        self.place: Final[Any] = app.runtime.place_of(options, function)
        self.limiter: Final[Any] = app.runtime.limiter_of(function.task_id, options)
        self.key_indexes: Final = _indexes(function, options.key_arguments)
        self.has_policies: Final = options.has_policies
        self.refuses_repetition: Final = options.detect_cycles and not options.is_for_later
        """Whether a call that repeats one of a living ancestor is refused: not where it outlives that one,"""
        self.permit_key: Final = permit_key(options, self.key_indexes)
        self.bucket_key: Final = bucket_key(options, self.key_indexes)
        kind = 0 if self.limiter is None else self.limiter.kind_of(options)
        self.line_key: Final = line_key(options, self.key_indexes, kind)
        self._arity: Final = function.arity
        self._bind: Final = function.bind
        self.queue: Callable[[Any], None]
        """What takes in an invocation; replaced when the watch of the task changes."""
        app.runtime.enrol(self)
        self.submit_values: Final[Callable[[Any, Values], Any]] = app.runtime.submitter_of(options, function)
        self.refuse: Final[Callable[[Values], None] | None] = app.runtime.refusal_of(options, function)
        """Raises for arguments that would be encoded and not come back as they are; None where none are encoded."""
        self.__name__ = function.qualname.rpartition(".")[2]
        self.__qualname__ = function.qualname
        self.__module__ = function.module
        self.__doc__ = function.func.__doc__
        self.__wrapped__ = function.func

    def __call__(self, /, *args: Params.args, **kwargs: Params.kwargs) -> DistributedInvocation[Params, Result]:
        """Submit an invocation and return it at once. Wrong arguments raise `TypeError`, like the function itself.

        With `sync://` it is a `SynchronousInvocation`.
        """
        if kwargs or len(args) != self._arity:
            args = self._bind(*args, **kwargs)  # type: ignore[assignment]  # values, one per parameter
        return self.submit_values(self, args)  # type: ignore[no-any-return]

    async def submit(self, /, *args: Params.args, **kwargs: Params.kwargs) -> DistributedInvocation[Params, Result]:
        """Wait for room where the app has `max_queued`, submit, and return the invocation once the store holds it durably.

        In memory that is at once. Wrong arguments raise `TypeError` before any waiting.
        """
        self._bind(*args, **kwargs)
        await self.runtime.wait_for_room()
        return await self(*args, **kwargs).accepted()

    def blocking_submit(self, /, *args: Params.args, **kwargs: Params.kwargs) -> DistributedInvocation[Params, Result]:
        """Like `submit`, for a thread that may block, as that of a `def` endpoint; its slot is free meanwhile.

        Returns:
            The invocation, once the store holds it durably; in memory, once there is room.

        Raises:
            TypeError: Wrong arguments; nothing was submitted.
            AppNotStartedError: The app has no running loop.
            DirectCallError: An event loop runs in this thread: `await task.submit(...)` there.

        """
        self._bind(*args, **kwargs)
        if self.app.is_synchronous:
            return self(*args, **kwargs)
        if _get_running_loop() is not None:
            raise DirectCallError(self.task_id, "await task.submit(...)")
        submission = Submission(self.runtime, self.task_id, lambda: self.submit(*args, **kwargs))
        ThreadWait(submission, self.runtime.require_loop(None)).block()
        return submission.invocation()  # type: ignore[no-any-return]

    def queued_by(self, queue: Callable[[Any], None]) -> Self:
        """Return the same task for one use, whose invocation `queue` takes in at once, whatever its delay."""
        use = copy(self)
        use.options = self._undelayed
        use.queue = self.runtime.watches.watched(self.task_id, queue)
        return use

    @cached_property
    def _undelayed(self) -> TaskOptions:
        return replace(self.options, delay=0.0, at=None)

    def for_fire(self, fire: Fire, *, alone: bool) -> Self:
        """Return the same task for one use, which a schedule makes of it."""
        use = copy(self)
        use.fire, use.fires_alone = fire, alone
        return use

    def key_values(self, values: Values) -> Values:
        """Return the values of the key arguments."""
        return tuple([values[index] for index in self.key_indexes])

    def args(self, /, *args: Params.args, **kwargs: Params.kwargs) -> Arguments:
        """Bind arguments for `parallelize`; raises `TypeError` like a call."""
        return Arguments(self.function, self._bind(*args, **kwargs))

    def parallelize(
        self, params: Iterable[TaskParams] | AsyncIterable[TaskParams], *, window: int | None = None
    ) -> DistributedInvocationGroup[Params, Result]:
        """Submit an invocation for each element: a tuple, a dict or `task.args(...)`.

        A sized collection is submitted at once. Any other source is read as its group is read: at most `window` members
        (1,000 unless given) are submitted and not yet read, so an endless source is fine.
        """
        group: DistributedInvocationGroup[Params, Result] = self.runtime.group(self, params, window)
        return group

    def with_options(self, **options: Unpack[TaskOptionsDict]) -> "Task[Params, Result]":
        """Return the same task with other options for this use. Raises `InvalidTaskOptionsError`."""
        owner = f"task {self.task_id}"
        changed = self.options.replaced(owner, dict(options))
        refuse_for_function(owner, self.function, options)
        return Task(self.app, self.function, changed)

    def with_options_of_before(self, options: Mapping[str, Any]) -> "Task[Params, Result]":
        """Return the same task with what `with_options` has said in another process, of this release or another one.

        An option that has no effect any more, because the task itself has changed, is no reason to refuse the call.
        """
        return Task(self.app, self.function, self.options.changed(f"task {self.task_id}", options))

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as the name by which another process finds the task, and what `with_options` has said."""
        module, qualname = self.function.module, self.function.qualname
        found = _task_called(module, qualname)
        if found is None or found.app is not self.app:
            raise PicklingError(
                f"task {self.task_id} cannot be pickled: it is not what {module} has as {qualname}, by which it would be found"
                f" again; define it at the level of a module, under the name of its function"
            )
        return _unpickle, (module, qualname, self.options.different_from(found.options))

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # whatever refers to a task is copied without its app

    @cached_property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry `task_id` and, in a body, `invocation_id`."""
        return _TaskLogger(logging.getLogger(f"pynenc_async.task.{self.task_id}"), {"task_id": self.task_id})

    def __repr__(self) -> str:
        return f"<Task {self.task_id}>"


def refuse_for_function(owner: str, function: Function, names: Collection[str]) -> None:
    """Raise `InvalidTaskOptionsError` for an option among `names` that has no effect on a function of this kind."""
    if "stream_buffer" in names and function.kind is not FunctionKind.STREAM:
        raise InvalidTaskOptionsError(owner, "stream_buffer", "has no effect on what is no async generator")


def _task_called(module_name: str, qualname: str) -> Task[Any, Any] | None:
    """Return the task that a loaded module has under a name, be it a direct task."""
    found: Any = sys.modules.get(module_name)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    for one in (found, getattr(found, "task", None)):
        is_task = isinstance(one, Task)
        if is_task:
            return cast("Task[Any, Any]", one)
    return None


def _unpickle(module_name: str, qualname: str, options: Mapping[str, Any]) -> Task[Any, Any]:
    if module_name not in sys.modules:
        import_module(module_name)
    found = _task_called(module_name, qualname)
    if found is None:
        raise UnpicklingError(f"{module_name} has no task as {qualname} here, as it had where the task was pickled")
    return found.with_options_of_before(options) if options else found


def _indexes(function: Function, names: tuple[str, ...]) -> tuple[int, ...]:
    unknown = [name for name in names if name not in function.names]
    if unknown:
        raise InvalidTaskOptionsError(
            f"task {function.task_id}",
            "key_arguments",
            f"names {unknown[0]!r}, which is no parameter; there are {', '.join(function.names) or 'none'}",
        )
    return tuple(function.names.index(name) for name in names)


class _TaskLogger(logging.LoggerAdapter[logging.Logger]):
    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        current = CURRENT.get()
        ids = {"task_id": (self.extra or {})["task_id"]}
        if current is not None:
            ids["invocation_id"] = current.invocation_id
            msg = f"[{printable(current.invocation_id)}] {msg}"
        return msg, {**kwargs, "extra": {**kwargs.get("extra", {}), **ids}}
