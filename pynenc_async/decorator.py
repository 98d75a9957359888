"""What the decorators of an app are to type checkers, said once: a function goes in, a task with its signature comes out."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, final, overload

from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.task import Task

Params = ParamSpec("Params")
Result = TypeVar("Result")

Promise: TypeAlias = Coroutine[Any, Any, Result] | AsyncIterator[Result] | DistributedInvocation[..., Result]
"""What a call gives whose result is still to come: of an `async def`, of an async generator, and of what is a task already."""


@final
class TaskDecorator:
    """What `@app.task(...)`, `@app.cron(...)` and `@app.every(...)` return: it takes one function, or one task."""

    def __init__(self, decorate: Callable[[Any], Task[Any, Any]]) -> None:
        self._decorate: Final = decorate

    @overload
    def __call__(self, func: Callable[Params, Promise[Result]], /) -> Task[Params, Result]: ...
    @overload
    def __call__(self, func: Callable[Params, Result], /) -> Task[Params, Result]: ...

    def __call__(self, func: Any, /) -> Any:
        """Return the task."""
        return self._decorate(func)
