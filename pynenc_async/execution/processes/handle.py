"""One worker in the hands of the app: what was sent to it, what it has told."""

from asyncio import AbstractEventLoop
from collections.abc import Sequence
from contextlib import suppress
from socket import SHUT_WR
from typing import Any, Final

import msgspec

from pynenc_async.execution.processes.driver import BodyDriver
from pynenc_async.execution.processes.messages import Define, Frames, FromWorker, Stop, frame
from pynenc_async.execution.processes.process import Life
from pynenc_async.execution.processes.tokens import give, take_back

_PIECE: Final = 1 << 18


class WorkerHandle:
    """Sends bodies and takes them back; reads what the worker tells. In the loop's thread."""

    def __init__(self, name: str, life: Life, loop: AbstractEventLoop) -> None:
        self.name: Final = name
        self.life: Final = life
        self._loop: Final = loop
        self.bodies: Final[dict[int, BodyDriver]] = {}
        """What it has and has not reported the end of, by ticket, in the order in which it will run them."""
        self.is_ready = False
        self.is_idle = False
        self.stopping = False
        """Whether it was told to end."""
        self.was_killed = False
        self.is_cut_off = False
        """Whether it has closed its end of the channel."""
        self.doomed: BodyDriver | None = None
        """The body for whose sake it is to end, once all that came before is told."""
        self._defined: Final[set[int]] = set()
        self._frames: Final = Frames(FromWorker)
        self._unsent = bytearray()
        self._tickets = 0

    @property
    def is_open(self) -> bool:
        """Whether it takes bodies."""
        return self.is_ready and not self.stopping and self.doomed is None

    def send(self, bodies: Sequence[BodyDriver], messages: list[Any], tasks: Sequence[Define]) -> None:
        """Send bodies, which `messages` describe, and the tasks that it does not know yet."""
        for body in bodies:
            if body.task not in self._defined:
                self._defined.add(body.task)
                messages.insert(0, tasks[body.task])
        self.tell(messages)
        give(self.life.tokens, [body.ticket for body in bodies])

    def take(self, body: BodyDriver) -> int:
        """Make `body` one of its own, and return its ticket."""
        self._tickets += 1
        body.ticket, body.worker = self._tickets, self
        self.bodies[self._tickets] = body
        return self._tickets

    def tell(self, messages: Sequence[Any]) -> None:
        """Send messages; what the channel does not take at once, as soon as it does."""
        data = frame(messages)
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self.life.data.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it is dead, which will be told in a moment
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self.life.data.fileno(), self._send_rest)

    def _send_rest(self) -> None:
        unsent = self._unsent
        try:
            del unsent[: self.life.data.send(unsent)]
        except BlockingIOError:
            return
        except OSError:
            unsent.clear()
        if not unsent:
            self._loop.remove_writer(self.life.data.fileno())

    def take_back(self, *, only: BodyDriver | None = None) -> list[BodyDriver]:
        """Return the bodies that it has not taken, and that will not be run here any more, in order.

        With `only`, this body alone, if it is one of them; the others stay.
        """
        tickets = take_back(self.life.far_tokens)
        if only is not None:
            rest = [ticket for ticket in tickets if ticket != only.ticket]
            if rest:
                give(self.life.tokens, rest)
            tickets = [only.ticket] if len(rest) < len(tickets) else []
        taken = [self.bodies.pop(ticket) for ticket in tickets]
        for body in taken:
            body.worker = None
        return taken

    def receive(self) -> list[Any]:
        """Return what it has told since the last time."""
        try:
            data = self.life.data.recv(_PIECE)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.is_cut_off = True  # it is about to end, has died, or has closed what it cannot do without
            self.unwatch()
            if not self.stopping:
                self.kill()
            return []
        try:
            return self._frames.feed(data)
        except msgspec.MsgspecError:
            self.kill()  # a body has written into the channel
            return []

    def receive_rest(self) -> list[Any]:
        """Return all that it has told before it died."""
        told: list[Any] = []
        with suppress(OSError, msgspec.MsgspecError):
            while data := self.life.data.recv(_PIECE):
                told += self._frames.feed(data)
        return told

    def unwatch(self) -> None:
        """Do not look at its channel any more."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self.life.data.fileno())
            self._loop.remove_writer(self.life.data.fileno())

    def terminate(self) -> None:
        """Ask it to end."""
        self.stopping = True
        if not self.life.can_be_killed and self.bodies:
            self.tell([Stop(next(iter(self.bodies)))])
        self.life.terminate()

    def kill(self) -> None:
        """End it."""
        self.was_killed = True
        if self.life.can_be_killed:
            self.stopping = True
            self.life.kill()
        else:
            self.terminate()

    def retire(self) -> None:
        """Let it end when it has done all that it has: there will be no more."""
        self.stopping = True
        with suppress(OSError):
            self.life.tokens.shutdown(SHUT_WR)
