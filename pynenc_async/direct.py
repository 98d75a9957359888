"""Direct tasks: functions that look as they did before, and whose calls are invocations all the same.

A call gives the value, not a handle: `await f(1)` where the function is `async def`, `f(1)` where it is a `def`. So code
that knows nothing of invocations can call it. Who wants the handle uses `@app.task`.
"""

import functools
from asyncio.events import _get_running_loop
from collections.abc import Callable
from typing import Any, cast

from pynenc_async.errors import DirectCallError, TaskDefinitionError
from pynenc_async.function import FunctionKind
from pynenc_async.task import Task


def direct(task: Task[Any, Any]) -> Callable[..., Any]:
    """Return a function with the signature of the task's own, whose calls submit the task and give the value.

    It has the task as its attribute `task`. Raises `TaskDefinitionError` for an async generator.
    """
    kind = task.function.kind
    if kind is FunctionKind.STREAM:
        raise TaskDefinitionError(task.task_id, "gives items, not a value", "use @app.task, and read its stream()")
    call: Any = _awaited(task) if kind is FunctionKind.COROUTINE else _blocking(task)
    functools.update_wrapper(call, task.func)
    call.task = task
    return cast("Callable[..., Any]", call)


def _awaited(task: Task[Any, Any]) -> Any:
    synchronous = task.app.is_synchronous

    async def call(*args: Any, **kwargs: Any) -> Any:
        if not synchronous:
            task.runtime.admit_awaited()  # before it is submitted: nothing may run that cannot be awaited here
        return await task(*args, **kwargs)

    return call


def _blocking(task: Task[Any, Any]) -> Any:
    synchronous = task.app.is_synchronous

    def call(*args: Any, **kwargs: Any) -> Any:
        # Before it is submitted: nothing may run that fails here.
        if not synchronous and _get_running_loop() is not None:
            raise DirectCallError(task.task_id)
        return task(*args, **kwargs).result

    return call
