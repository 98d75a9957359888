"""A call of a task with registration concurrency: new, or a duplicate of one that is registered."""

import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

from pynenc_async.arguments import same_values, show
from pynenc_async.errors import ConcurrencyLimitError
from pynenc_async.function import Values
from pynenc_async.headroom import add_headroom
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.reused import ReusedInvocation
from pynenc_async.options import OnDuplicate
from pynenc_async.record import Record
from pynenc_async.scheduler.registration import Registry
from pynenc_async.scheduler.scheduler import Scheduler
from pynenc_async.store.values import REPLACED

Handle = DistributedInvocation[Any, Any]


class Office(Protocol):
    """Where calls are submitted; `dispatch.Dispatcher` is it."""

    @property
    def scheduler(self) -> Scheduler:
        """Decides."""
        ...

    def submit(self, task: Any, values: Values) -> Handle:
        """Submit a call, whatever else is registered."""
        ...

    def submit_if_room(self, task: Any, values: Values) -> Handle:
        """The same; raise `QueueFullError` where no more may wait."""
        ...

    def standing_elsewhere(self, task: Any, key: Any) -> Handle | None:
        """Return the invocation of another process that makes a call with this key a duplicate."""
        ...

    def undo(self, record: Record) -> None:
        """End an invocation whose call has raised half-way."""
        ...

    def decide(self, decision: Callable[..., object], *args: object) -> None:
        """Let the scheduler decide something: now, or in its loop as soon as possible."""
        ...


class Duplicates:
    """Decides what a call becomes."""

    def __init__(self, registry: Registry, office: Office) -> None:
        self._registry: Final = registry
        self._office: Final = office

    def submit(self, task: Any, values: Values) -> Handle | ReusedInvocation[Any, Any]:
        """Submit the call, or say what stands for it. Raises `ConcurrencyLimitError` where the task asks for it."""
        registry = self._registry
        with registry.lock:
            key = registry.key(task, values)
            standing: Any = registry.find(key) or self._office.standing_elsewhere(task, key)
            if standing is None:
                return self._register(key, task, values)
            on_duplicate = task.options.on_duplicate
            if on_duplicate is OnDuplicate.REPLACE:
                return self._replace(standing, key, task, values)
            if on_duplicate is OnDuplicate.SKIP:
                return self._skip(task, values, f"a duplicate of {standing.invocation_id}, which is {standing.status}")
            return self._reuse(standing, task, values)

    def _replace(self, standing: Record, key: Any, task: Any, values: Values) -> Handle:
        waits = standing._started_at is None
        if waits:  # first: what it leaves is the room for the other
            self._cancel(standing)
        record = self._register(key, task, values)
        if not waits:  # last: a call that finds no room replaces nothing
            self._cancel(standing)
        return record

    def _cancel(self, standing: Record) -> None:
        self._office.decide(self._office.scheduler.cancel, standing, REPLACED)

    def _skip(self, task: Any, values: Values, reason: str) -> Handle:
        def drop(record: Record) -> None:
            self._office.scheduler.drop(record, reason)

        return self._office.submit(task.queued_by(drop), values)

    def _register(self, key: Any, task: Any, values: Values) -> Handle:
        record = self._office.submit_if_room(task, values)
        try:
            if record._ended_at is None:
                self._registry.enter(key, record)
                if task.options.unique_for is not None:
                    self._office.decide(self._registry.keep_for, key, record, task.options.unique_for)
        except BaseException:
            limit = add_headroom()
            try:
                self._registry.leave(key, record)
                self._office.undo(record)
            finally:
                sys.setrecursionlimit(limit)
            raise
        return record

    def _reuse(self, standing: Handle, task: Any, values: Values) -> ReusedInvocation[Any, Any]:
        if task.options.on_duplicate is OnDuplicate.RAISE:
            raise refused_duplicate(task, standing.invocation_id)
        refusal = refused_reuse(task, standing, values)
        if refusal is not None:
            raise refusal
        return ReusedInvocation(standing, _differences(task, standing._values, values))


def refused_duplicate(task: Any, standing_id: str) -> ConcurrencyLimitError:
    """Return the error of a call that must not be a duplicate, and is one."""
    return ConcurrencyLimitError(
        standing_id,
        f"{task.task_id} is registered already, as invocation {standing_id}; its on_duplicate is "
        f"{task.options.on_duplicate.value!r}",
    )


def refused_reuse(task: Any, standing: Handle, values: Values) -> ConcurrencyLimitError | None:
    """Return the error of a duplicate with other arguments, where the task asks for one."""
    different = _differences(task, standing._values, values) if task.options.on_different_arguments_raise else None
    if not different:
        return None
    shown = "; ".join(f"{name}: {show(old)} there, {show(new)} here" for name, (old, new) in different.items())
    return ConcurrencyLimitError(
        standing.invocation_id,
        f"{task.task_id} is registered already, as invocation {standing.invocation_id}, with other arguments: {shown}",
    )


def _differences(task: Any, old: Values, new: Values) -> dict[str, tuple[Any, Any]]:
    pairs = zip(task.function.names, old, new, strict=True)
    return {name: (one, other) for name, one, other in pairs if not same_values((one,), (other,))}
