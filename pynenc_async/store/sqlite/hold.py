"""The file, held open and locked for as long as a store is open on it in this process.

**Why.** SQLite locks the file by POSIX rules: when any code of this process opens and closes it (a copy, a check sum), all
locks of the process are gone, unnoticed. The next process that closes the file then takes itself for the last one, and
removes the logs under those who still write. So the same ranges are locked once more, by an *open file description*,
which no other `close` touches (Linux; elsewhere what is removed is noticed all the same: see `watching`).

For the same reason nothing here is closed before the last store of the process has let go of the file.
"""

import contextlib
import os
import threading
from struct import Struct
from typing import Any, Final, NamedTuple

try:
    import fcntl as _fcntl
except ImportError:  # Windows: locks belong to handles there, and nobody loses those of another
    _fcntl = None  # type: ignore[assignment]

fcntl: Final[Any] = _fcntl
_GET: Final = getattr(fcntl, "F_OFD_GETLK", getattr(fcntl, "F_GETLK", None))
_SET: Final = getattr(fcntl, "F_OFD_SETLK", None)

_FLOCK: Final = Struct("@hhqqi")
_USERS: Final = (0x4000_0002, 510)
"""Start and length of what everybody locks in the file who has it open."""
_INDEX_USERS: Final = (128, 1)
"""The same in the -shm: whoever finds nobody there begins it anew, under the feet of the others."""
_HEADER: Final = 100
_MAGIC: Final = b"SQLite format 3\0"
_INDEX: Final = Struct("=I12xI")
"""The version of a -shm, and how many frames of the log are in use: see "WAL-Index" in sqlite.org/walformat.html."""
_INDEX_VERSION: Final = 3_007_000


class Header(NamedTuple):
    """What the file says about itself."""

    page_size: int
    """0: it is no database."""
    pages: int
    """0: it does not say."""
    has_wal: bool
    application_id: int


class _File:
    """An open file of which this process has stores."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor: Final = descriptor
        self.index: int | None = None
        """The -shm, once a store is open."""
        self.stores = 0
        """How many have it open, or are about to."""
        self.holders = 0
        """How many of them want it to be locked."""

    def open_index(self, path: str) -> None:
        """Open the -shm; not once more the one that is open, for to close a file is what must not be. Raises OSError."""
        if self.index is not None:
            if os.path.samestat(os.fstat(self.index), os.stat(path)):  # noqa: PTH116  beside `os.open`
                return
            os.close(self.index)
            self.index = None
        self.index = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def lock(self, kind: int) -> None:
        """Set or undo the locks; where they cannot be had, nothing happens."""
        for descriptor, place in ((self.descriptor, _USERS), (self.index, _INDEX_USERS)):
            if _SET is not None and descriptor is not None:
                with contextlib.suppress(OSError):
                    fcntl.fcntl(descriptor, _SET, _FLOCK.pack(kind, os.SEEK_SET, *place, 0))

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)
        if self.index is not None:
            os.close(self.index)


class Hold:
    """The share of one store in it."""

    def __init__(self, file: _File, key: tuple[int, int]) -> None:
        self._file: Final = file
        self._key: Final = key
        self._is_holder = False

    @classmethod
    def take(cls, path: str) -> "Hold":
        """Open the file, if no store of this process has it open. Raises OSError."""
        with _open.lock:
            found = os.stat(path)  # noqa: PTH116  beside `os.open`
            key = found.st_dev, found.st_ino
            file = _open.files.get(key)
            if file is None:
                descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
                file = _open.files[key] = _File(descriptor)
            file.stores += 1
            return cls(file, key)

    def read_header(self) -> Header:
        """Read what the file says about itself. Raises OSError."""
        with _open.lock:
            descriptor = self._file.descriptor
            os.lseek(descriptor, 0, os.SEEK_SET)
            content = os.read(descriptor, _HEADER).ljust(_HEADER, b"\0")
        if not content.startswith(_MAGIC):
            return Header(page_size=0, pages=0, has_wal=False, application_id=0)
        page_size = int.from_bytes(content[16:18], "big")
        return Header(
            page_size=65_536 if page_size == 1 else page_size,
            pages=int.from_bytes(content[28:32], "big") if content[24:28] == content[92:96] else 0,
            has_wal=content[19] == 2,  # noqa: PLR2004
            application_id=int.from_bytes(content[68:72], "big"),
        )

    def frames_in_log(self) -> int | None:
        """Return how many frames of the log are in use, as the -shm says; None where it is not open here. Raises OSError."""
        with _open.lock:
            if self._file.index is None:
                return None
            content = os.pread(self._file.index, _INDEX.size, 0)
        version, frames = _INDEX.unpack(content) if len(content) == _INDEX.size else (0, 0)
        return int(frames) if version == _INDEX_VERSION else None

    def has_reader(self) -> bool:
        """Whether anybody has the file open as SQLite has it, and is not the last one, who locks out all others."""
        if _GET is None:
            return False
        with contextlib.suppress(OSError):
            start, length = _USERS
            asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
            kind = _FLOCK.unpack(fcntl.fcntl(self._file.descriptor, _GET, asked)[: _FLOCK.size])[0]
            return bool(kind == fcntl.F_RDLCK)
        return False

    def lock(self, index: str) -> None:
        """Lock the file, and its -shm, which is at `index`, beside SQLite."""
        with _open.lock:
            self._is_holder = True
            self._file.holders += 1
            if _SET is not None:
                with contextlib.suppress(OSError):
                    self._file.open_index(index)
            self._file.lock(getattr(fcntl, "F_RDLCK", 0))

    def unlock(self) -> None:
        """Undo it, before the connections are closed: the last of them needs the file for itself."""
        with _open.lock:
            if self._is_holder:
                self._is_holder = False
                self._file.holders -= 1
                if not self._file.holders:
                    self._file.lock(getattr(fcntl, "F_UNLCK", 0))

    def close(self) -> None:
        """Close the file, if no other store of this process has it open; after the connections."""
        with _open.lock:
            self._file.stores -= 1
            if not self._file.stores:
                _open.close(self._key)


class _Open:
    """The files that are open in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.files: Final[dict[tuple[int, int], _File]] = {}

    def close(self, key: tuple[int, int]) -> None:
        """Close one of them."""
        file = self.files.pop(key, None)
        if file is not None:
            file.close()


def leave_to_parent() -> None:
    """Let go of everything in a child that was forked: else the locks of its parent would outlive that."""
    _open.lock = threading.Lock()  # some other thread may have had it in the parent
    for key in list(_open.files):
        _open.close(key)


_open: Final = _Open()
