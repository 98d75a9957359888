"""An invocation as JSON, and back. No I/O, and nothing is decoded to types that the task does not name."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from pynenc_async.arguments import decode_values
from pynenc_async.codec import decode, encode
from pynenc_async.envelope import Envelope, from_json, to_json
from pynenc_async.errors import SerializationError
from pynenc_async.function import Function
from pynenc_async.invocation.base import AppRecord
from pynenc_async.outcome import describe, rebuild
from pynenc_async.record import More, Record, Restored, TaskRecord
from pynenc_async.status import InvocationStatus

_SUCCESS: Final = InvocationStatus.SUCCESS
_CANCELLED: Final = InvocationStatus.CANCELLED
_VERSION: Final = 1
_NO_ARGUMENTS: Final = Raw(b"{}")
_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode

parse = from_json


def write(record: Record, restored: Restored, failure: BaseException | None) -> str:
    """Return the JSON text of an invocation, whose identity is `restored`; `failure` is what a waiter would see."""
    task: TaskRecord = record._task
    return to_json(
        Envelope(
            version=_VERSION,
            invocation_id=restored.invocation_id,
            task_id=task.task_id,
            arguments=_arguments(task, record._values),
            parent_invocation_id=restored.parent_invocation_id,
            status=record._status,
            num_retries=record._retries,
            registered_at=record._registered_at,
            started_at=record._started_at,
            ended_at=record._ended_at,
            runner_id=restored.runner_id,
            result=Raw(_encode(task, "result", record._outcome)) if record._status is _SUCCESS else UNSET,
            error=UNSET if failure is None else describe(failure),
        )
    )


def _arguments(task: TaskRecord, values: tuple[Any, ...]) -> Raw:
    if not values:
        return _NO_ARGUMENTS
    return Raw(_encode(task, "arguments", dict(zip(task.function.names, values, strict=True))))


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
    record._values = decode_values(function, _members(envelope.arguments))
    record._number = 0
    record._parent = record._context = record._waiters = record._driver = None
    record._registered_at = envelope.registered_at
    record._started_at = envelope.started_at
    record._ended_at = envelope.ended_at
    record._status = envelope.status
    record._retries = envelope.num_retries
    record._outcome = _outcome(task, envelope)
    record._more = more = More()
    more.restored = Restored(envelope.invocation_id, envelope.parent_invocation_id, envelope.runner_id or "")


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
