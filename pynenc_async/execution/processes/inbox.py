"""What the app tells a worker: bodies to run, and what concerns the one that runs."""

from collections import deque
from socket import socket
from typing import Final

from pynenc_async.execution.processes.messages import Credit, Define, Frames, Run, Stop, ToWorker
from pynenc_async.execution.processes.stopping import Stopping
from pynenc_async.execution.processes.tokens import DONT_WAIT, claim, claim_now
from pynenc_async.forks import tell_of_forks

_PIECE: Final = 1 << 18


class Inbox:
    """The worker's view of both channels."""

    def __init__(self, tokens: socket, data: socket, stopping: Stopping) -> None:
        self._tokens: Final = tokens
        self._data: Final = data
        self._stopping: Final = stopping
        self._frames: Final = Frames(ToWorker)
        self._runs: Final[deque[Run]] = deque()
        self.tasks: Final[dict[int, Define]] = {}
        self.credit = 0
        """How many items the generator that runs may still send."""
        self._ticket = 0
        tell_of_forks(self)

    def note_fork(self) -> None:
        """In a child of a body: what comes is for the parent alone."""
        self._tokens.close()
        self._data.close()

    def fileno(self) -> int:
        """Readable when there is something to `look` at."""
        return self._data.fileno()

    def next_now(self) -> Run | None:
        """Return the next body, if one is there to be taken now."""
        ticket = claim_now(self._tokens)
        return None if ticket is None else self._take(ticket)

    def next(self) -> Run | None:
        """Wait for the next body; None when the app is gone."""
        ticket = claim(self._tokens)
        return None if ticket is None else self._take(ticket)

    def look(self) -> None:
        """Take in what has come for the body that runs; raises `EOFError` when the app is gone."""
        try:
            self._feed(self._data.recv(_PIECE, DONT_WAIT))
        except BlockingIOError:
            return

    def _take(self, ticket: int) -> Run:
        runs = self._runs
        while True:
            while runs:
                run = runs.popleft()
                if run.ticket == ticket:
                    self._ticket, self.credit = ticket, run.window
                    return run
                # Else it was taken back: the ticket that comes is always that of a later one.
            self._feed(self._data.recv(_PIECE))

    def _feed(self, data: bytes) -> None:
        if not data:
            raise EOFError
        for message in self._frames.feed(data):
            match message:
                case Run():
                    self._runs.append(message)
                case Define():
                    self.tasks[message.index] = message
                case Credit() if message.ticket == self._ticket:
                    self.credit += message.count
                case Stop() if message.ticket == self._ticket:
                    self._stopping.request()
                case _:
                    pass  # for a body that has ended
