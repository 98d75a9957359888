"""What `app.cron(...)` and `app.every(...)` return."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, Final, ParamSpec, TypeVar, cast, final, overload

from pynenc_async.arguments import Arguments
from pynenc_async.errors import TaskDefinitionError
from pynenc_async.function import Function, Values
from pynenc_async.schedules.clockwork import Clockwork
from pynenc_async.schedules.specs import INTERVAL, ScheduleOptions, ScheduleSpec, split_options
from pynenc_async.schedules.timetables import Interval, Timetable, read_cron
from pynenc_async.task import Task
from pynenc_async.task_registry import TaskRegistry

Params = ParamSpec("Params")
Result = TypeVar("Result")


@final
class ScheduleDecorator:
    """Gives a task a schedule, or makes a task of a function and gives it one."""

    def __init__(
        self,
        registry: TaskRegistry,
        clockwork: Clockwork,
        timetable: Timetable,
        options: ScheduleOptions,
        task_options: dict[str, Any],
    ) -> None:
        self._registry: Final = registry
        self._clockwork: Final = clockwork
        self._timetable: Final = timetable
        self._options: Final = options
        self._task_options: Final = task_options

    @overload
    def __call__(self, func: Task[Params, Result], /) -> Task[Params, Result]: ...
    @overload
    def __call__(self, func: Callable[Params, AsyncGenerator[Result, Any]], /) -> Task[Params, Result]: ...
    @overload
    def __call__(self, func: Callable[Params, AsyncIterator[Result]], /) -> Task[Params, Result]: ...
    @overload
    def __call__(self, func: Callable[Params, Coroutine[Any, Any, Result]], /) -> Task[Params, Result]: ...
    @overload
    def __call__(self, func: Callable[Params, Result], /) -> Task[Params, Result]: ...

    def __call__(self, func: Any, /) -> Any:
        """Return the task, which is called from now on while the app runs.

        Options of the task hold for the task that is made here or, if `func` is one already, for the runs of this schedule.
        Raises `TypeError` when the arguments do not fit, `InvalidTaskOptionsError` when the name is taken.
        """
        given = isinstance(func, Task)
        task: Task[Any, Any] = cast("Task[Any, Any]", func) if given else self._make_task(func)
        overrides = self._task_options if given else {}
        if overrides:
            task.with_options(**overrides)  # what is wrong with them is said now
        values = self._bind(task.function)
        spec = ScheduleSpec(
            name=self._options.name or f"{task.task_id} {self._timetable.label}",
            timetable=self._timetable,
            options=self._options,
        )

        def scheduled() -> Task[Any, Any]:
            current = self._registry.current(task)
            return current.with_options(**overrides) if overrides else current

        self._clockwork.add(spec, scheduled, values)
        return task

    def _make_task(self, func: Callable[..., Any]) -> Task[Any, Any]:
        wrapped = getattr(func, "task", None)
        if isinstance(wrapped, Task):
            raise TaskDefinitionError(wrapped.task_id, "is a direct task", "give its attribute `task` the schedule")
        return self._registry.imply(func, self._task_options)

    def _bind(self, function: Function) -> Values:
        args = self._options.args
        if isinstance(args, Arguments):
            return args.values_for(function)
        try:
            return function.bind(*args, **(self._options.kwargs or {}))
        except TypeError as error:
            raise TypeError(
                f"schedule of {function.task_id}: {error}; give arguments as args=(...), kwargs={{...}}"
            ) from None


def at_cron(
    registry: TaskRegistry, clockwork: Clockwork, expression: object, tz: object, values: Mapping[str, Any]
) -> ScheduleDecorator:
    """Return the decorator for a cron expression; raise `InvalidTaskOptionsError`, and `ImportError` without cronsim."""
    owner = f"app.cron({expression!r})"
    options, task_options = split_options(owner, values)
    return ScheduleDecorator(registry, clockwork, read_cron(owner, expression, tz), options, task_options)


def at_interval(
    registry: TaskRegistry, clockwork: Clockwork, interval: float | timedelta, values: Mapping[str, Any]
) -> ScheduleDecorator:
    """Return the decorator for an interval; raise `InvalidTaskOptionsError`."""
    owner = f"app.every({interval!r})"
    options, task_options = split_options(owner, values)
    seconds = INTERVAL.check(owner, "interval", interval)
    anchor = 0.0 if options.start is None else options.start.timestamp()
    return ScheduleDecorator(registry, clockwork, Interval(seconds, anchor), options, task_options)
