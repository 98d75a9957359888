"""The files of an open store are watched: what is written after one of them is gone would be lost without a word."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pynenc_async.store.sqlite import stamp
from pynenc_async.store.sqlite.beside import Loss, judge, see
from pynenc_async.store.sqlite.hold import Hold
from pynenc_async.store.sqlite.schema import APPLICATION_ID

_LOOKS: Final = 3
"""So often in a row the log must be found too short: it may begin anew between two questions about it."""
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_MAGIC: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


class Watch:
    """The files that are expected, and what was last seen of them. For one thread, with a connection of its own."""

    def __init__(self, path: str, connection: sqlite3.Connection, hold: Hold, save_log: Callable[[], bool]) -> None:
        self._path: Final = path
        self._connection: Final = connection
        self._hold: Final = hold
        self._save_log: Final = save_log
        """Brings the log into the file; says whether that has all of it then."""
        self.expected: Final = see(path)
        self._written_at = _changed_at(path)
        self._is_overwritten = False
        self._header = b""
        """Of the log."""
        self.loss: Loss | None = None
        """What was done to the files, at the last look."""

    def look(self) -> Loss | None:
        """Say what has been done to the files. Raises OSError where that cannot be seen."""
        self.loss = self._look()
        return self.loss

    def _look(self) -> Loss | None:
        loss = judge(self.expected, see(self._path))
        if loss is Loss.LOG:
            return Loss.SAVED_LOG if self._save_log() else loss
        if loss is not None:
            return loss
        if self._is_cut_off():
            return Loss.CUT_LOG
        return Loss.CONTENT if self._has_been_overwritten() else None

    def _is_cut_off(self) -> bool:
        for _ in range(_LOOKS):
            frames = self._hold.frames_in_log()
            if not frames or self._has_frames(frames):
                return False
        return True

    def _has_frames(self, frames: int) -> bool:
        header, size = self._read_log()
        page_size = int.from_bytes(header[8:12], "big")
        return header[:4] in _MAGIC and size >= _WAL_HEADER + frames * (_FRAME_HEADER + page_size)

    def _read_log(self) -> tuple[bytes, int]:
        with open(f"{self._path}-wal", "rb") as log:  # noqa: PTH123  nobody locks this file: it may be closed again
            return log.read(_WAL_HEADER), os.fstat(log.fileno()).st_size

    def has_new_log(self) -> bool:
        """Whether the log has begun anew since this was asked last. Raises OSError."""
        header, _ = self._read_log()
        before, self._header = self._header, header
        return header != before

    def _has_been_overwritten(self) -> bool:
        changed_at = _changed_at(self._path)
        if changed_at != self._written_at:
            self._is_overwritten = self._is_overwritten or self._is_anothers()
            self._written_at = changed_at
        return self._is_overwritten

    def _is_anothers(self) -> bool:
        """Whether what is in the file was not brought there from the log."""
        if self._hold.read_header().application_id != APPLICATION_ID:
            return True
        with suppress(sqlite3.Error):  # locked for the moment; what is damaged, others will find
            self._connection.execute("BEGIN")
            try:
                return stamp.is_of_another_file(self._connection, self._path)
            finally:
                self._connection.execute("ROLLBACK")
        return False


def _changed_at(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116  at each tick
    return found.st_mtime_ns, found.st_size
