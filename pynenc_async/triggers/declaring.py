"""What `app.on(...)` returns."""

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, final

from pynenc_async.task import Task
from pynenc_async.triggers.conditions import Condition
from pynenc_async.triggers.options import TriggerOptions

Params = ParamSpec("Params")
Result = TypeVar("Result")


@final
class TriggerDecorator:
    """Lets a task run when the condition is met: above `@app.task`, or called with a task."""

    def __init__(
        self,
        declare: Callable[[Task[..., Any], Condition, TriggerOptions], object],
        condition: Condition,
        options: TriggerOptions,
    ) -> None:
        if not isinstance(condition, Condition):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need no checker
            raise TypeError(f"app.on takes a condition, such as succeeded(task), not {condition!r}")
        self._declare: Final = declare
        self._condition: Final = condition
        self._options: Final = options

    def __call__(self, task: Task[Params, Result], /) -> Task[Params, Result]:
        """Declare the trigger, and return the task. Raises `TriggerDefinitionError`."""
        if not isinstance(task, Task):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need no checker
            raise TypeError(f"app.on(...) decorates a task, not {task!r}: put it above @app.task")
        self._declare(task, self._condition, self._options)
        return task
