"""One body in a thread."""

import time
from collections.abc import Mapping
from contextvars import Context
from typing import Any, Final

from pynenc_async.context import CURRENT
from pynenc_async.errors import WorkerCrashedError
from pynenc_async.execution.hiring import why
from pynenc_async.execution.plain import returned
from pynenc_async.execution.threads.driver import ThreadDriver
from pynenc_async.execution.tracebacks import without_our_frames
from pynenc_async.record import Record

_NOTHING: Final[Mapping[str, Any]] = {}

Ended = tuple[Record, ThreadDriver, bool, Any, float]
"""Record, its driver, whether it returned, what it returned or raised, and how many seconds it took."""


def surroundings_of(record: Record) -> tuple[Any, Mapping[str, Any]]:
    """Return the context of an attempt, and what is injected."""
    handed = None if record._more is None else record._more.handed
    if handed is not None:
        return handed.context, handed.injected
    context: Any = record._context
    return (context.copy() if context is not None and record._task.options.max_retries else context), _NOTHING


def run(driver: ThreadDriver, record: Record, context: Context, injected: Mapping[str, Any]) -> Ended:
    """Run it, and return how it ended."""
    began = time.perf_counter()
    try:
        value = context.run(_call, record, injected)
        return record, driver, True, value, time.perf_counter() - began
    except BaseException as error:  # noqa: BLE001  whatever a body ends in, its invocation ends
        return record, driver, False, without_our_frames(error), time.perf_counter() - began
    finally:
        del record, driver, context, injected


def _call(record: Record, injected: Mapping[str, Any]) -> Any:
    CURRENT.set(record)
    function = record._task.function
    return returned(function, function.call(*record._values, **injected))


def no_thread(record: Record, cause: Exception) -> WorkerCrashedError:
    """Make the error of a body for which no thread could be started."""
    task_id = record._task.task_id
    error = WorkerCrashedError(f"no thread could start for task {task_id}: {why(cause)}", task_id=task_id)
    error.__cause__ = cause
    return error
