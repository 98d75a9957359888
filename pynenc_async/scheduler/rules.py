"""The rules by which an invocation may have to wait for its permit, and their words. Pure."""

from enum import Enum

from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import TaskOptions
from pynenc_async.record import Record


class Rule(Enum):
    """What stands in the way."""

    TOTAL = "running_total"
    KEY = "running_limit"
    RATE = "rate_limit"


def narrowest(options: TaskOptions) -> Rule:
    """Return the narrowest of the limits that a task has."""
    if options.running_concurrency is not ConcurrencyControlType.DISABLED:
        return Rule.KEY
    return Rule.RATE if options.rate_limit is not None else Rule.TOTAL


def in_words(record: Record, rule: Rule) -> str:
    """Say what stands in the way of `record`."""
    options = record._task.options
    if rule is Rule.TOTAL:
        return f"running_total={options.running_total} of task {record._task.task_id} is reached"
    if rule is Rule.RATE:
        return f"rate_limit={options.rate_limit} of {_scope(record, options.rate_limit.scope)} is reached"
    return f"running_limit={options.running_limit} of {_scope(record, options.running_concurrency)} is reached"


def _scope(record: Record, scope: ConcurrencyControlType) -> str:
    task = record._task
    if scope is ConcurrencyControlType.TASK:
        return f"task {task.task_id}"
    names = task.function.names if scope is ConcurrencyControlType.ARGUMENTS else task.options.key_arguments
    chosen = dict(zip(task.function.names, record._values, strict=True))
    return f"task {task.task_id} with " + ", ".join(f"{name}={chosen[name]!r:.100}" for name in names)
