"""Reads and marks the exceptions of users: nothing here raises, and nothing but `brief` runs code of their classes.

A class of exceptions may refuse new attributes (a frozen dataclass does), and may define `__traceback__`, `__cause__`,
`__class__`, `__str__` or `with_traceback` in its own way. What the interpreter keeps of an exception is reached past all
that, by the descriptors of `BaseException`.
"""

from traceback import format_exception_only
from types import TracebackType
from typing import Any, Final, cast

_slots: Final[Any] = vars(BaseException)
_get_traceback: Final = _slots["__traceback__"].__get__
_get_cause: Final = _slots["__cause__"].__get__
_get_context: Final = _slots["__context__"].__get__
_get_members: Final[Any] = vars(BaseExceptionGroup)["exceptions"].__get__
_get_name: Final[Any] = vars(type)["__name__"].__get__

put_traceback: Final = _slots["__traceback__"].__set__
"""Give an exception another traceback."""
put_cause: Final = _slots["__cause__"].__set__
"""Say what an exception was raised from."""


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of an exception."""
    return cast("TracebackType | None", _get_traceback(error))


def cause_of(error: BaseException) -> BaseException | None:
    """Return what an exception was raised from."""
    return cast("BaseException | None", _get_cause(error))


def context_of(error: BaseException) -> BaseException | None:
    """Return what was being handled when an exception was raised."""
    return cast("BaseException | None", _get_context(error))


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the members of a group; none of any other exception."""
    return cast("tuple[BaseException, ...]", _get_members(error)) if is_a(error, BaseExceptionGroup) else ()


def is_a(error: object, kind: type[BaseException]) -> bool:
    """Say whether an exception is of a class, by its true class: `isinstance` also asks its `__class__`."""
    return issubclass(type(error), kind)


SIGNALS: Final = (StopIteration, StopAsyncIteration, GeneratorExit)
"""What tells a generator, or whoever steps one, of its end, and so is no error where it crosses a step of an iteration."""

OF_COROUTINES: Final = (StopIteration,)
"""What Python itself lets out of no coroutine."""


def translated(
    error: BaseException, kinds: tuple[type[BaseException], ...] = SIGNALS, by: str = "an invocation"
) -> BaseException:
    """Return what to raise for an error where it would be taken for the end of an iteration, or of a generator.

    As PEP 479 has it, that is a `RuntimeError` with the error as its cause, and its traceback. An error that is none of
    `kinds` is returned as it is. `by` is what has raised the error, in words.
    """
    if not any(is_a(error, kind) for kind in kinds):
        return error
    made = RuntimeError(f"{by} raised {name_of(error)}")
    put_cause(made, error)
    put_traceback(made, traceback_of(error))
    return made


def is_translation(raised: BaseException, error: BaseException) -> bool:
    """Say whether `raised` is what an iteration, a generator or `translated` makes of `error`."""
    is_signal = any(is_a(error, kind) for kind in SIGNALS)
    return is_signal and is_a(raised, RuntimeError) and cause_of(raised) is error


def name_of(value: object) -> str:
    """Return the name of the class of an exception, or of anything else, whatever its metaclass says."""
    return cast(str, _get_name(type(value)))


def brief(error: BaseException) -> str:
    """Return the name of the class and the message, as a text that every store can hold."""
    try:
        message = "".join(format_exception_only(error)).strip().partition(": ")[2]
    except BaseException:  # noqa: BLE001  a `__str__` may raise SystemExit, which must not decide how an invocation ends
        message = "<its message cannot be read>"
    return f"{name_of(error)}: {message}".encode("utf-8", "backslashreplace").decode()
