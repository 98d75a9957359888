"""The write-ahead log is brought into the database by a thread of its own, so that no commit waits for that.

What is written meanwhile is left over, and under a steady load something always is: the log would never begin anew. So
when it has grown large, the writer holds the write lock for the moment that it takes to bring in the rest.
"""

import contextlib
import sqlite3
import threading
from typing import Final

from pynenc_async.store.sqlite.inspecting import size_of

_PAGES: Final = 2_000
"""After so many pages, as far as they can be guessed, the log is brought in: 8 MB."""
_GROWTH: Final = 8 << 20
"""The same in bytes by which the file of the log has grown, which it does only beyond where it once was."""
_MANY_FRAMES: Final = 12_000
"""From so many frames on, the writer helps: 48 MB."""
_PAGES_OF_A_TRANSACTION: Final = 4
_CHANGES_IN_A_PAGE: Final = 3
_CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpointer:
    """The thread, its connection, and the guess of how much there is to bring in."""

    def __init__(self, connection: sqlite3.Connection, wal: str) -> None:
        self._wal: Final = wal
        self._size = 0
        """Of the log, when it was last brought in."""
        self._connection: Final = connection
        self._lock: Final = threading.Lock()
        """Around the connection."""
        self._pages = 0
        self._due: Final = threading.Event()
        self._stop = False
        self.frames = 0
        """How many frames the log had at the last look."""
        self._is_tight = False
        """Whether there was no room to go on with the log, and it has not been brought in since."""
        self.needs_help = False
        """Whether it should be finished while nobody writes."""
        self._thread: Final = threading.Thread(target=self._run, name="pynenc_async-sqlite-checkpoints", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop = True
        self._due.set()
        self._thread.join()

    def note(self, changes: int) -> None:
        """Hear of a transaction, in the writer's thread."""
        self._pages += _PAGES_OF_A_TRANSACTION + changes // _CHANGES_IN_A_PAGE
        size = size_of(self._wal)
        if self._pages >= _PAGES or size - self._size > _GROWTH or self._is_tight:
            self._pages, self._size = 0, size
            self._due.set()

    def urge(self) -> None:
        """There is no room to go on with the log: bring it in as soon as that can be done, for then it begins anew."""
        self._is_tight = True
        self._due.set()

    def help(self, writing: sqlite3.Connection) -> None:
        """Bring in all there is, in the writer's thread, while its connection keeps others from writing."""
        self.needs_help = False
        with contextlib.suppress(sqlite3.Error):  # locked or full: there will be another time
            writing.execute("BEGIN IMMEDIATE")
            try:
                self._bring_in()
            finally:
                writing.execute("ROLLBACK")

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._stop:
                return
            with contextlib.suppress(sqlite3.Error):
                left = self._bring_in()
                self._is_tight = self._is_tight and left > 0
                # Though nothing is left, the log begins anew only if nothing has been written since: as good as never.
                self.needs_help = self.frames >= _MANY_FRAMES or (self._is_tight and left > 0)

    def _bring_in(self) -> int:
        with self._lock:
            ((_, frames, done),) = self._connection.execute(_CHECKPOINT).fetchall()
        self.frames = frames
        return int(frames - done)
