"""An invocation as JSON, and back. No I/O, and nothing is decoded to types that the task does not name."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from pynenc_async.arguments import decode_values, encode_values
from pynenc_async.codec import decode_with
from pynenc_async.envelope import MAX_SIZE, Envelope, Outgoing, encode_envelope, from_json, to_json
from pynenc_async.errors import SerializationError
from pynenc_async.function import Function
from pynenc_async.invocation.base import AppRecord
from pynenc_async.outcome import ErrorData, describe, rebuild_error
from pynenc_async.record import Identity, Record, TaskRecord
from pynenc_async.status import InvocationStatus

_SUCCESS: Final = InvocationStatus.SUCCESS
_SUCCESS_TEXT: Final = _SUCCESS.value

parse = from_json


def write_plain(record: Record, identity: Identity) -> str | None:
    """Return the JSON text of an invocation that returned a plain value for plain ones; None where `write` is needed.

    Plain values are embedded as they are: one call of msgspec writes it all.
    """
    task, values, result = record._task, record._values, record._outcome
    function = task.function
    if record._status is not _SUCCESS or type(result) not in function.result_wire.kinds:
        return None
    index = 0
    for kinds in function.plain_kinds:  # not by `zip` or `enumerate`, which take longer than all of the loop
        if type(values[index]) not in kinds:
            return None
        index += 1  # noqa: SIM113
    try:
        data = encode_envelope(
            Outgoing(  # by position, which is twice as fast as by keyword
                1,
                identity[0],
                task.task_id,
                function.values_type(*values),
                identity[1],
                _SUCCESS_TEXT,
                record._retries,
                record._registered_at,
                record._started_at,
                record._ended_at,
                identity[2],
                result,
            )
        )
    except (ValueError, OverflowError):
        return None  # msgspec cannot say which value it choked on: `write` can
    return data.decode() if len(data) <= MAX_SIZE else None


def write(record: Record, identity: Identity, failure: Callable[[], BaseException]) -> str:
    """Return the JSON text of any invocation; `failure` gives what a waiter would see, where it did not succeed.

    Each value is written alone, with care. Raises `SerializationError` that names task and field.
    """
    task = record._task
    result: Raw | UnsetType = UNSET
    error: ErrorData | UnsetType = UNSET
    arguments = Raw(encode_values(task.function, record._values))
    if record._status is _SUCCESS:
        result = Raw(_encode_result(task, record._outcome))
    elif record._ended_at is not None:
        error = describe(failure())
    return to_json(
        Outgoing(
            1,
            identity[0],
            task.task_id,
            arguments,
            identity[1],
            record._status.value,
            record._retries,
            record._registered_at,
            record._started_at,
            record._ended_at,
            identity[2],
            result,
            error,
        )
    )


def _encode_result(task: TaskRecord, value: object) -> bytes:
    try:
        return task.function.result_wire.encode(value, field="result")
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
        return decode_with(task.function.result_decoder, envelope.result, "result")
    if envelope.error is not UNSET:
        return rebuild_error(envelope.error, known_modules=_known_modules(task.function, task))
    return None


def _known_modules(function: Function, task: TaskRecord) -> set[str]:
    """The modules whose exceptions come back as themselves: the task's own, and those of what it retries."""
    return {function.module, *(kind.__module__ for kind in task.options.retry_for)}
