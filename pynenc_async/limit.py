"""Limits, as values: what is counted together, and how many starts a period allows."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pynenc_async.errors import InvalidTaskOptionsError


class ConcurrencyControlType(StrEnum):
    """What a limit counts together."""

    DISABLED = "disabled"
    """Nothing: there is no limit."""
    TASK = "task"
    """All invocations of the task."""
    ARGUMENTS = "arguments"
    """The invocations with equal arguments."""
    KEYS = "keys"
    """The invocations in which the arguments that `key_arguments` names are equal."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many starts in a period, for instance `Rate(10, per=1.0)`: ten a second.

    `count`: how many starts in each `per` seconds, evenly. `burst`: how many may start at once after a quiet time;
    `count` unless given. `scope`: whether the whole task shares the rate, or equal arguments, or equal keys.
    Raises `InvalidTaskOptionsError`.
    """

    count: float
    per: float = 1.0
    burst: int | None = None
    scope: ConcurrencyControlType = ConcurrencyControlType.TASK

    def __post_init__(self) -> None:
        numbers: dict[str, Any] = {"count": self.count, "per": self.per}
        for name, value in numbers.items():
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
                raise InvalidTaskOptionsError("Rate", name, f"must be a number above 0, not {value!r}")
        burst: Any = self.burst
        if burst is not None and (not isinstance(burst, int) or isinstance(burst, bool) or burst < 1):
            raise InvalidTaskOptionsError("Rate", "burst", f"must be an integer of 1 or more, not {burst!r}")
        scopes = [scope for scope in ConcurrencyControlType if scope is not ConcurrencyControlType.DISABLED]
        if self.scope not in scopes:
            raise InvalidTaskOptionsError("Rate", "scope", f"must be one of {', '.join(scopes)}, not {self.scope!r}")

    @property
    def interval(self) -> float:
        """Seconds from one start to the next."""
        return self.per / self.count

    @property
    def capacity(self) -> int:
        """How many may start at once."""
        return max(1, int(self.count)) if self.burst is None else self.burst

    def __str__(self) -> str:
        return f"{self.count:g} in {self.per:g} s"
