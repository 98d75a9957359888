"""How an exception is pickled and copied whose constructor takes something else than its `args`."""

import pickle
from collections.abc import Callable
from typing import Any, Final, cast

StandIn = Callable[[str, str], BaseException]
"""Makes, of the name of a class and of a message, what stands for a cause that cannot be pickled."""


def reduce_exception(error: BaseException, *, stand_in: StandIn) -> tuple[Any, ...]:
    """Return what `__reduce__` returns: the constructor is not called again, and the cause is kept."""
    found: object = error.__getstate__()
    has_slots = isinstance(found, tuple)
    parts = cast("tuple[Any, ...]", found) if has_slots else (found,)
    state: dict[str, Any] = {}
    for part in parts:
        state.update(cast("dict[str, Any]", part or {}))
    if error.__suppress_context__:
        state["__suppress_context__"] = True
    cause = None if error.__cause__ is None else _Cause(error.__cause__, stand_in)
    return _remake, (type(error), error.args, cause), state or None


def _remake(cls: type[BaseException], args: tuple[Any, ...], cause: "_Cause | None") -> BaseException:
    error = cls.__new__(cls, *args)
    error.args = args  # `__new__` leaves that to the constructor where the class is an OSError with one of its own
    if cause is not None:
        error.__cause__ = cause.error
    return error


class _Cause:
    """The cause of an error that is pickled or copied. A copy has the same one.

    Many exceptions cannot be pickled, or cannot be unpickled, and must not take with them the error that they caused: so
    a cause is pickled by itself, and where that fails a stand-in says what it was.
    """

    def __init__(self, error: BaseException, stand_in: StandIn) -> None:
        self.error: Final = error
        self._stand_in: Final = stand_in

    def __deepcopy__(self, _memo: object) -> "_Cause":
        return self

    def __reduce__(self) -> tuple[Callable[..., "_Cause"], tuple[Any, ...]]:
        kind = type(self.error)
        try:
            data = pickle.dumps(self.error)
        except Exception:  # noqa: BLE001  whatever its class does
            data = b""
        try:
            message = str(self.error)
        except Exception:  # noqa: BLE001  likewise
            message = "<its __str__ failed>"
        return _revive, (data, self._stand_in, f"{kind.__module__}.{kind.__qualname__}", message)


def _revive(data: bytes, stand_in: StandIn, type_name: str, message: str) -> _Cause:
    try:
        cause: object = pickle.loads(data)  # noqa: S301  a part of what the caller is unpickling
    except Exception:  # noqa: BLE001  whatever its class does
        cause = None
    return _Cause(cause if isinstance(cause, BaseException) else stand_in(type_name, message), stand_in)
