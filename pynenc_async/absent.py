"""Names that people know from elsewhere, and that mean nothing here: the error says which way is the right one."""

from collections.abc import Callable, Mapping
from typing import Final, NoReturn, TypeVar

T = TypeVar("T")

OF_INVOCATIONS: Final[Mapping[str, str]] = {
    "done": "`invocation.status.is_final` tells whether it has ended, `await invocation.wait()` waits for that",
    "ready": "`invocation.status.is_final` tells whether it has ended, `await invocation.wait()` waits for that",
    "cancelled": "`invocation.status` is InvocationStatus.CANCELLED then",
    "add_done_callback": "await the invocation, or give asyncio a Task of it: `asyncio.ensure_future(invocation)`",
    "remove_done_callback": "await the invocation, or give asyncio a Task of it: `asyncio.ensure_future(invocation)`",
    "get": "`await invocation` gives its value, `invocation.blocking_result(timeout)` in a thread",
    "get_loop": "`asyncio.ensure_future(invocation)` makes a Task of it",
    "get_coro": "`asyncio.ensure_future(invocation)` makes a Task of it",
    "get_name": "`invocation.invocation_id` is its name",
    "set_result": "its function returns the value",
    "set_exception": "its function raises the exception",
    "send": "await it, or make a Task of it: `asyncio.ensure_future(invocation)`",
    "id": "`invocation.invocation_id`",
    "state": "`invocation.status`",
    "revoke": "`await invocation.cancel()`",
    "abort": "`await invocation.cancel()`",
}
"""How each of them is said of a handle."""

_CALL: Final = "call the task itself: `task(...)`"
_EACH: Final = "`task.parallelize([(1,), (2,)])` makes one call of each element"
_LATER: Final = "`task.with_options(delay=seconds)(...)`, or `at=` a moment"

OF_TASKS: Final[Mapping[str, str]] = {
    "delay": f"{_CALL}; to begin it later, {_LATER}",
    "apply_async": f"{_CALL}; to begin it later, {_LATER}",
    "send": _CALL,
    "enqueue": _CALL,
    "kiq": _CALL,
    "defer": _CALL,
    "defer_async": _CALL,
    "spawn": _CALL,
    "run": f"{_CALL}, or its function without an invocation: `task.func(...)`",
    "fn": "`task.func`",
    "map": _EACH,
    "starmap": _EACH,
    "submit_many": _EACH,
    "options_for": "`task.with_options(...)`",
    "configure": "`task.with_options(...)`",
    "schedule": f"{_LATER}, or `@app.every(...)` and `@app.cron(...)`",
}
"""How each of them is said of a task."""


class _Absent:
    """An attribute that is not there: no `__getattr__`, for that would hide an `AttributeError` of a user's function."""

    def __init__(self, name: str, way: str) -> None:
        self._name: Final = name
        self._way: Final = way

    def __get__(self, instance: object, owner: type) -> NoReturn:
        message = f"{owner.__name__!r} object has no attribute {self._name!r}: {self._way}"
        raise AttributeError(message, name=self._name, obj=instance)


def explain_absent(ways: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Return a class decorator that lets absent attributes name the right way; type checkers still know none of them.

    Args:
        ways: What to say of each name.

    """

    def decorate(cls: type[T]) -> type[T]:
        for name, way in ways.items():
            setattr(cls, name, _Absent(name, way))
        return cls

    return decorate


def explain_iteration(way: str) -> Callable[[type[T]], type[T]]:
    """Return a class decorator that lets `async for` over an object raise a `TypeError` that names the right way."""

    def __aiter__(self: object) -> NoReturn:  # noqa: N807  what it becomes
        raise TypeError(f"{type(self).__name__!r} object is not iterated: {way}")

    def decorate(cls: type[T]) -> type[T]:
        setattr(cls, "__aiter__", __aiter__)  # noqa: B010  a class that type checkers hold for no iterable
        return cls

    return decorate
