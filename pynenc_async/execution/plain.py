"""`def` bodies, wherever they run."""

from types import CoroutineType
from typing import Any


def no_coroutine(task_id: str, value: Any) -> Any:
    """Return what a `def` has returned; raise `TypeError` if that is a coroutine, which nobody would await."""
    if type(value) is CoroutineType:  # no class derives from it, and `isinstance` asks a proxy what it stands for
        value.close()
        raise TypeError(f"{task_id} is a def that returned a coroutine; make it async def, and await there")
    return value
