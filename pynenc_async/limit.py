"""Limits, as values: what is counted together, and how many starts a period allows."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pynenc_async.errors import InvalidTaskOptionsError


class ConcurrencyControlType(StrEnum):
    """What a limit counts together.

    Attributes:
        DISABLED: Nothing: there is no limit.
        TASK: All invocations of the task.
        ARGUMENTS: The invocations with equal arguments.
        KEYS: The invocations in which the arguments that `key_arguments` names are equal.

    """

    DISABLED = "disabled"
    TASK = "task"
    ARGUMENTS = "arguments"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts in a period, for instance `Rate(10, per=1.0)`: at most ten in any second.

    A task that was idle may begin all of them at once. With `burst`, starts are spread evenly instead: so many may begin at
    once after a quiet time, then one each `per / count` seconds. `Rate(10, burst=1)` begins one each tenth of a second, and no
    second sees more than ten; a larger burst is a permission to exceed the rate by `burst - 1` in a period.

    Args:
        count: How many may start in each `per` seconds; a number above 0. Without `burst`, whole, or below 1 (0.5 in a second
            are one in two seconds).
        per: The length of the period in seconds; a number above 0.
        burst: How many may start at once where starts are spread evenly; an integer of 1 or more. None: they are not.
        scope: Whether all invocations of the task share the rate ("task"), or those with equal arguments ("arguments"), or
            those with equal `key_arguments` ("keys").

    Raises:
        InvalidTaskOptionsError: A value is none of these; it names the field.
    """

    count: float
    per: float = 1.0
    burst: int | None = None
    scope: ConcurrencyControlType = ConcurrencyControlType.TASK

    def __post_init__(self) -> None:
        for name in ("count", "per"):
            value = _number(name, getattr(self, name))
            object.__setattr__(self, name, value)  # equal rates look the same: they are the same one to a store
        burst: Any = self.burst
        if burst is not None and (not isinstance(burst, int) or isinstance(burst, bool) or burst < 1):
            raise InvalidTaskOptionsError("Rate", "burst", f"must be an integer of 1 or more, or None, not {burst!r}")
        if burst is None and self.count > 1 and self.count != int(self.count):
            fix = f"give a whole number, as in Rate({self.count * 2:g}, per={self.per * 2:g}), or burst=1"
            raise InvalidTaskOptionsError(
                "Rate", "count", f"is {self.count:g}, and no period has a part of a start; {fix}"
            )
        object.__setattr__(self, "scope", _scope(self.scope))

    @property
    def interval(self) -> float:
        """Seconds from one start to the next, on average."""
        return self.per / self.count

    @property
    def capacity(self) -> int:
        """How many may start at once."""
        return max(1, int(self.count)) if self.burst is None else self.burst

    @property
    def window(self) -> float:
        """Seconds in which no more than `capacity` may start; 0: starts are spread evenly. See `pacing`."""
        return 0.0 if self.burst is not None else max(self.per, self.interval)

    def __str__(self) -> str:
        return f"{self.count:g} in {self.per:g} s"


def _number(name: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise InvalidTaskOptionsError("Rate", name, f"must be a number above 0, not {value!r}")
    return int(value) if value == int(value) else value


def _scope(value: Any) -> ConcurrencyControlType:
    scopes = [scope for scope in ConcurrencyControlType if scope is not ConcurrencyControlType.DISABLED]
    if value not in scopes:
        raise InvalidTaskOptionsError(
            "Rate", "scope", f"must be one of {', '.join(repr(scope.value) for scope in scopes)}, not {value!r}"
        )
    return ConcurrencyControlType(value)
