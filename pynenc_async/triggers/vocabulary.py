"""The words in which conditions are written. A task may be given as its `task_id`, where it cannot be imported."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from pynenc_async.arguments import show
from pynenc_async.status import InvocationStatus
from pynenc_async.task import Task
from pynenc_async.triggers.conditions import EventCondition, SimpleCondition, TaskCondition, name_of
from pynenc_async.triggers.occurrence import Occurrence

Result = TypeVar("Result")
AnyTask = Task[..., Any]

_SUCCESS: Final = frozenset({InvocationStatus.SUCCESS})
_FAILED: Final = frozenset({InvocationStatus.FAILED})


def succeeded(task: AnyTask | str) -> SimpleCondition:
    """An invocation of `task` has succeeded."""
    return TaskCondition(f"succeeded({_id(task)})", task_id=_id(task), statuses=_SUCCESS, app=_app(task))


def failed(task: AnyTask | str, error: type[BaseException] | tuple[type[BaseException], ...] = ()) -> SimpleCondition:
    """An invocation of `task` has failed for good: with one of these errors, where they are given."""
    errors = error if isinstance(error, tuple) else (error,)
    if not all(isinstance(one, type) and issubclass(one, BaseException) for one in cast("tuple[Any, ...]", errors)):
        raise TypeError(f"failed() takes an exception class or a tuple of them, not {error!r}")
    text = ", ".join([_id(task), *(one.__qualname__ for one in errors)])
    return TaskCondition(f"failed({text})", task_id=_id(task), statuses=_FAILED, errors=errors, app=_app(task))


def reached(task: AnyTask | str, status: InvocationStatus, *others: InvocationStatus) -> SimpleCondition:
    """An invocation of `task` has reached one of these statuses; each time that it does so counts."""
    statuses = list(map(InvocationStatus, dict.fromkeys((status, *others))))
    text = ", ".join([_id(task), *statuses])
    return TaskCondition(f"reached({text})", task_id=_id(task), statuses=frozenset(statuses), app=_app(task))


def returned(task: Task[..., Result], expected: Callable[[Result], object] | Result) -> SimpleCondition:
    """An invocation of `task` has returned what equals `expected` or, where that is a function, what it holds for."""
    check: _Holds | _Equals = (
        _Holds(cast("Callable[[Any], object]", expected)) if callable(expected) else _Equals(expected)
    )
    return TaskCondition(
        f"returned({_id(task)}, {check})", task_id=_id(task), statuses=_SUCCESS, app=_app(task), checks=(check,)
    )


def emitted(event: str, predicate: Callable[[Any], object] | None = None) -> SimpleCondition:
    """`app.emit(event, payload)` was called: with a payload that `predicate` holds for, where it is given."""
    if not isinstance(event, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need no checker
        raise TypeError(f"emitted() takes the name of an event, not {event!r}")
    if predicate is None:
        return EventCondition(f"emitted({event!r})", event=event)
    check = _HoldsForPayload(predicate)
    return EventCondition(f"emitted({event!r}, {check})", event=event, checks=(check,))


@dataclass(frozen=True, slots=True)
class _Holds:
    """A predicate holds for the result."""

    predicate: Callable[[Any], object]

    def __call__(self, occurrence: Occurrence) -> object:
        return self.predicate(occurrence.result)

    def __str__(self) -> str:
        return name_of(self.predicate)


@dataclass(frozen=True, slots=True)
class _HoldsForPayload:
    """A predicate holds for the payload."""

    predicate: Callable[[Any], object]

    def __call__(self, occurrence: Occurrence) -> object:
        return self.predicate(occurrence.payload)

    def __str__(self) -> str:
        return name_of(self.predicate)


@dataclass(frozen=True, slots=True)
class _Equals:
    """The result equals a value."""

    expected: Any

    def __call__(self, occurrence: Occurrence) -> object:
        return occurrence.result == self.expected

    def __str__(self) -> str:
        return show(self.expected)


def _id(task: AnyTask | str) -> str:
    if isinstance(task, str):
        return task
    if not isinstance(task, Task):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need no checker
        raise TypeError(f"a condition takes a task or its task_id, not {task!r}; decorate it with @app.task first")
    return task.task_id


def _app(task: AnyTask | str) -> Any:
    return None if isinstance(task, str) else task.app
