"""The limits of a task as a store counts them, for all processes together. Pure."""

from typing import Any, Final

from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import TaskOptions
from pynenc_async.record import Record
from pynenc_async.scheduler.rules import Rule
from pynenc_async.store.values import Permit, RatePermit, Refusal, RefusalKind, Unique

_TOTAL: Final = "total"


def permits_of(record: Record) -> tuple[Permit, ...]:
    """Return what a start needs."""
    options: TaskOptions = record._task.options
    permits: list[Permit] = []
    if options.running_total is not None:
        permits.append(Permit(_name(record, _TOTAL), options.running_total))
    if options.running_concurrency is not ConcurrencyControlType.DISABLED:
        key = record._task.permit_key(record._values)
        permits.append(Permit(_name(record, f"key {key!r}"), options.running_limit))
    return tuple(permits)


def rate_of(record: Record) -> RatePermit | None:
    """Return the rate that a start must fit."""
    rate = record._task.options.rate_limit
    if rate is None:
        return None
    name = _name(record, f"rate {record._task.bucket_key(record._values)!r}")
    return RatePermit(name, rate.interval, rate.capacity, rate.window)


def rule_of(refusal: Refusal) -> Rule:
    """Return which rule of the task a store has refused a start by."""
    if refusal.kind is RefusalKind.RATE:
        return Rule.RATE
    return Rule.TOTAL if refusal.detail.endswith(f" {_TOTAL}") else Rule.KEY


def unique_of(task: Any, key: Any, now: float, *, replace: bool) -> Unique:
    """Return under which key a call stands for its duplicates; `key` is what the `Registry` compares."""
    options: TaskOptions = task.options
    return Unique(
        key=unique_key(task.task_id, key),
        until_started=options.unique_for is None and options.unique_until == "started",
        until=None if options.unique_for is None else now + options.unique_for,
        since=None if options.unique_for is None else now,
        replace=replace,
    )


def unique_key(task_id: str, key: Any) -> str:
    """Return the text under which a call of the task with this id stands."""
    return f"{task_id} {key[1]!r}"


def _name(record: Record, what: str) -> str:
    return f"{record._task.task_id} {what}"
