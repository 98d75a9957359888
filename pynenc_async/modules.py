"""Under which name other processes import a module: that of the main module of a program is `__main__` in its own alone."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

MAIN: Final = "__main__"
_MAIN_NAMES: Final = frozenset({MAIN, "__mp_main__"})
"""The second one is that of a process which multiprocessing has spawned."""


def real_module(name: str, namespace: Mapping[str, Any] | None = None) -> str:
    """Return the name under which another process imports a module; `__main__` where it has none.

    `python shop.py` runs the module `shop`, `python -m pkg.shop` runs `pkg.shop`.

    Args:
        name: As `__module__` has it.
        namespace: The globals of what is defined in it, for there are programs that run another one as `__main__`.

    """
    if name not in _MAIN_NAMES:
        return name
    known: Mapping[str, Any] = vars(sys.modules[name]) if namespace is None and name in sys.modules else namespace or {}
    spec = getattr(known.get("__spec__"), "name", None)
    if isinstance(spec, str) and spec not in _MAIN_NAMES:
        return spec
    file = known.get("__file__")
    if not isinstance(file, str) or file.startswith("<"):
        return MAIN
    return Path(file).stem


def loaded_module(name: str) -> ModuleType | None:
    """Return the module that other processes import under this name, if it is loaded here, be it as the main module."""
    found = sys.modules.get(name)
    if found is None and name == real_module(MAIN):
        found = sys.modules.get(MAIN)
    return found


def is_interactive() -> bool:
    """Whether the main module is typed in, or read from standard input: nobody else, and no later process, can run it.

    What follows `python -c` is none of that: whoever starts it so can start it so again.
    """
    return hasattr(sys, "ps1") or sys.argv[:1] != ["-c"]
