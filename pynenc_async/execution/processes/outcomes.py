"""How a body in another process has ended, as the app is told of it."""

import sys
from typing import Any

from pynenc_async.codec import decode_with
from pynenc_async.errors import WorkerCrashedError
from pynenc_async.execution.hiring import why
from pynenc_async.execution.processes.process import signal_name
from pynenc_async.outcome import ErrorData, rebuild, value_error
from pynenc_async.record import Record

Outcome = tuple[bool, Any]
"""Whether the body returned, and what it returned or raised."""


def returned(record: Record, data: bytes) -> Outcome:
    """Decode a result to the annotation of the function."""
    try:
        return True, decode_with(record._task.function.result_decoder, data, "result")
    except BaseException as problem:  # noqa: BLE001  code of the annotated classes runs here, too
        return False, value_error(problem, "result")


def raised(error: ErrorData) -> Outcome:
    """Make the exception that the body raised; of every class that is loaded here, for a worker runs the same program."""
    return False, rebuild(error, known_modules=sys.modules)


def crashed(record: Record, invocation_id: str, exit_code: int) -> Outcome:
    """Make the error of a body whose worker has died, and count it."""
    more, task_id = record.need_more(), record._task.task_id
    more.crashes += 1
    how = signal_name(exit_code)
    death = f"ended with exit code {exit_code}" if how is None else f"was killed by {how}"
    problem = f"the worker process of invocation {invocation_id} of task {task_id} {death}"
    if more.crashes > 1:
        problem += f"; this is crash number {more.crashes} of this invocation"
    return False, WorkerCrashedError(
        problem, task_id=task_id, exit_code=exit_code, signal_name=how, crashes=more.crashes
    )


def no_worker(record: Record, cause: Exception) -> Outcome:
    """Make the error of a body for which no worker could be started."""
    task_id = record._task.task_id
    problem = f"no worker process could start for task {task_id}: {why(cause)}; what it wrote to stderr says more"
    error = WorkerCrashedError(problem, task_id=task_id)
    error.__cause__ = cause
    return False, error
