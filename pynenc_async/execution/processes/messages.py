"""What the app and a worker tell each other: structs in frames, of which each holds what was to be told at one moment."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pynenc_async.outcome import ErrorData


class Define(msgspec.Struct, array_like=True, tag=1, frozen=True, gc=False):
    """There is a task, called `index` from now on."""

    index: int
    task_id: str
    module: str
    qualname: str


class Run(msgspec.Struct, array_like=True, tag=2, frozen=True, gc=False):
    """A body to run, once its ticket comes as a token."""

    ticket: int
    task: int
    invocation_id: str
    attempt: int
    arguments: bytes
    """JSON, by parameter name."""
    window: int = 0
    """How many items of a generator may be on their way."""


class Credit(msgspec.Struct, array_like=True, tag=3, frozen=True, gc=False):
    """So many items more may be sent."""

    ticket: int
    count: int


class Stop(msgspec.Struct, array_like=True, tag=4, frozen=True, gc=False):
    """The body is to end, and the worker with it."""

    ticket: int


class Ready(msgspec.Struct, array_like=True, tag=11, frozen=True, gc=False):
    """The worker is there."""


class Began(msgspec.Struct, array_like=True, tag=12, frozen=True, gc=False):
    """The body is about to begin."""

    ticket: int


class Returned(msgspec.Struct, array_like=True, tag=13, frozen=True, gc=False):
    """The body returned."""

    ticket: int
    value: bytes
    """JSON."""
    seconds: float


class Raised(msgspec.Struct, array_like=True, tag=14, frozen=True):
    """The body raised."""

    ticket: int
    error: ErrorData
    seconds: float


class Reported(msgspec.Struct, array_like=True, tag=15, frozen=True, gc=False):
    """How far the body is."""

    ticket: int
    done: float
    total: float | None
    message: str


class Item(msgspec.Struct, array_like=True, tag=16, frozen=True, gc=False):
    """What a generator has yielded."""

    ticket: int
    value: bytes
    """JSON."""


ToWorker = Define | Run | Credit | Stop
FromWorker = Ready | Began | Returned | Raised | Reported | Item

_LENGTH_BYTES: Final = 4
MAX_FRAME: Final = (1 << 8 * _LENGTH_BYTES) - 1
"""The longest frame: 4 GiB."""
_encode: Final = msgspec.msgpack.Encoder().encode


def frame(messages: Sequence[object]) -> bytes:
    """Return the frame of some messages."""
    data = _encode(messages)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


class Frames:
    """Messages from bytes that come in pieces of any size."""

    def __init__(self, kind: Any) -> None:
        several: Any = list[kind]
        self._decode: Final[Any] = msgspec.msgpack.Decoder(several).decode
        self._pieces = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Return the messages that are complete now; raise msgspec's error for what is none."""
        pieces = self._pieces
        if not pieces and int.from_bytes(data[:_LENGTH_BYTES], "big") == len(data) - _LENGTH_BYTES:
            messages: list[Any] = self._decode(
                memoryview(data)[_LENGTH_BYTES:]
            )  # the usual case: one frame, in one piece
            return messages
        pieces += data
        messages = []
        while len(pieces) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(pieces[:_LENGTH_BYTES], "big")
            if len(pieces) < end:
                break
            messages += self._decode(bytes(pieces[_LENGTH_BYTES:end]))
            del pieces[:end]
        return messages
