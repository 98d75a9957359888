"""Options that are code, by name: how exception classes and predicates are stored, and found again.

A name is looked up among what is loaded: nothing is imported because a file names it. What the module of the task has is
named without that module, which may be `__main__`, and may be another one in the next release. A predicate must be known
there, too: a file must not have any function called that happens to be loaded.
"""

import sys
from types import FunctionType, ModuleType
from typing import Any, Final

from pynenc_async.function import Function
from pynenc_async.hints import written

_PROGRAMS: Final = frozenset({"__main__", "__mp_main__"})
"""Modules of which each process has one of its own."""


def name_of(code: Any, function: Function) -> str | None:
    """Return the name by which a class or a function is found again for a task; None where it would not be found."""
    home = _home(function)
    module = getattr(code, "__module__", None)
    name = f"{'' if module == home.get('__name__') else module}:{getattr(code, '__qualname__', '')}"
    find = find_class if isinstance(code, type) else find_predicate
    return name if find(name, function) is code else None


def find_class(name: str, function: Function) -> type[BaseException] | None:
    """Return the class of exceptions that a loaded module defines under a name."""
    found = _find(name, function)
    return found if issubclass(type(found), type) and issubclass(found, BaseException) else None


def find_predicate(name: str, function: Function) -> FunctionType | None:
    """Return the function of that name, if the module of the task defines it, has imported it, or the module that does."""
    found = _find(name, function)
    if type(found) is not FunctionType:
        return None
    module, known = name.partition(":")[0], _home(function).values()
    return found if not module or any(one is found or _leads_to(one, module) for one in known) else None


def _leads_to(value: Any, module: str) -> bool:
    """Whether a value is a module, but for those of the standard library, or the package in which it is."""
    if type(value) is not ModuleType or module.partition(".")[0] in sys.stdlib_module_names:
        return False
    return f"{module}.".startswith(f"{value.__name__}.")


def _find(name: str, function: Function) -> Any:
    """Look in namespaces alone: attribute access may run code, such as a module's lazy imports."""
    module_name, _, qualname = name.partition(":")
    home = _home(function)
    module = sys.modules.get(module_name)
    namespace: Any = home if not module_name else vars(module) if type(module) is ModuleType else {}
    found: Any = None
    namespace_of: Any = vars
    for part in qualname.split("."):
        found = namespace.get(part)
        namespace = namespace_of(found) if issubclass(type(found), type) else {}
    if module_name in _PROGRAMS or not issubclass(type(found), type | FunctionType):
        return None
    # Imported from elsewhere: the module that defines it has to be named.
    is_at_home = found.__module__ == (module_name or home.get("__name__")) and found.__qualname__ == qualname
    return found if is_at_home else None


def _home(function: Function) -> dict[str, Any]:
    """Return the namespace of the module that defines the function."""
    names: dict[str, Any] = getattr(written(function.func), "__globals__", {})
    return names
