"""Resources that live as long as the app on its loop.

**Theory of operation.** Each has a keeper: one asyncio Task that opens it, waits, and closes it, because much of what is
entered in a Task (cancel scopes, task groups) has to be left in the same one, and because no body that asks for it owns
it: it is opened once, whoever asks and whoever is cancelled meanwhile. One that fails to open fails all who wait for it
with the same error, and is tried again for the next who asks.
"""

import asyncio
from contextvars import Context
from typing import Any, Final

from pynenc_async.errors import ResourceError
from pynenc_async.forks import keep_for_parent, tell_of_forks
from pynenc_async.resource import Resource
from pynenc_async.telemetry import log
from pynenc_async.user_errors import is_a, put_traceback, traceback_of

CLOSE_SECONDS: Final = 5.0
"""How long the resources of an app may take to close, all together, before the shutdown goes on without them."""


class Keeper:
    """Holds one resource open."""

    def __init__(self, resource: Resource[Any], resources: "AppResources", loop: asyncio.AbstractEventLoop) -> None:
        self.resource: Final = resource
        self._resources: Final = resources
        self._loop: Final = loop
        self._opened: Final[asyncio.Future[None]] = loop.create_future()
        self._leave: Final = asyncio.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._traceback: Any = None
        # In a context of its own: what it submits is no child of the body that happened to ask first.
        task: Any = loop.create_task(self._keep(), context=Context())
        task._log_destroy_pending = False  # if the loop is closed first, it is reported by our name for it
        self.task: Final[asyncio.Task[None]] = task

    async def value(self) -> Any:
        """Return what the resource has yielded, as soon as it has; raise what opening has raised."""
        if not self._opened.done():
            await asyncio.wait([self._opened])  # a waiter that is cancelled leaves the others alone
        if self._error is None:
            return self._value
        try:
            put_traceback(self._error, self._traceback)  # without the frames of those who raised it before
            raise self._error
        finally:
            del self

    def leave(self) -> None:
        """Close it; if it is not open yet, give up."""
        if self._opened.done():
            self._leave.set()
        else:
            self.task.cancel()

    async def _keep(self) -> None:
        try:
            dependencies = {name: await self._resources.get(one) for name, one in self.resource.dependencies.items()}
            async with self.resource.open(**dependencies) as self._value:
                self._resources.note_open(self)
                self._opened.set_result(None)
                await self._leave.wait()
        except BaseException as error:  # noqa: BLE001  user code
            self._fail(error)
        finally:
            self._resources.forget(self)
            self._value = None

    def _fail(self, error: BaseException) -> None:
        if not self._opened.done():
            problem = "was cancelled while it opened", "the app or its event loop is being shut down"
            self._error = ResourceError(self.resource.name, *problem) if self._is_cancellation(error) else error
            self._traceback = traceback_of(error)
            self._opened.set_result(None)
        elif not self._is_cancellation(error):
            log.error("resource %s failed to close", self.resource.name, exc_info=error)

    def _is_cancellation(self, error: BaseException) -> bool:
        """Whether nobody but the loop is to blame; one that is gone closes its coroutines."""
        return is_a(error, asyncio.CancelledError) or (is_a(error, GeneratorExit) and not self._loop.is_running())


class AppResources:
    """What is open in one app."""

    def __init__(self) -> None:
        self._keepers: dict[Resource[Any], Keeper] = {}
        self._open: list[Keeper] = []
        """In the order in which they have opened."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        tell_of_forks(self)

    def note_fork(self) -> None:
        """In a child: what is open is the parent's, to be used and to be closed there."""
        keep_for_parent((self._keepers, self._open))
        self._loop, self._keepers, self._open = None, {}, []

    async def get(self, resource: Resource[Any]) -> Any:
        """Return what `resource` has yielded, opened now if need be; raise what opening raises."""
        keeper = self._keepers.get(resource)
        if keeper is None or self._loop is not asyncio.get_running_loop():
            keeper = self._start(resource)
        return await keeper.value()

    def _start(self, resource: Resource[Any]) -> Keeper:
        if self._is_closed:
            raise ResourceError(resource.name, "is closed, for its app was shut down", "start the app again")
        self._leave_loop()
        keeper = self._keepers[resource] = Keeper(resource, self, asyncio.get_running_loop())
        return keeper

    def _leave_loop(self) -> None:
        """What was opened in another loop is lost: it can be closed nowhere else."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            lost, self._loop, self._keepers, self._open = self._open, loop, {}, []
            for keeper in lost:
                log.error("resource %s was still open when its event loop was left for another", keeper.resource.name)

    def note_open(self, keeper: Keeper) -> None:
        """It is open now."""
        self._open.append(keeper)

    def forget(self, keeper: Keeper) -> None:
        """It is closed, or has never been open."""
        if self._keepers.get(keeper.resource) is keeper:
            del self._keepers[keeper.resource]
        if keeper in self._open:
            self._open.remove(keeper)

    def begin(self) -> None:
        """The app starts anew."""
        self._is_closed = False

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Close everything, what was opened last first; what takes longer than `seconds` is cancelled, and reported."""
        self._is_closed = True
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            return
        due = loop.time() + seconds
        opening = [keeper for keeper in self._keepers.values() if keeper not in self._open]
        for keeper in [*opening, *reversed(self._open)]:
            keeper.leave()
            await asyncio.wait([keeper.task], timeout=max(0.0, due - loop.time()))
            if not keeper.task.done():
                keeper.task.cancel()
                log.error("resource %s has not closed in time, and is cancelled", keeper.resource.name)
        self._keepers, self._open = {}, []
