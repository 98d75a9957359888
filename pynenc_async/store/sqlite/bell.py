"""The bell between processes: an empty-handed datagram on the loopback interface, to whoever may want to look."""

import contextlib
import secrets
import socket
import time
from collections.abc import Sequence
from typing import Final

_HOST: Final = "127.0.0.1"
_TOKEN_BYTES: Final = 16
_WAKE: Final = b"wake"
_LONGEST: Final = 64
_PORTS: Final = 1 << 16

Ear = tuple[int, bytes]
"""Where a runner listens: port and token. A datagram without the token is somebody else's."""


def is_ear(port: object, token: object) -> bool:
    """Whether this is an ear: it comes out of the database, and that may be a stranger's."""
    return isinstance(port, int) and 0 < port < _PORTS and isinstance(token, bytes)


class Bell:
    """Rings others, and hears when it is rung itself. Where there are no sockets it is dumb and deaf: the tick remains."""

    def __init__(self) -> None:
        self.token: Final = secrets.token_bytes(_TOKEN_BYTES)
        self.others: Sequence[Ear] = ()
        """Whom to ring; replaced as a whole, by the keeper."""
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int | None:
        """Where it listens."""
        return None if self._socket is None else int(self._socket.getsockname()[1])

    def hang(self) -> None:
        """Begin to listen."""
        with contextlib.suppress(OSError):
            heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                heard.bind((_HOST, 0))
            except OSError:
                heard.close()
                raise
            self._socket = heard

    def ring(self) -> None:
        """Ring all others. What cannot be sent is lost, and costs them a tick."""
        for port, token in self.others:
            self._send(port, token)

    def wake(self) -> None:
        """End the `wait` of this process's own thread."""
        if self.port is not None:
            self._send(self.port, _WAKE + self.token)

    def wait(self, seconds: float) -> bool:
        """Wait for a ring, in a thread of its own; return whether there was one."""
        if self._socket is None:
            time.sleep(min(seconds, 0.1))  # nothing can end this wait
            return False
        heard = self._socket
        heard.settimeout(max(seconds, 0.001))
        try:
            rung = heard.recv(_LONGEST) == self.token
            heard.setblocking(False)
            return self._drain(heard) or rung
        except TimeoutError:
            return False
        except OSError:
            time.sleep(min(seconds, 0.1))  # it is out of order, and must not keep whoever waits here busy
            return False

    def _drain(self, heard: socket.socket) -> bool:
        """However many have rung, it is one ring."""
        rung = False
        with contextlib.suppress(OSError):
            while True:
                rung = heard.recv(_LONGEST) == self.token or rung
        return rung

    def _send(self, port: int, message: bytes) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(message, (_HOST, port))

    def take_down(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
