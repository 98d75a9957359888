"""The tasks of one app: how a function becomes one, and with which options."""

import inspect
import sys
from collections.abc import Callable
from typing import Any, Final, cast

from pynenc_async.configuration.configuration import Resolved
from pynenc_async.errors import TaskDefinitionError
from pynenc_async.function import Function
from pynenc_async.options import TaskOptions
from pynenc_async.task import Task, TaskApp, refuse_for_function


class TaskRegistry:
    """The tasks of one app by `task_id`, and where the values of their options come from."""

    def __init__(
        self,
        app: TaskApp,
        resolve: Callable[[str, dict[str, Any]], Resolved[TaskOptions]],
        surround: Callable[[Task[Any, Any]], None],
    ) -> None:
        self._app: Final = app
        self._resolve: Final = resolve
        self._surround: Final = surround
        self.tasks: Final[dict[str, Task[Any, Any]]] = {}
        self.options: Final[dict[str, Resolved[TaskOptions]]] = {}
        self._implied: Final[dict[Task[Any, Any], dict[str, Any]]] = {}
        """Tasks that no `@app.task` has made, with the options that they were given."""
        self._successors: Final[dict[Task[Any, Any], Task[Any, Any]]] = {}

    def imply(self, func: Callable[..., Any], options: dict[str, Any]) -> Task[Any, Any]:
        """Make a task of `func` for another decorator; `@app.task` above that one may still give it options."""
        task = self.register(func, options)
        self._implied[task] = options
        return task

    def current(self, task: Task[Any, Any]) -> Task[Any, Any]:
        """Return `task`, or what `@app.task` has made of it since."""
        return self._successors.get(task, task)

    def register(self, func: Any, options: dict[str, Any]) -> Task[Any, Any]:
        """Make a task of `func`. Raises `TaskDefinitionError`, and `InvalidTaskOptionsError` for wrong options."""
        if isinstance(func, Task):
            return self._redecorate(cast(Any, func), options)
        function = Function(func)
        known = self.tasks.get(function.task_id)
        if known is not None and not _is_redefinition(known.function, function):
            raise TaskDefinitionError(
                function.task_id,
                "is already registered in this app by another function",
                "give one of the two functions another name",
            )
        resolved = self._resolve(function.task_id, options)
        refuse_for_function(f"task {function.task_id}", function, resolved.named)
        task: Task[Any, Any] = Task(self._app, function, resolved.options)
        self._surround(task)
        self.options[function.task_id] = resolved
        self.tasks[function.task_id] = task
        return task

    def _redecorate(self, task: Task[Any, Any], options: dict[str, Any]) -> Task[Any, Any]:
        implied = self._implied.pop(task, None)
        if implied is None:
            raise TaskDefinitionError(task.task_id, "is already a task", "decorate the function once")
        successor = self._successors[task] = self.register(task.func, {**implied, **options})
        return successor


def _is_redefinition(known: Function, new: Function) -> bool:
    """Whether `new` is the same function once more: a reloaded module, or a cell that was run again in a notebook."""
    if known.nested or known.module != new.module:
        return False
    reloaded = known.module_spec is not new.module_spec
    return reloaded or _place(known.func) == _place(new.func) or (new.module == "__main__" and hasattr(sys, "ps1"))


def _place(func: Any) -> object:
    """Where a function is written; for what is not written in Python, itself."""
    func = inspect.unwrap(func)
    code = getattr(func, "__code__", None) or getattr(type(func).__call__, "__code__", None)
    return func if code is None else (code.co_filename, code.co_firstlineno)
