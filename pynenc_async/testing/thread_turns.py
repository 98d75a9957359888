"""Threads take turns: in seeded mode, work that threads do for the loop is done one piece at a time.

Threads interleave as the machine likes, and no seed could repeat that. So here each piece of work waits for its turn,
and the loop, before it goes on, gives the turn to one piece after the other, in an order that the seed decides, until all
are done or wait for the loop. What a race between whole pieces can do is found so, and found again.

A piece that takes longer than a moment of real time (it computes, it sleeps, it waits for another thread) loses the turn
without having ended: others go on beside it, and with them what only the machine decides.
"""

import threading
from random import Random

from pynenc_async.testing.shuffle import deliver_as

MOMENT = 0.05  # real seconds: enough for a short piece on a machine that is busy with other things


class ThreadTurn:
    """The turns of one piece of work. Unless it says otherwise, a method is called in the thread that does the work."""

    def __init__(self, turns: "ThreadTurns", number: int, pool: object) -> None:
        self._turns = turns
        self.number = number
        self.pool = pool
        self.granted = False

    def wait(self) -> None:
        """Wait for the turn."""
        self._turns.wait_for(self)
        deliver_as(self.number)

    def pause(self) -> None:
        """Pass the turn on, to wait for something that the loop does."""
        self._turns.give_back(self)

    def resume(self) -> None:
        """Ask for another turn after a pause; called in the loop."""
        self._turns.ask(self)

    def end(self) -> None:
        """Pass the turn on for good; any thread may call it."""
        self._turns.give_back(self)
        self._turns.drop(self)


class ThreadTurns:
    """Who waits for a turn, and who has it."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._changed = threading.Condition()
        self._waiting: list[ThreadTurn] = []
        self._active: ThreadTurn | None = None
        self._issued = 0
        self._pieces: set[ThreadTurn] = set()
        self._closed = False

    @property
    def pieces(self) -> int:
        """How many pieces of work have begun and not ended."""
        return len(self._pieces)

    def issue(self, pool: object = None) -> ThreadTurn:
        """Return the turn of a new piece of work; called in the loop. Within a pool, pieces begin in order."""
        self._issued += 1
        turn = ThreadTurn(self, self._issued, pool)
        with self._changed:
            self._pieces.add(turn)
            self._waiting.append(turn)
        return turn

    def settle(self) -> None:
        """Let every piece have its turn, one by one; called in the loop."""
        with self._changed:
            while True:
                if not self._changed.wait_for(lambda: self._active is None, MOMENT):
                    self._active = None
                eligible = self._eligible()
                if not eligible:
                    return
                turn = self._active = self._rng.choice(eligible)
                self._waiting.remove(turn)
                turn.granted = True
                self._changed.notify_all()

    def _eligible(self) -> list[ThreadTurn]:
        """Return who may be next: the first of each pool, whose other pieces may have no thread yet, and all without."""
        first: dict[int, ThreadTurn] = {}
        for turn in self._waiting:
            first.setdefault(id(turn if turn.pool is None else turn.pool), turn)
        return list(first.values())

    def close(self) -> None:
        """Let everybody go: the loop is closed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_for(self, turn: ThreadTurn) -> None:
        """Return when the turn has come."""
        with self._changed:
            self._changed.wait_for(lambda: turn.granted or self._closed)

    def ask(self, turn: ThreadTurn) -> None:
        """Put a piece that paused back among those that wait."""
        with self._changed:
            turn.granted = False
            if turn in self._pieces and turn not in self._waiting:
                self._waiting.append(turn)

    def give_back(self, turn: ThreadTurn) -> None:
        """Take the turn from a piece, if it has it."""
        with self._changed:
            if self._active is turn:
                self._active = None
                self._changed.notify_all()

    def drop(self, turn: ThreadTurn) -> None:
        """Forget a piece, which may never have begun."""
        with self._changed:
            self._pieces.discard(turn)
            if turn in self._waiting:
                self._waiting.remove(turn)
