"""The write-ahead log is brought into the database by a thread of its own, so that no commit waits for that.

What is written meanwhile is left over, and under a steady load something always is: the log would never begin anew. So
when it has grown large, the writer holds the write lock for the moment that it takes to bring in the rest.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from typing import Final

from pynenc_async.guard import report_failure
from pynenc_async.store.sqlite import stamp
from pynenc_async.store.sqlite.inspecting import size_of
from pynenc_async.store.sqlite.quiet import inner_lock

_PAGES: Final = 2_000
"""After so many pages, as far as they can be guessed, the log is brought in: 8 MB."""
_GROWTH: Final = 8 << 20
"""The same in bytes by which the file of the log has grown, which it does only beyond where it once was."""
_MANY_FRAMES: Final = 12_000
"""From so many frames on, the writer helps: 48 MB."""
_PAGES_OF_A_TRANSACTION: Final = 4
_CHANGES_IN_A_PAGE: Final = 3
_PATIENCE: Final = 20
"""Milliseconds. What this thread has to write need not be written, and nobody waits behind it."""
_CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpointer:
    """The thread, its connection, and the guess of how much there is to bring in."""

    def __init__(self, connection: sqlite3.Connection, path: str, *, may_write: Callable[[], bool]) -> None:
        self._path: Final = path
        self._wal: Final = f"{path}-wal"
        self._may_write: Final = may_write
        """Whether the files are those that were opened: else what is in the file is not to be touched."""
        self._size = 0
        """Of the log, when it was last brought in."""
        self._connection: Final = connection
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        self._lock: Final = inner_lock()
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
        self._is_anew = False
        """Whether it begins anew with the next commit: see `stamp`."""
        self.wants_writer = False
        """Whether there is something to do in the writer's thread."""
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

    def before_commit(self, writing: sqlite3.Connection) -> None:
        """Stamp a log that begins anew, in the writer's thread, before anything else is in it."""
        if self._is_anew:
            self._is_anew = False
            self._stamp(writing)

    def after_commit(self, writing: sqlite3.Connection) -> None:
        """See to what the log needs, in the writer's thread."""
        self.wants_writer = False
        if self.needs_help:
            self._help(writing)
        self.before_commit(writing)

    def note_new_log(self) -> None:
        """The log has begun anew, and may have no stamp of this process."""
        self._is_anew = self.wants_writer = True

    def _stamp(self, connection: sqlite3.Connection) -> None:
        with contextlib.suppress(sqlite3.Error):  # locked or full: it goes without
            stamp.renew(connection, self._path)

    def _help(self, writing: sqlite3.Connection) -> None:
        """Bring in all there is, while the writer's connection keeps others from writing."""
        self.needs_help = False
        with contextlib.suppress(sqlite3.Error):  # locked or full: there will be another time
            writing.execute("BEGIN IMMEDIATE")
            try:
                self._bring_in()
            finally:
                writing.execute("ROLLBACK")
        self.note_new_log()

    def save_log(self) -> bool:
        """Bring in what there is, though the log has lost its name; say whether that is all. Called by the keeper."""
        with contextlib.suppress(sqlite3.Error):
            return self._bring_in() == 0
        return False

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._stop:
                return
            try:
                if self._may_write():
                    self._make_checkpoint()
            except Exception as error:  # noqa: BLE001  a log that nobody brings in any more would fill the disk
                report_failure(error, "bringing in the log of a SQLite store")

    def _make_checkpoint(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            with self._lock:
                self._stamp(self._connection)
            left = self._bring_in()
            self._is_tight = self._is_tight and left > 0
            # Though nothing is left, the log begins anew only if nothing has been written since: as good as never.
            self.needs_help = self.frames >= _MANY_FRAMES or (self._is_tight and left > 0)
            self._is_anew = self._is_anew or left == 0
            self.wants_writer = True

    def _bring_in(self) -> int:
        with self._lock:
            ((_, frames, done),) = self._connection.execute(_CHECKPOINT).fetchall()
        self.frames = frames
        return int(frames - done)
