"""The app as a whole: how it is configured, and its life."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeVar, final

import anyio

from pynenc_async.app.defining import Defining
from pynenc_async.configuration.app_options import (
    APP_RULES,
    DEFAULT_AGEING_SECONDS,
    DEFAULT_DRAIN_SECONDS,
    DEFAULT_MAX_CONCURRENCY,
    DEFAULT_RETAIN_BYTES,
    DEFAULT_RETAIN_COUNT,
    DEFAULT_RETAIN_SECONDS,
    DEFAULT_STORE_RETAIN_SECONDS,
    DEFAULT_WATCHDOG_SECONDS,
    DEFAULT_WINDOW,
    refusing_unknown_options,
)
from pynenc_async.configuration.configuration import Configuration
from pynenc_async.option_docs import accepting
from pynenc_async.options import TaskOptionsDict
from pynenc_async.printable import printable
from pynenc_async.signals import run_interruptible
from pynenc_async.store.base import Store
from pynenc_async.telemetry import LogFailures, LogFailuresName, log

Result = TypeVar("Result")


@final
@accepting(APP_RULES)
class Pynenc(Defining):
    """An invocation runtime inside one process.

    Args:
        url: Where invocations live. `memory://`: in this process, on the event loop. `sqlite:///jobs.db`: in that file as
            well, which processes of one host may share. `sync://`: nowhere, they run inline, at the call (tests and
            scripts only).
        app_id: The name of the app, in its log and its `repr`. A store, be it a file, belongs to the app that
            used it first, and refuses one of another name: to share it, and all work in it, is to be one app. None:
            'pynenc'.
        max_concurrency: How many bodies run at once. None: any number.
        max_threads: How many of them run in threads. None: 4 more than there are processors, at most 32.
        max_processes: How many of them run in worker processes. None: as many as there are processors.
        retain_count: How many invocations that have ended can be found by id; in memory, with their results.
        retain_seconds: Seconds for which they can be found.
        retain_bytes: About how many bytes the results of those may have in memory. None: any number.
        drain_seconds: Seconds that `async with` waits for running work when it is left, before it cancels the rest.
        ageing_seconds: Seconds after each of which a level of priority gains one, for its oldest entry waits. None: never.
        max_queued: How many invocations may wait; one more raises `QueueFullError`, or waits in `await task.submit(...)`.
            None: any number.
        store: Makes the store in which invocations live, once for each start, in place of what the URL names.
        store_window: How many invocations that wait are kept in memory as well, where there is a store.
        store_retain_seconds: Seconds for which the store keeps what has ended. None: for ever.
        store_retain_count: How many invocations that have ended the store keeps. None: any number.
        store_retain_bytes: How many bytes of them the store keeps. None: any number.
        lease_seconds: Seconds of silence after which a process that shares the store is held to be dead, and others take over.
            None: what the URL says, or 10.
        watchdog_seconds: Seconds after which a body that blocks the event loop is named in the log, with its stack.
            None: never.
        log_failures: Which final failures are logged, at ERROR: "unseen", those that no awaiter in this process has taken
            within a second; "all"; "none". But for "none", retries are logged at INFO.
        task_defaults: Options of all its tasks, where nothing more specific is said.
        config: A TOML or YAML file. It and the environment go before these arguments: see `pynenc_async.configuration`.

    Raises:
        InvalidTaskOptionsError: An option is unknown, wrong, or has no effect.
        ConfigurationError: A file cannot be used.

    """

    @refusing_unknown_options
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
        retain_bytes: int | None = DEFAULT_RETAIN_BYTES,
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
        log_failures: LogFailures | LogFailuresName = LogFailures.UNSEEN,
        task_defaults: TaskOptionsDict | None = None,
        config: str | os.PathLike[str] | None = None,
    ) -> None:
        configuration = Configuration(config=config, environment=os.environ, task_defaults=task_defaults)
        app_options = configuration.app_options(
            {
                "url": url,
                "app_id": app_id,
                "max_concurrency": max_concurrency,
                "max_threads": max_threads,
                "max_processes": max_processes,
                "retain_count": retain_count,
                "retain_seconds": retain_seconds,
                "retain_bytes": retain_bytes,
                "drain_seconds": drain_seconds,
                "ageing_seconds": ageing_seconds,
                "max_queued": max_queued,
                "store_window": store_window,
                "store_retain_seconds": store_retain_seconds,
                "store_retain_count": store_retain_count,
                "store_retain_bytes": store_retain_bytes,
                "lease_seconds": lease_seconds,
                "watchdog_seconds": watchdog_seconds,
                "log_failures": log_failures,
            },
            has_store=store is not None,
        )
        super().__init__(configuration, app_options, store)
        self._drain_seconds: Final = app_options.options.drain_seconds

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Admit calls, run them in the running loop, and let schedules fire. In memory the first call admits calls, too."""
        if lost := self._configuration.without_task(self._registry.tasks):
            log.warning("app %r has no task for these settings, which have no effect: %s", self.app_id, "; ".join(lost))
        if not self.is_synchronous:
            await self._dispatcher.start(asyncio.get_running_loop())
            self._shutdown.begin()
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
        return run_interruptible(self, main, self._shutdown.interrupt, self._shutdown.hurry)

    def __repr__(self) -> str:
        return f"<Pynenc {self.app_id!r} at {printable(self.url)}, {len(self._registry.tasks)} tasks>"
