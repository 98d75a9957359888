"""The app: reads the URL, wires the parts, owns their life."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Final, ParamSpec, Self, TypeVar, Unpack, cast, final, overload

import anyio

from pynenc_async.configuration.app_options import (
    DEFAULT_AGEING_SECONDS,
    DEFAULT_DRAIN_SECONDS,
    DEFAULT_MAX_CONCURRENCY,
    DEFAULT_RETAIN_COUNT,
    DEFAULT_RETAIN_SECONDS,
    DEFAULT_STORE_RETAIN_SECONDS,
    DEFAULT_WATCHDOG_SECONDS,
    DEFAULT_WINDOW,
)
from pynenc_async.configuration.configuration import Configuration
from pynenc_async.configuration.environment import is_forced_to_sync
from pynenc_async.configuration.explain import explain
from pynenc_async.direct import direct
from pynenc_async.errors import InvocationNotFoundError, PynencError
from pynenc_async.execution.app_resources import AppResources
from pynenc_async.invocation.counting import statistics_of
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.finding import InvocationPage, as_query
from pynenc_async.lifecycle import Shutdown
from pynenc_async.options import TaskOptionsDict
from pynenc_async.resource import Resource, ResourceDecorator, ResourceScope, ScopeName
from pynenc_async.runtimes import dispatcher_for
from pynenc_async.scheduler.observers import Observation, Observer
from pynenc_async.schedules.clockwork import Clockwork
from pynenc_async.schedules.declaring import ScheduleDecorator, at_cron, at_interval
from pynenc_async.schedules.schedule import Schedule
from pynenc_async.schedules.specs import ScheduleOptionsDict
from pynenc_async.signals import run_interruptible
from pynenc_async.statistics import AppStatistics
from pynenc_async.status import InvocationStatus
from pynenc_async.store.base import Store
from pynenc_async.surroundings import AnyMiddleware, Selection, Surroundings
from pynenc_async.task import Task
from pynenc_async.task_registry import TaskDecorator, TaskRegistry
from pynenc_async.triggers.conditions import Condition
from pynenc_async.triggers.declaring import TriggerDecorator
from pynenc_async.triggers.firing import LoopStage
from pynenc_async.triggers.inline import inline_stage
from pynenc_async.triggers.options import TriggerOptions, TriggerOptionsDict
from pynenc_async.triggers.trigger import Trigger
from pynenc_async.triggers.triggers import Triggers

Params = ParamSpec("Params")
Result = TypeVar("Result")
Made = TypeVar("Made")
Func = TypeVar("Func", bound=Callable[..., Any])


@final
class Pynenc:
    """An invocation runtime inside one process.

    `url`: `memory://` runs on the event loop; `sqlite:///jobs.db` does so too, and keeps everything in that file, which
    processes of one host may share; `sync://` runs inline when a result is read (tests and scripts only).
    `max_concurrency`: how many bodies run at once, None for no limit. `max_threads`: how many of them in threads.
    `max_processes`: how many in worker processes; None: as many as there are processors.
    `retain_count`, `retain_seconds`: for how long ended invocations can be found by id.
    `drain_seconds`: how long `async with` waits for running work when it is left, before it cancels the rest.
    `ageing_seconds`: a priority level gains one for each such span that its oldest entry has waited; None: never.
    `max_queued`: how many invocations may wait; one more raises `QueueFullError`, or waits in `await task.submit(...)`.
    `store`: makes the store in which invocations live, once for each start, in place of what the URL names.
    `store_window`: how many of those that wait are kept in memory as well. `lease_seconds`: after how long of silence a
    process is held to be dead, and others take over.
    `watchdog_seconds`: after how long a body that blocks the event loop is named in the log, with its stack; None: never.
    `task_defaults`: options of all its tasks, where nothing more specific is said.
    `config`: a TOML or YAML file. It and the environment go before these arguments: see `pynenc_async.configuration`.

    Raises `InvalidTaskOptionsError` for a wrong option, `ConfigurationError` for a file that cannot be used.
    """

    def __init__(
        self,
        url: str = "memory://",
        *,
        app_id: str | None = None,
        max_concurrency: int | None = DEFAULT_MAX_CONCURRENCY,
        max_threads: int | None = None,
        max_processes: int | None = None,
        retain_count: int = DEFAULT_RETAIN_COUNT,
        retain_seconds: float = DEFAULT_RETAIN_SECONDS,
        drain_seconds: float = DEFAULT_DRAIN_SECONDS,
        ageing_seconds: float | None = DEFAULT_AGEING_SECONDS,
        max_queued: int | None = None,
        store: Callable[[], Store] | None = None,
        store_window: int = DEFAULT_WINDOW,
        store_retain_seconds: float | None = DEFAULT_STORE_RETAIN_SECONDS,
        store_retain_count: int | None = None,
        store_retain_bytes: int | None = None,
        lease_seconds: float | None = None,
        watchdog_seconds: float | None = DEFAULT_WATCHDOG_SECONDS,
        task_defaults: TaskOptionsDict | None = None,
        config: str | os.PathLike[str] | None = None,
    ) -> None:
        self._configuration: Final = Configuration(config=config, environment=os.environ, task_defaults=task_defaults)
        self._app_options: Final = self._configuration.app_options(
            {
                "url": url,
                "app_id": app_id,
                "max_concurrency": max_concurrency,
                "max_threads": max_threads,
                "max_processes": max_processes,
                "retain_count": retain_count,
                "retain_seconds": retain_seconds,
                "drain_seconds": drain_seconds,
                "ageing_seconds": ageing_seconds,
                "max_queued": max_queued,
                "store_window": store_window,
                "store_retain_seconds": store_retain_seconds,
                "store_retain_count": store_retain_count,
                "store_retain_bytes": store_retain_bytes,
                "lease_seconds": lease_seconds,
                "watchdog_seconds": watchdog_seconds,
            }
        )
        options = self._app_options.options
        self.url: Final = options.url
        self.app_id: Final = "pynenc" if options.app_id is None else options.app_id
        self._drain_seconds: Final = options.drain_seconds
        self.is_synchronous: Final = self.url.startswith("sync:") or is_forced_to_sync(os.environ)
        resources = AppResources()
        self._surroundings: Final = Surroundings(owner=self, resources=None if self.is_synchronous else resources)
        self._registry: Final = TaskRegistry(self, self._configuration.task_options, self._surroundings.surround)
        self._dispatcher: Final = dispatcher_for(f"app {self.app_id!r}", options, self._registry.tasks, store)
        self._clockwork: Final = Clockwork(self._dispatcher)
        self._shutdown: Final = Shutdown(self._dispatcher, resources, self._clockwork.stop)
        stage = (
            inline_stage(self._dispatcher, options.retain_count) if self.is_synchronous else LoopStage(self._dispatcher)
        )
        self.runtime: Final[Any] = stage.runtime
        self._triggers: Final = Triggers(stage)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    @overload
    def task(self, func: Task[Params, Result], /) -> Task[Params, Result]: ...
    @overload
    def task(self, func: Callable[Params, AsyncGenerator[Result, Any]], /) -> Task[Params, Result]: ...
    @overload
    def task(self, func: Callable[Params, AsyncIterator[Result]], /) -> Task[Params, Result]: ...
    @overload
    def task(self, func: Callable[Params, Coroutine[Any, Any, Result]], /) -> Task[Params, Result]: ...
    @overload
    def task(self, func: Callable[Params, Result], /) -> Task[Params, Result]: ...
    @overload
    def task(self, /, **options: Unpack[TaskOptionsDict]) -> TaskDecorator: ...

    def task(self, func: Any = None, /, **options: Any) -> Any:
        """Register a function as a task; works bare and with options, which `TaskOptions` describes.

        Raises `TaskDefinitionError` for what cannot be a task, `InvalidTaskOptionsError` for unknown or wrong options.
        """
        if func is None:
            return TaskDecorator(self._registry, options)
        return self._registry.register(func, options)

    @overload
    def direct_task(self, func: Func, /) -> Func: ...
    @overload
    def direct_task(self, /, **options: Unpack[TaskOptionsDict]) -> Callable[[Func], Func]: ...

    def direct_task(self, func: Any = None, /, **options: Any) -> Any:
        """Like `task`, but the calls of the function give the value itself, as before: see `pynenc_async.direct`.

        A `def` blocks its caller, so inside of an event loop it raises `DirectCallError`. With `sync://` it runs inline.
        """

        def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
            return direct(self._registry.register(func, options))

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
    def resource(self, factory: Callable[..., AsyncIterator[Made]], /) -> Resource[Made]: ...
    @overload
    def resource(self, factory: Callable[..., AbstractAsyncContextManager[Made]], /) -> Resource[Made]: ...
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
        """Return a registered task; raises `KeyError`."""
        return self._registry.tasks[task_id]

    def explain_options(self) -> str:
        """Return a table of every option of the app and its tasks: its value, its default, and where the value was found.

        It ends with the settings that belong to no task of this app.
        """
        unused = self._configuration.without_task(self._registry.tasks)
        return explain(self._app_options, self._registry.options, unused, title=f"app {self.app_id!r}")

    # -- schedules -----------------------------------------------------------------------------------------------------

    def cron(
        self, expression: str, /, *, tz: str | tzinfo = "UTC", **options: Unpack[ScheduleOptionsDict]
    ) -> ScheduleDecorator:
        """Run a function or a task at the moments of a cron expression, in a time zone, while the app runs.

        `ScheduleOptions` has the options, `pynenc_async.schedules` says what they mean; those of `task` are accepted, too.
        Raises `InvalidTaskOptionsError`, and `ImportError` without the extra `cron`. With `sync://` nothing fires.
        """
        return at_cron(self._registry, self._clockwork, expression, tz, options)

    def every(self, interval: float | timedelta, /, **options: Unpack[ScheduleOptionsDict]) -> ScheduleDecorator:
        """Run a function or a task each `interval` (seconds, or a `timedelta`) while the app runs; otherwise like `cron`."""
        return at_interval(self._registry, self._clockwork, interval, options)

    @property
    def schedules(self) -> dict[str, Schedule]:
        """The schedules by name: when each fires next, and what pauses, resumes and removes it."""
        return dict(self._clockwork.schedules)

    # -- invocations ---------------------------------------------------------------------------------------------------

    def get_invocation(self, invocation_id: str) -> DistributedInvocation[Any, Any]:
        """Return a living or retained invocation; raises `InvocationNotFoundError`."""
        found = self.find_invocation(invocation_id)
        if found is None:
            raise InvocationNotFoundError(invocation_id)
        return found

    def find_invocation(self, invocation_id: str) -> DistributedInvocation[Any, Any] | None:
        """Return a living or retained invocation, or None."""
        return cast("DistributedInvocation[Any, Any] | None", self.runtime.find(invocation_id))

    def invocations(
        self, *, status: InvocationStatus | None = None, task: Task[Any, Any] | None = None
    ) -> list[DistributedInvocation[Any, Any]]:
        """Return the living and retained invocations, oldest first, of one status or task where given."""
        return [
            one
            for one in self._all()
            if (status is None or one.status is status) and (task is None or one.task.task_id == task.task_id)
        ]

    async def find(
        self,
        *,
        status: InvocationStatus | Iterable[InvocationStatus] | None = None,
        task: Task[Any, Any] | None = None,
        parent: str | None = None,
        text: str = "",
        registered: tuple[datetime | None, datetime | None] = (None, None),
        ended: tuple[datetime | None, datetime | None] = (None, None),
        newest_first: bool = True,
        limit: int = 100,
        after: str | None = None,
    ) -> InvocationPage:
        """Return a page of the invocations that fit all that is given: those in memory, or all that the store has.

        `registered`, `ended`: from the first moment (included) to the second. `text`: occurs in the task id, the arguments,
        the result or the error. `after`: `next` of the page before.
        """
        query = as_query(
            status, task, parent, text, registered, ended, newest_first=newest_first, limit=limit, after=after
        )
        return await self._dispatcher.find_page(query)

    def _all(self) -> Iterator[DistributedInvocation[Any, Any]]:
        return cast("Iterator[DistributedInvocation[Any, Any]]", self.runtime.all())

    def statistics(self) -> AppStatistics:
        """Say where the app stands."""
        return statistics_of(self._dispatcher, self._all())

    def observe(self, callback: Observer) -> Observation:
        """Tell `callback` of every transition of the invocations that are submitted from now on, until it is closed.

        It is called in the app's loop, in order, soon after the transition. It may submit and cancel. One that raises is
        logged, and told nothing more. Raises `PynencError` with `sync://`, where no loop could call it.
        """
        if self.is_synchronous:
            raise PynencError("a synchronous app has no loop in which observers are called; use 'memory://' to observe")
        return self._dispatcher.observers.add(callback)

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

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """Write a copy of the store to the file `target`, while everything goes on. Raises `StoreError`.

        Raises `PynencError` for an app in memory.
        """
        await self._dispatcher.backup(os.fspath(target))

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Admit calls, run them in the running loop, and let schedules fire. In memory the first call admits calls, too."""
        if not self.is_synchronous:
            self._shutdown.begin()
            await self._dispatcher.start(asyncio.get_running_loop())
            self._clockwork.start(await self._dispatcher.last_fires())

    async def drain(self, seconds: float | None = None) -> bool:
        """Admit no more calls but those of running bodies, and wait for what is under way; cancel nothing.

        Returns whether all of it has ended within `seconds` (None: no limit). `start()` admits calls again. Raises
        `InvocationError` in a body of this app, for which it would wait.
        """
        return self.is_synchronous or await self._shutdown.drain(seconds)

    async def shutdown(self, drain_seconds: float | None = None) -> None:
        """Admit no more calls, wait for what is under way, cancel what takes longer. May be called more than once.

        Calls made by running bodies are still admitted. The work that ignores its cancellation is reported in the log.
        """
        if self.is_synchronous:
            return
        seconds = self._drain_seconds if drain_seconds is None else drain_seconds
        with anyio.CancelScope(shield=True):
            await self._shutdown.stop(seconds)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.shutdown()

    @asynccontextmanager
    async def lifespan(self, _web_app: object = None) -> AsyncGenerator[None]:
        """The app's life as an ASGI lifespan: `FastAPI(lifespan=app.lifespan)`."""
        async with self:
            yield

    def run(self, main: Callable[[], Awaitable[Result]] | Coroutine[Any, Any, Result]) -> Result:
        """Run `main`, an async function or a coroutine, in a new event loop with this app; on uvloop where installed.

        SIGINT and SIGTERM cancel `main`; then the app is shut down, which takes no longer than its drain and grace. If
        `main` ended by that, `KeyboardInterrupt` or `SystemExit(143)` is raised. A second signal stops it at once.
        """
        return run_interruptible(self, main, self._shutdown.hurry)

    def __repr__(self) -> str:
        return f"<Pynenc {self.app_id!r} at {self.url}, {len(self._registry.tasks)} tasks>"
