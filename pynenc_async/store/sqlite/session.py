"""The write connection and what its thread knows: who the runner is, whether it lives, what the names mean."""

import sqlite3
from typing import Final

from pynenc_async.store.sqlite.beside import Loss
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.schema import ALIVE, BURIED, DEAD


class Session:
    """Belongs to the writer, which alone calls its methods; `alive` may be read anywhere."""

    def __init__(self, connection: sqlite3.Connection, names: Names, *, home: int) -> None:
        self.connection: Final = connection
        self.names: Final = names
        self.home = home
        """The key of the runner, which is another one after it has joined again."""
        self.lives: Final = {home}
        """All keys that it has had."""
        self.died: int | None = None
        """Which key has been declared dead. Not a flag: the keeper may find out about the last one after a new one is there."""
        self.loss: Loss | None = None
        """What was done to the files of the store, as far as is known: then what is written now would be lost."""
        self.marked: set[int] = set()
        """Of what this runner has in memory: what has something rare about it, as far as is known."""

    @property
    def alive(self) -> bool:
        """Whether the runner has its lease, as far as is known."""
        return self.died != self.home

    def live_again(self, home: int) -> None:
        """Go on under another key."""
        self.marked.clear()
        self.lives.add(home)
        self.home = home

    def look_at_runner(self) -> None:
        """See whether the runner has been declared dead: in each transaction, for the answer decides what it may do."""
        if self.alive:
            ((state,),) = self.connection.execute("SELECT state FROM runner WHERE key = ?", (self.home,)).fetchall()
            if state != ALIVE:
                self.died = self.home

    def leave_something(self) -> None:
        """See to it that others look for what this runner, which is dead, has just registered."""
        self.connection.execute("UPDATE runner SET state = ? WHERE key = ? AND state = ?", (DEAD, self.home, BURIED))
