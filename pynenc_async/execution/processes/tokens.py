"""Tokens: who reads the number of a body first has the body, be it the worker or the app that takes it back.

Numbers are written and read whole. A read takes the lock of the socket for all that it copies, so two readers never
share a number (`tests/processes/test_tokens.py`).
"""

import socket as sockets
import struct
from collections.abc import Iterable
from socket import socket
from typing import Final

DONT_WAIT: Final = getattr(sockets, "MSG_DONTWAIT", 0)
"""For one read; there is none on Windows, where there are no worker processes either."""
_NUMBER: Final = struct.Struct("=Q")
_MANY: Final = _NUMBER.size * 1024


def give(channel: socket, tickets: Iterable[int]) -> None:
    """Write tickets, in order; the channel holds far more of them than are ever sent ahead."""
    channel.sendall(b"".join(map(_NUMBER.pack, tickets)))


def take_back(far_end: socket) -> list[int]:
    """Read every ticket that the worker has not taken."""
    try:
        data = far_end.recv(_MANY, DONT_WAIT)
    except OSError:
        return []  # there are none, or the worker is buried
    return [number for (number,) in _NUMBER.iter_unpack(data)]


def claim(channel: socket) -> int | None:
    """Wait for a ticket and take it; None when the app is gone."""
    return _number(channel.recv(_NUMBER.size))


def claim_now(channel: socket) -> int | None:
    """Take a ticket if there is one now."""
    try:
        return _number(channel.recv(_NUMBER.size, DONT_WAIT))
    except BlockingIOError:
        return None


def _number(data: bytes) -> int | None:
    return _NUMBER.unpack(data)[0] if data else None
