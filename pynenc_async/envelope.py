"""The envelope: one invocation as one flat, versioned JSON object.

Arguments and result are embedded JSON that stays undecoded (`msgspec.Raw`) until somebody who knows the annotations
asks for it. Reading trusts nothing: types, lengths and ranges are msgspec's constraints, checked in C; what they cannot
say is checked by `_check`. Writing trusts the scheduler, whose records cannot contradict the status machine.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from pynenc_async.codec import located
from pynenc_async.errors import SerializationError
from pynenc_async.outcome import ErrorData
from pynenc_async.status import InvocationStatus

MAX_SIZE: Final = 64 * 1024 * 1024
"""Characters or bytes of JSON. Far beyond a sensible message, yet a hostile one cannot fill the memory."""
LATEST: Final = 253_402_300_799.0
"""The last second of the year 9999: a later timestamp is not a date that Python can show."""

_SUCCESS: Final = InvocationStatus.SUCCESS
_OPENING_BRACE: Final = ord("{")
_FAILED: Final = InvocationStatus.FAILED

Identifier = Annotated[str, Meta(min_length=1, max_length=512)]
Timestamp = Annotated[float, Meta(ge=0, le=LATEST)]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invocation, ready to travel."""

    version: Literal[1]
    invocation_id: Identifier
    task_id: Identifier
    arguments: Raw
    """A JSON object: the name of each parameter and its value."""
    parent_invocation_id: Identifier | None
    status: InvocationStatus
    num_retries: Annotated[int, Meta(ge=0)]
    registered_at: Timestamp
    started_at: Timestamp | None
    ended_at: Timestamp | None
    runner_id: Identifier | None
    result: Raw | UnsetType = UNSET
    """Set if and only if the invocation succeeded."""
    error: ErrorData | UnsetType = UNSET
    """Set if the invocation failed; may be set after any other end without a result."""


class Outgoing(msgspec.Struct, gc=False):
    """The same object when it is written: the values may be embedded as they are, where msgspec writes them alone."""

    version: int
    invocation_id: str
    task_id: str
    arguments: Any
    parent_invocation_id: str | None
    status: str
    num_retries: int
    registered_at: float
    started_at: float | None
    ended_at: float | None
    runner_id: str | None
    result: Any = UNSET
    error: ErrorData | UnsetType = UNSET


def to_json(envelope: Envelope | Outgoing) -> str:
    """Return the JSON text of an envelope; raise `SerializationError` if nobody would accept it for its size."""
    try:
        data = encode_envelope(envelope)
    except (ValueError, OverflowError) as error:  # a lone surrogate; an int of too many digits
        raise SerializationError("envelope", f"cannot be written: {error}") from error
    if len(data) > MAX_SIZE:
        _check_size(data)
    return data.decode()


def from_json(text: str | bytes) -> Envelope:
    """Return the envelope that `text` spells; raise `SerializationError`, naming the field, for anything else."""
    if len(text) > MAX_SIZE:
        _check_size(text)
    try:
        # msgspec skips what it does not decode; with the bytes of a stranger, that would let broken UTF-8 through.
        envelope = _decode(text if isinstance(text, str) else text.decode())
    except Exception as error:
        raise located(error, "", root="envelope") from error
    _check(envelope)
    return envelope


encode_envelope: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Envelope).decode


def _check_size(text: str | bytes) -> None:
    if len(text) > MAX_SIZE:
        raise SerializationError("envelope", f"is larger than {MAX_SIZE} characters; pass a reference to large data")


def _check(envelope: Envelope) -> None:
    e = envelope
    parent, runner = e.parent_invocation_id, e.runner_id
    # They are going to stand in a log line, a header, a URL.
    if not (
        e.invocation_id.isprintable()
        and e.task_id.isprintable()
        and (parent is None or parent.isprintable())
        and (runner is None or runner.isprintable())
    ):
        raise _unprintable(e)
    if memoryview(e.arguments)[0] != _OPENING_BRACE:
        raise SerializationError("arguments", "must be a JSON object, with one member per parameter")
    if e.status is not _SUCCESS or e.ended_at is None or e.result is UNSET or e.error is not UNSET:
        _check_end(e)  # with a success that has a result and no error, all is well


def _check_end(e: Envelope) -> None:
    final = e.status.is_final()
    if final is (e.ended_at is None):
        raise SerializationError("ended_at", f"must {'' if final else 'not '}be set when the status is {e.status}")
    if (e.status is _SUCCESS) is (e.result is UNSET):
        raise SerializationError("result", f"must be set if the status is success, and only then; it is {e.status}")
    if e.error is UNSET:
        if e.status is _FAILED:
            raise SerializationError("error", "must be set when the status is failed")
    elif not final or e.status is _SUCCESS:
        raise SerializationError("error", f"must not be set when the status is {e.status}")


def _unprintable(envelope: Envelope) -> SerializationError:
    names = ("invocation_id", "task_id", "parent_invocation_id", "runner_id")
    field = next(name for name in names if not str(getattr(envelope, name)).isprintable())
    return SerializationError(field, "contains a character that cannot be printed")
