"""What `app.cron(...)` and `app.every(...)` do with a function or a task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from pynenc_async.arguments import Arguments
from pynenc_async.decorator import TaskDecorator
from pynenc_async.errors import TaskDefinitionError
from pynenc_async.function import Function, Values
from pynenc_async.naming import NAMING_RULES
from pynenc_async.schedules.clockwork import Clockwork
from pynenc_async.schedules.specs import INTERVAL, ScheduleOptions, ScheduleSpec, split_options
from pynenc_async.schedules.timetables import Interval, Timetable, read_cron
from pynenc_async.task import Task
from pynenc_async.task_registry import TaskRegistry


def at_cron(
    registry: TaskRegistry, clockwork: Clockwork, expression: object, tz: object, values: Mapping[str, Any]
) -> TaskDecorator:
    """Return the decorator for a cron expression; raise `InvalidTaskOptionsError`, and `ImportError` without cronsim."""
    owner = f"app.cron({expression!r})"
    options, task_options = split_options(owner, values)
    declaration = _Declaration(registry, clockwork, read_cron(owner, expression, tz), options, task_options)
    return TaskDecorator(declaration.schedule)


def at_interval(
    registry: TaskRegistry, clockwork: Clockwork, interval: float | timedelta, values: Mapping[str, Any]
) -> TaskDecorator:
    """Return the decorator for an interval; raise `InvalidTaskOptionsError`."""
    owner = f"app.every({interval!r})"
    options, task_options = split_options(owner, values)
    seconds = INTERVAL.check(owner, "interval", interval)
    anchor = 0.0 if options.start is None else options.start.timestamp()
    declaration = _Declaration(registry, clockwork, Interval(seconds, anchor), options, task_options)
    return TaskDecorator(declaration.schedule)


@dataclass(frozen=True, slots=True)
class _Declaration:
    """Gives a task a schedule, or makes a task of a function and gives it one."""

    registry: TaskRegistry
    clockwork: Clockwork
    timetable: Timetable
    options: ScheduleOptions
    task_options: dict[str, Any]

    def schedule(self, func: Any) -> Task[Any, Any]:
        """Return the task, which is called from now on while the app runs.

        Options of the task hold for the task that is made here or, if `func` is one already, for the runs of this schedule.
        Raises `TypeError` when the arguments do not fit, `InvalidTaskOptionsError` when the name is taken.
        """
        given = isinstance(func, Task)
        task: Task[Any, Any] = cast("Task[Any, Any]", func) if given else self._make_task(func)
        overrides = self.task_options if given else {}
        if not NAMING_RULES.keys().isdisjoint(overrides):
            raise TaskDefinitionError(
                task.task_id, "is a task already", "name it where it is made, by @app.task(name=)"
            )
        if overrides:
            task.runtime.check_use(task.with_options(**overrides))  # what is wrong with them is said now
        values = self._bind(task.function)
        spec = ScheduleSpec(
            name=self.options.name or self._name(task.task_id),
            earlier_names=() if self.options.name else tuple(map(self._name, task.function.ids[1:])),
            timetable=self.timetable,
            options=self.options,
        )

        def scheduled() -> Task[Any, Any]:
            current = self.registry.current(task)
            return current.with_options(**overrides) if overrides else current

        self.clockwork.add(spec, scheduled, values)
        return task

    def _name(self, task_id: str) -> str:
        return f"{task_id} {self.timetable.label}"

    def _make_task(self, func: Callable[..., Any]) -> Task[Any, Any]:
        wrapped = getattr(func, "task", None)
        if isinstance(wrapped, Task):
            raise TaskDefinitionError(wrapped.task_id, "is a direct task", "give its attribute `task` the schedule")
        return self.registry.imply(func, self.task_options)

    def _bind(self, function: Function) -> Values:
        args = self.options.args
        if isinstance(args, Arguments):
            return args.values_for(function)
        try:
            return function.bind(*args, **(self.options.kwargs or {}))
        except TypeError as error:
            raise TypeError(
                f"schedule of {function.task_id}: {error}; give arguments as args=(...), kwargs={{...}}"
            ) from None
