"""What a trigger waits for: frozen values, made by the words of `vocabulary`, combined with `&` and `|`.

Nothing here knows of an app, a loop or a clock. `joining` decides when a combination is met.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pynenc_async.arguments import show
from pynenc_async.status import InvocationStatus
from pynenc_async.triggers.occurrence import Occurrence

Check = Callable[[Occurrence], object]
"""A predicate: whatever it returns counts as true or false."""


class Condition(ABC):
    """What a trigger waits for. `a & b` waits for both, `a | b` for either."""

    __slots__ = ()

    @abstractmethod
    def leaves(self) -> "Iterator[SimpleCondition]":
        """The conditions that it is made of, in the order in which they are written."""

    def __and__(self, other: "Condition") -> "Condition":
        return AllOf(_parts(AllOf, self, other)) if _is_condition(other) else NotImplemented

    def __or__(self, other: "Condition") -> "Condition":
        return AnyOf(_parts(AnyOf, self, other)) if _is_condition(other) else NotImplemented

    def __bool__(self) -> bool:
        raise TypeError("conditions are combined with & and |: `and`, `or` and `not` would pick one of them")


@dataclass(frozen=True, slots=True)
class SimpleCondition(Condition):
    """One thing that can happen."""

    text: str
    checks: tuple[Check, ...] = field(default=(), kw_only=True)

    def leaves(self) -> "Iterator[SimpleCondition]":
        """The condition itself."""
        yield self

    def where(self, predicate: Callable[[Occurrence], object]) -> Self:
        """Return the same condition for those occurrences only that `predicate` holds for."""
        if not callable(predicate):
            raise TypeError(f"where() takes a function of an Occurrence, not {predicate!r}")
        return replace(self, text=f"{self.text}.where({name_of(predicate)})", checks=(*self.checks, predicate))

    def is_met_by(self, occurrence: Occurrence) -> bool:
        """Whether this has happened; raises what a predicate raises."""
        return self._concerns(occurrence) and all(check(occurrence) for check in self.checks)

    @abstractmethod
    def _concerns(self, occurrence: Occurrence) -> bool:
        """Whether it is that kind of thing at all."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TaskCondition(SimpleCondition):
    """An invocation of a task has reached a status."""

    task_id: str = field(kw_only=True)
    statuses: frozenset[InvocationStatus] = field(kw_only=True)
    errors: tuple[type[BaseException], ...] = field(default=(), kw_only=True)
    """What it must have raised; empty: whatever happened."""
    app: Any = field(default=None, kw_only=True, compare=False, repr=False)
    """The app of the task, where it is known."""

    def _concerns(self, occurrence: Occurrence) -> bool:
        return (
            occurrence.task_id == self.task_id
            and occurrence.status in self.statuses
            and (not self.errors or isinstance(occurrence.error, self.errors))
        )


@dataclass(frozen=True, slots=True)
class EventCondition(SimpleCondition):
    """An event was emitted."""

    event: str = field(kw_only=True)

    def _concerns(self, occurrence: Occurrence) -> bool:
        return occurrence.event == self.event


@dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """Each of the parts has happened."""

    parts: tuple[Condition, ...]

    def leaves(self) -> Iterator[SimpleCondition]:
        """Those of the parts."""
        for part in self.parts:
            yield from part.leaves()

    def __str__(self) -> str:
        return " & ".join(f"({part})" if isinstance(part, AnyOf) else str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """One of the parts has happened."""

    parts: tuple[Condition, ...]

    def leaves(self) -> Iterator[SimpleCondition]:
        """Those of the parts."""
        for part in self.parts:
            yield from part.leaves()

    def __str__(self) -> str:
        return " | ".join(str(part) for part in self.parts)


def joins(condition: Condition) -> bool:
    """Whether anything has to be remembered for it: whether it has an `&` in it."""
    return isinstance(condition, AllOf) or (isinstance(condition, AnyOf) and any(map(joins, condition.parts)))


def _is_condition(value: object) -> bool:
    return isinstance(value, Condition)


def _parts(kind: type[AllOf] | type[AnyOf], *conditions: Condition) -> tuple[Condition, ...]:
    """`a & b & c` has three parts, however it is bracketed."""
    found: list[Condition] = []
    for condition in conditions:
        found.extend(condition.parts if isinstance(condition, kind) else (condition,))
    return tuple(found)


def name_of(function: Callable[..., object]) -> str:
    """What a function is called; the same in every process."""
    return getattr(function, "__qualname__", None) or show(function)
