"""An invocation as JSON, and back. No I/O, and nothing is decoded to types that the task does not name."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from pynenc_async.arguments import decode_values
from pynenc_async.codec import PLAIN, decode, encode
from pynenc_async.envelope import Envelope, Outgoing, from_json, to_json
from pynenc_async.errors import SerializationError
from pynenc_async.function import Function
from pynenc_async.invocation.base import AppRecord
from pynenc_async.outcome import ErrorData, describe, rebuild
from pynenc_async.record import Identity, Record, TaskRecord
from pynenc_async.status import InvocationStatus

_SUCCESS: Final = InvocationStatus.SUCCESS

parse = from_json


def write(record: Record, identity: Identity, failure: Callable[[], BaseException], *, careful: bool = False) -> str:
    """Return the JSON text of an invocation; `failure` gives what a waiter would see, where it did not succeed.

    Plain values are embedded as they are: one call of msgspec writes it all. It cannot say which value it choked on, so
    then, as for all other values, each is written alone, with care.
    """
    task, values = record._task, record._values
    result: Any = record._outcome if record._status is _SUCCESS else UNSET
    error: ErrorData | UnsetType = UNSET
    careful = careful or type(result) not in PLAIN or not PLAIN.issuperset(map(type, values))
    if careful:
        arguments: Any = Raw(_encode(task, "arguments", dict(zip(task.function.names, values, strict=True))))
        if result is not UNSET:
            result = Raw(_encode(task, "result", result))
        elif record._ended_at is not None:
            error = describe(failure())
    else:
        arguments = task.function.values_type(*values)
    outgoing = Outgoing(  # by position, which is twice as fast as by keyword
        1,
        identity[0],
        task.task_id,
        arguments,
        identity[1],
        record._status,
        record._retries,
        record._registered_at,
        record._started_at,
        record._ended_at,
        identity[2],
        result,
        error,
    )
    try:
        return to_json(outgoing)
    except SerializationError:
        if careful:
            raise
    return write(record, identity, failure, careful=True)


def _encode(task: TaskRecord, field: str, value: object) -> bytes:
    try:
        return encode(value, field=field)
    except SerializationError as error:
        raise SerializationError(error.field, f"{error.problem} (task {task.task_id})") from error


def fill(record: Record, app: AppRecord, envelope: Envelope) -> None:
    """Make `record`, of which nothing is initialised, the handle that the envelope describes."""
    task = _task(app, envelope)
    function = task.function
    record._task = task
    record._values = decode_values(function, envelope.arguments)
    record._number = 0
    record._parent = (envelope.invocation_id, envelope.parent_invocation_id, envelope.runner_id)
    record._context = record._waiters = record._driver = record._more = None
    record._registered_at = envelope.registered_at
    record._started_at = envelope.started_at
    record._ended_at = envelope.ended_at
    record._status = envelope.status
    record._retries = envelope.num_retries
    record._outcome = _outcome(task, envelope)


def _task(app: AppRecord, envelope: Envelope) -> Any:
    try:
        return app.get_task(envelope.task_id)
    except KeyError:
        problem = f"{envelope.task_id!r} is not a task of app {app.app_id!r}; import the module that defines it first"
        raise SerializationError("task_id", problem) from None


def _outcome(task: TaskRecord, envelope: Envelope) -> Any:
    if envelope.result is not UNSET:
        return decode(envelope.result, task.function.annotations.get("return", Any), field="result")
    if envelope.error is not UNSET:
        return rebuild(envelope.error, known_modules=_known_modules(task.function, task))
    return None


def _known_modules(function: Function, task: TaskRecord) -> set[str]:
    """The modules whose exceptions come back as themselves: the task's own, and those of what it retries."""
    return {function.module, *(kind.__module__ for kind in task.options.retry_for)}
