"""What a program defines in an app: tasks, what surrounds them, and what makes them run by themselves."""

from collections.abc import Callable
from datetime import timedelta, tzinfo
from functools import partial
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from pynenc_async.app.finding import Finding
from pynenc_async.configuration.explain import explain
from pynenc_async.decorator import Promise, TaskDecorator
from pynenc_async.direct import direct
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.naming import TaskDefinitionDict
from pynenc_async.resource import Factory, Resource, ResourceDecorator, ResourceScope, ScopeName
from pynenc_async.schedules.declaring import at_cron, at_interval
from pynenc_async.schedules.schedule import Schedule
from pynenc_async.schedules.specs import ScheduleOptionsDict
from pynenc_async.surroundings import AnyMiddleware, Selection
from pynenc_async.task import Task
from pynenc_async.triggers.conditions import Condition
from pynenc_async.triggers.declaring import TriggerDecorator
from pynenc_async.triggers.options import TriggerOptions, TriggerOptionsDict
from pynenc_async.triggers.trigger import Trigger

Params = ParamSpec("Params")
Result = TypeVar("Result")
Made = TypeVar("Made")
Func = TypeVar("Func", bound=Callable[..., Any])


class Defining(Finding):
    """Takes in definitions: each method is a decorator, or makes one."""

    # -- tasks ---------------------------------------------------------------------------------------------------------

    @overload
    def task(self, func: Callable[Params, Promise[Result]], /) -> Task[Params, Result]: ...
    @overload
    def task(self, func: Callable[Params, Result], /) -> Task[Params, Result]: ...
    @overload
    def task(self, /, **options: Unpack[TaskDefinitionDict]) -> TaskDecorator: ...

    def task(self, func: Any = None, /, **options: Any) -> Any:
        """Register a function as a task; works bare and with options, which `TaskOptions` describes.

        Args:
            func: A `def`, an `async def` or an async generator.
            **options: `name` is the id of the task, in place of the names of its module and function; `aliases` are ids
                that it had before, under which work may be stored; the others: see `TaskOptions`.

        Returns:
            The task, or a decorator that makes one.

        Raises:
            TaskDefinitionError: It cannot be a task, its name or alias belongs to another one, or an app with a store
                could not find it again, for it is defined in an interactive session and has no name.
            InvalidTaskOptionsError: An option is unknown or wrong.

        """
        decorator = TaskDecorator(partial(self._registry.register, options=options))
        return decorator if func is None else decorator(func)

    @overload
    def direct_task(self, func: Func, /) -> Func: ...
    @overload
    def direct_task(self, /, **options: Unpack[TaskDefinitionDict]) -> Callable[[Func], Func]: ...

    def direct_task(self, func: Any = None, /, **options: Any) -> Any:
        """Like `task`, but the calls of the function give the value itself, as before: see `pynenc_async.direct`.

        A `def` blocks its caller, so inside of an event loop it raises `DirectCallError`. With `sync://` it runs inline.
        """

        def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
            return direct(self._registry.register(func, options, binds=True))

        return decorate if func is None else decorate(func)

    @overload
    def middleware(self, func: AnyMiddleware, /) -> AnyMiddleware: ...
    @overload
    def middleware(
        self, /, *, tasks: Selection | None = None, required: bool = False
    ) -> Callable[[AnyMiddleware], AnyMiddleware]: ...

    def middleware(self, func: Any = None, /, *, tasks: Selection | None = None, required: bool = False) -> Any:
        """Run `async def name(invocation, call_next)` around every attempt of the bodies of `tasks` (None: of all).

        The first one is the outermost. What it may do, and when it is broken and disabled: `pynenc_async.execution.middleware`.
        One that is `required` is never disabled: whatever it raises fails the attempt. Raises `MiddlewareError`.
        """
        add = partial(self._surroundings.add, tasks=tasks, required=required)
        return add if func is None else add(func)

    @overload
    def resource(self, factory: Factory[Made], /) -> Resource[Made]: ...
    @overload
    def resource(self, /, *, scope: ScopeName = ...) -> ResourceDecorator: ...

    def resource(self, factory: Any = None, /, *, scope: ScopeName = ResourceScope.INVOCATION) -> Any:
        """Define what bodies are given for `parameter: Type = inject(resource)`: an `async def` with one `yield`.

        With the scope "invocation" it is opened for each attempt and closed after it, with "app" at its first use, and
        closed when the app is shut down. With `sync://` both mean the former. Raises `ResourceError`.
        """
        decorator = ResourceDecorator(self._surroundings.resource, ResourceScope(scope))
        return decorator if factory is None else decorator(factory)

    @property
    def tasks(self) -> dict[str, Task[Any, Any]]:
        """The registered tasks by `task_id`."""
        return dict(self._registry.tasks)

    def get_task(self, task_id: str) -> Task[Any, Any]:
        """Return a registered task, by its id or one that it had before; raises `KeyError`."""
        return self._registry.by_any_id[task_id]

    def explain_options(self) -> str:
        """Return a table of every option of the app and its tasks: its value, its default, and where the value was found.

        It ends with the settings that belong to no task of this app.
        """
        unused = self._configuration.without_task(self._registry.tasks)
        return explain(self._app_options, self._registry.options, unused, title=f"app {self.app_id!r}")

    # -- schedules -----------------------------------------------------------------------------------------------------

    def cron(
        self, expression: str, /, *, tz: str | tzinfo = "UTC", **options: Unpack[ScheduleOptionsDict]
    ) -> TaskDecorator:
        """Run a function or a task at the moments of a cron expression, in a time zone, while the app runs.

        `ScheduleOptions` has the options, `pynenc_async.schedules` says what they mean; those of `task` are accepted, too.
        Raises `InvalidTaskOptionsError`, and `ImportError` without the extra `cron`. With `sync://` nothing fires.
        """
        return at_cron(self._registry, self._clockwork, expression, tz, options)

    def every(self, interval: float | timedelta, /, **options: Unpack[ScheduleOptionsDict]) -> TaskDecorator:
        """Run a function or a task each `interval` (seconds, or a `timedelta`) while the app runs; otherwise like `cron`."""
        return at_interval(self._registry, self._clockwork, interval, options)

    @property
    def schedules(self) -> dict[str, Schedule]:
        """The schedules by name: when each fires next, and what pauses, resumes and removes it."""
        return dict(self._clockwork.schedules)

    # -- triggers ------------------------------------------------------------------------------------------------------

    def on(self, condition: Condition, /, **options: Unpack[TriggerOptionsDict]) -> TriggerDecorator:
        """Let a task run when `condition` is met: above `@app.task`, or `app.on(...)(task)`. See `pynenc_async.triggers`.

        Invocations count that are submitted from then on. `TriggerOptions` describes the options. Raises
        `InvalidTaskOptionsError` for wrong ones and, where a task is decorated, `TriggerDefinitionError`.
        """
        return TriggerDecorator(self._triggers.add, condition, TriggerOptions.build(options))

    @property
    def triggers(self) -> dict[str, Trigger]:
        """The triggers by name; `app.triggers[name].remove()` ends one."""
        return self._triggers.by_name

    def emit(self, event: str, payload: object = None) -> tuple[DistributedInvocation[Any, Any], ...]:
        """Fire, now, the triggers that wait for `emitted(event)`, and return what was fired. Callable in any thread.

        `payload` is any object. Raises `AppNotStartedError` where a call would.
        """
        return self._triggers.emit(event, payload)
