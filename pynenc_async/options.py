"""The options of a task: one frozen value, checked once where it is made."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Self, TypedDict, cast

from pynenc_async.errors import InvalidTaskOptionsError, RetryError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What `@app.task(...)` and `task.with_options(...)` accept."""

    max_retries: int = 0
    """How many times an attempt that failed is followed by another."""
    retry_for: tuple[type[BaseException], ...] = (Exception,)
    """Which failures are retried while `max_retries` allows; `RetryError` always is."""
    priority: int = 0
    """Higher runs first; equal ones run in the order of submission."""
    detached: bool = False
    """A detached invocation is not cancelled with the invocation that submitted it."""
    detect_cycles: bool = True
    """Whether repeating a living ancestor's call, and rings of waiters, raise `CycleDetectedError`."""
    stream_buffer: int = 1_000
    """How many items of an async generator task are kept for readers before the generator has to wait."""

    @classmethod
    def build(cls, owner: str, values: Mapping[str, Any]) -> Self:
        """Check `values`; raise `InvalidTaskOptionsError` that names `owner` and the option."""
        return cls().replaced(owner, values)

    def replaced(self, owner: str, values: Mapping[str, Any]) -> Self:
        """Return these options with `values` in place of their own; checks like `build`."""
        checked: dict[str, Any] = {name: _check(owner, name, value) for name, value in values.items()}
        return dataclasses.replace(self, **checked)

    def retries(self, error: BaseException, retries_so_far: int) -> bool:
        """Whether an attempt that ended in `error` is followed by another."""
        return retries_so_far < self.max_retries and isinstance(error, (*self.retry_for, RetryError))


class TaskOptionsDict(TypedDict, total=False):
    """The keywords of `@app.task(...)`; `TaskOptions` says what they mean."""

    max_retries: int
    retry_for: type[BaseException] | tuple[type[BaseException], ...]
    priority: int
    detached: bool
    detect_cycles: bool
    stream_buffer: int


def _check(owner: str, name: str, value: object) -> object:
    rule = _RULES.get(name)
    if rule is None:
        raise InvalidTaskOptionsError(owner, name, f"is unknown; the options are {', '.join(_RULES)}")
    accepts, expected, normalise = rule
    if not accepts(value):
        raise InvalidTaskOptionsError(owner, name, f"must be {expected}, not {value!r}")
    return normalise(value)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_positive(value: object) -> bool:
    return _is_count(value) and value != 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_exceptions(value: object) -> bool:
    return all(isinstance(one, type) and issubclass(one, BaseException) for one in _as_tuple(value))


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(cast("Iterable[Any]", value)) if isinstance(value, (tuple, list, set, frozenset)) else (value,)


def _as_given(value: object) -> object:
    return value


_Rule = tuple[Callable[[object], bool], str, Callable[[Any], object]]
_RULES: Final[dict[str, _Rule]] = {
    "max_retries": (_is_count, "an integer of 0 or more", _as_given),
    "retry_for": (_is_exceptions, "an exception class or a tuple of them", _as_tuple),
    "priority": (_is_int, "an integer", _as_given),
    "detached": (_is_bool, "True or False", _as_given),
    "detect_cycles": (_is_bool, "True or False", _as_given),
    "stream_buffer": (_is_positive, "an integer of 1 or more", _as_given),
}
