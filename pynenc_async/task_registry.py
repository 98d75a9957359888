"""The tasks of one app: how a function becomes one, and with which options."""

import inspect
import sys
from collections.abc import Callable
from typing import Any, Final, cast

from pynenc_async.configuration.configuration import Resolved
from pynenc_async.errors import TaskDefinitionError
from pynenc_async.function import Function
from pynenc_async.modules import MAIN, is_interactive
from pynenc_async.naming import Naming, split_naming
from pynenc_async.options import RunsIn, TaskOptions
from pynenc_async.task import Task, TaskApp, refuse_for_function

_ELSEWHERE: Final = (RunsIn.PROCESS, RunsIn.INTERPRETER)


class TaskRegistry:
    """The tasks of one app by `task_id`, and where the values of their options come from."""

    def __init__(
        self,
        app: TaskApp,
        resolve: Callable[[str, dict[str, Any]], Resolved[TaskOptions]],
        surround: Callable[[Task[Any, Any]], None],
        *,
        is_shared: bool = False,
    ) -> None:
        self._app: Final = app
        self._resolve: Final = resolve
        self._surround: Final = surround
        self._is_shared: Final = is_shared
        """Whether other processes run what is submitted here."""
        self.tasks: Final[dict[str, Task[Any, Any]]] = {}
        self.by_any_id: Final[dict[str, Task[Any, Any]]] = {}
        """The same, and under the ids that they had before, too: stored work goes by any of them."""
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

    def register(self, func: Any, options: dict[str, Any], *, binds: bool = False) -> Task[Any, Any]:
        """Make a task of `func`. Raises `TaskDefinitionError`, and `InvalidTaskOptionsError` for wrong options.

        Args:
            func: The function, or a task that `imply` has made.
            options: What was given to the decorator.
            binds: Whether calls of a method will pass its object, as those of a direct task do.

        """
        if isinstance(func, Task):
            return self._redecorate(cast(Any, func), options)
        naming, options = split_naming(f"task {getattr(func, '__qualname__', func)}", options)
        function = Function(func, naming.name, naming.aliases)
        if function.is_method and not binds:
            raise TaskDefinitionError(
                function.task_id,
                "is a method, whose first argument would be taken for its object",
                "define it outside of the class and pass it what it needs, make it a @staticmethod, or use @app.direct_task",
            )
        if self._is_shared:
            _refuse_nameless(function, naming)
        replaced = self._replaced_by(function)
        resolved = self._resolve(function.task_id, options)
        refuse_for_function(f"task {function.task_id}", function, resolved.named)
        if self._is_shared or resolved.options.runs_in in _ELSEWHERE:
            function.require_readable()
        task: Task[Any, Any] = Task(self._app, function, resolved.options)
        self._surround(task)
        for one in replaced:
            self._remove(one)
        self.options[function.task_id] = resolved
        self.tasks[function.task_id] = task
        self.by_any_id.update(dict.fromkeys(function.ids, task))
        return task

    def _replaced_by(self, function: Function) -> list[Task[Any, Any]]:
        """Return the tasks whose place a function takes, for it is theirs; raise where an id belongs to another one."""
        replaced: list[Task[Any, Any]] = []
        for one in function.ids:
            known = self.by_any_id.get(one)
            if known is None:
                continue
            if not _is_redefinition(known.function, function):
                raise _name_taken(function, one, known)
            replaced.append(known)
        return replaced

    def _remove(self, task: Task[Any, Any]) -> None:
        self.tasks.pop(task.task_id, None)
        self.options.pop(task.task_id, None)
        for one in task.function.ids:
            if self.by_any_id.get(one) is task:
                del self.by_any_id[one]

    def _redecorate(self, task: Task[Any, Any], options: dict[str, Any]) -> Task[Any, Any]:
        implied = self._implied.pop(task, None)
        if implied is None:
            raise TaskDefinitionError(task.task_id, "is already a task", "decorate the function once")
        self._remove(task)  # it may get another name
        successor = self._successors[task] = self.register(task.func, {**implied, **options})
        return successor


def _name_taken(function: Function, taken: str, known: Task[Any, Any]) -> TaskDefinitionError:
    if taken == function.task_id == known.task_id:
        return TaskDefinitionError(
            taken,
            "is already registered in this app by another function",
            "give one of the two another name: @app.task(name='shop.bill_again')",
        )
    kind = "its name" if taken == function.task_id else f"its alias {taken!r}"
    whose = "name" if taken == known.task_id else "an alias"
    problem = f"{kind} is {whose} of task {known.task_id} already"
    return TaskDefinitionError(
        function.task_id, problem, "work that is stored under an id can be run by one task alone"
    )


def _refuse_nameless(function: Function, naming: Naming) -> None:
    """Raise `TaskDefinitionError` where stored work would be known by a name that means nothing to any other process."""
    if naming.name is None and function.home == MAIN and is_interactive():
        raise TaskDefinitionError(
            function.task_id,
            "is defined in an interactive session or on standard input, and this app stores its invocations, which no "
            "other process could run under that name",
            f"write it into a module, or give it a name: @app.task(name={'shop.' + function.qualname!r})",
        )


def _is_redefinition(known: Function, new: Function) -> bool:
    """Whether `new` is the same function once more: a reloaded module, or a cell that was run again in a notebook."""
    if known.nested or known.home != new.home:
        return False
    if _place(known.func) == _place(new.func):  # maybe as a script, and imported by another module
        return True
    reloaded = known.module_spec is not new.module_spec
    return known.module == new.module and (reloaded or (new.module == MAIN and hasattr(sys, "ps1")))


def _place(func: Any) -> object:
    """Where a function is written; for what is not written in Python, itself."""
    func = inspect.unwrap(func)
    code = getattr(func, "__code__", None) or getattr(type(func).__call__, "__code__", None)
    return func if code is None else (code.co_filename, code.co_firstlineno)
