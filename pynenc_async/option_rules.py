"""What an option accepts, in words and in code."""

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, cast, get_type_hints

from pynenc_async.errors import InvalidTaskOptionsError


@dataclass(frozen=True, slots=True)
class Rule:
    """Whether a value is accepted, what is expected in words, and the form in which it is kept."""

    accepts: Callable[[Any], bool]
    expected: str
    normalise: Callable[[Any], Any] = lambda value: value

    def check(self, owner: str, name: str, value: object) -> Any:
        """Return the value in its kept form; raise `InvalidTaskOptionsError` that names `owner` and the option."""
        if not self.accepts(value):
            raise InvalidTaskOptionsError(owner, name, f"must be {self.expected}, not {value!r}")
        return self.normalise(value)

    def or_none(self) -> "Rule":
        """The same, and None."""
        return Rule(
            lambda value: value is None or self.accepts(value),
            f"{self.expected}, or None",
            lambda value: None if value is None else self.normalise(value),
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return words for the end of an error that suggest the name which was probably meant; none where nothing is like it."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def is_unknown(name: str, known: Iterable[str], *, what: str = "the options are") -> str:
    """Return what is wrong with a name that is none of those that are known, and which of them was probably meant."""
    names = list(known)
    return f"is unknown; {what} {', '.join(names)}{did_you_mean(name, names)}"


def rules_of(options: type) -> dict[str, Rule]:
    """Return what each field of a class of options accepts, as its annotation says, in the order of declaration."""
    return {name: hint.__metadata__[0] for name, hint in get_type_hints(options, include_extras=True).items()}


def one_of(kind: type[StrEnum]) -> Rule:
    """A member of an enum, or its value."""
    values = [member.value for member in kind]
    return Rule(lambda value: value in values, f"one of {', '.join(map(repr, values))}", kind)


def is_number(value: object) -> bool:
    """Whether a value is a finite number, and not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_LARGEST: Final = 2**63 - 1
"""As a store can hold; `sys.maxsize`, for those who mean "without end"."""
_HIGHEST: Final = 1_000_000


def _is_int(value: object, least: int, most: int = _LARGEST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_seconds(value: object, *, least: float = 0.0) -> bool:
    if isinstance(value, timedelta):
        return value.total_seconds() >= least
    return is_number(value) and cast(float, value) >= least


def _seconds(value: Any) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(cast("Iterable[Any]", value)) if isinstance(value, (tuple, list, set, frozenset)) else (value,)


def _is_exceptions(value: object) -> bool:
    return all(isinstance(one, type) and issubclass(one, BaseException) for one in _as_tuple(value))


def _is_names(value: object) -> bool:
    return all(isinstance(one, str) and one.isidentifier() for one in _as_tuple(value))


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


COUNT: Final = Rule(lambda value: _is_int(value, 0), "an integer of 0 or more, below 2**63")
POSITIVE: Final = Rule(lambda value: _is_int(value, 1), "an integer of 1 or more, below 2**63")
TEXT: Final = Rule(lambda value: isinstance(value, str) and value != "", "a text that is not empty")
LEVEL: Final = Rule(lambda value: _is_int(value, -_HIGHEST, _HIGHEST), f"an integer from {-_HIGHEST:_} to {_HIGHEST:_}")
FLAG: Final = Rule(lambda value: isinstance(value, bool), "True or False")
SECONDS: Final = Rule(_is_seconds, "a number of seconds of 0 or more, or a timedelta", _seconds)
SPAN: Final = Rule(
    lambda value: _is_seconds(value, least=1e-9), "a number of seconds above 0, or a timedelta", _seconds
)
FACTOR: Final = Rule(lambda value: is_number(value) and value >= 1, "a number of 1 or more", float)
EXCEPTIONS: Final = Rule(_is_exceptions, "an exception class or a tuple of them", _as_tuple)
NAMES: Final = Rule(_is_names, "the name of a parameter or a tuple of them", _as_tuple)
PREDICATE: Final = Rule(callable, "a function of the exception that returns True or False").or_none()
MOMENT: Final = Rule(_is_moment, "a datetime with a time zone, as in datetime.now(UTC)").or_none()
