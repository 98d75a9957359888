"""How another interpreter finds the function of a task: by the name of its module, and its name in there."""

import importlib
import sys
from typing import Any, Final

from pynenc_async.errors import TaskDefinitionError
from pynenc_async.function import Function

MAIN: Final = "__main__"
_BIND: Final = "give the task, at the level of its module, the name of its function"


def refuse_hidden(function: Function) -> None:
    """Raise `TaskDefinitionError` where no other interpreter can find the function, whatever follows its decoration."""
    if "<" in function.qualname:
        raise TaskDefinitionError(
            function.task_id,
            "is nested in a function or has no name, so that no other process can find it",
            "define it at the level of a module, or let it run in the loop or in a thread",
        )
    if function.module == MAIN and str(getattr(sys.modules[MAIN], "__file__", "<")).startswith("<"):
        raise TaskDefinitionError(
            function.task_id,
            "is defined in an interactive session or on standard input, which no other process can import",
            "write it into a module, or let it run in the loop or in a thread",
        )


def refuse_lost(function: Function) -> None:
    """Raise `TaskDefinitionError` unless `function` is what its module has under its name, now that it is loaded."""
    module = sys.modules.get(function.module)
    found = None if module is None else _under(module, function.qualname)
    if found is None or found.func is not function.func:
        problem = f"is not what {function.module} has as {function.qualname}, so that no other process can find it"
        raise TaskDefinitionError(function.task_id, problem, _BIND)


def find(task_id: str, module_name: str, qualname: str) -> Function:
    """Import the module and return the function; raise `TaskDefinitionError` when it is not there."""
    module = sys.modules[MAIN] if module_name == MAIN else importlib.import_module(module_name)
    found = _under(module, qualname)
    if found is None or found.qualname != qualname:
        problem = f"is not found as {qualname} when a worker imports {module_name}"
        raise TaskDefinitionError(task_id, problem, f"{_BIND}, whoever imports it")
    return found


def _under(module: Any, qualname: str) -> Function | None:
    """Return the function that a module has under a name: as a task, as a direct task, or as it was written."""
    found = module
    for name in qualname.split("."):
        found = getattr(found, name, None)
    for holder in (found, getattr(found, "task", None)):
        function = getattr(holder, "function", None)
        if isinstance(function, Function):
            return function
    return Function(found) if callable(found) else None
