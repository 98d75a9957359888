"""The lease of a runner: a small file next to the database, locked by its process, with the moment until which it holds.

It is not in the database, for there a renewal would have to wait for whoever writes, and a busy store would look like a
dead one. The kernel frees the lock when the process dies, however it dies, so death is seen at once; a process that is
stopped keeps its lock, and then the moment decides. That is measured by the monotonic clock, which all processes of a
host share and nobody can set; the id of the boot tells it from the clock of an earlier one.

A file that is gone says nothing: somebody may have cleaned up beside the database. Its runner puts it back at the next
renewal, so others hold it dead only when there has been none for as long as a renewal may take.
"""

import contextlib
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any, Final

from pynenc_async.store.sqlite.beside import Files, Identity
from pynenc_async.store.sqlite.drafts import PRIVATE, give_mode_of

try:
    import fcntl as _fcntl
except ImportError:  # Windows: the moment alone decides
    _fcntl = None  # type: ignore[assignment]

fcntl: Final[Any] = _fcntl

_CONTENT: Final = Struct("<dd36sI")
"""Until when, how long each lease is, the boot and the files (see `_ORIGIN`), the process."""
_ORIGIN: Final = Struct("<16s6s6s6s2s")
"""The beginning of the id of the boot; which files the runner has open, as marks; and that they are there."""
_HAS_FILES: Final = b"\0\1"
_NO_FILE: Final = b"\0" * 6
_MOMENT: Final = Struct("<d")
_NAME: Final = re.compile("[0-9A-Za-z_-]{1,64}")
_TO_LOOK: Final = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
)
"""Through no link, and without waiting for whoever might write into a pipe."""
_LONGEST_PATIENCE: Final = 10.0
"""Seconds in which a runner that lives has surely put back its file, which it looks for at each tick."""
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


def _path(database: str, name: object) -> str | None:
    """Return where the file of a lease is; None for what is no name of one.

    Names come out of the database, and that may be a stranger's: a name is never a part of a path.
    """
    is_name = isinstance(name, str) and _NAME.fullmatch(name) is not None
    return f"{database}-runner-{name}" if is_name else None


def _open(path: str | None) -> int:
    """Open the file of somebody's lease to look at it. Raises OSError."""
    if path is None:
        raise FileNotFoundError
    return os.open(path, _TO_LOOK)


def _boot() -> bytes:
    try:
        return Path(_BOOT_ID).read_bytes().strip()[:36]
    except OSError:
        return b""


class Lease:
    """A lease that this process has."""

    def __init__(self, name: str, database: str, descriptor: int, seconds: float, files: Files) -> None:
        self.name: Final = name
        """By which others find it."""
        self._database: Final = database
        self._path: Final = f"{database}-runner-{name}"
        self._descriptor: int | None = descriptor
        self._seconds = seconds
        self._files: Final = files
        self._lock: Final = threading.RLock()
        """So that nothing is written into a file that has been closed: its number may be that of another one by then."""

    @classmethod
    def take(cls, database: str, seconds: float, files: Files) -> "Lease":
        """Begin a lease, of a runner that has these files open. Raises OSError."""
        name = secrets.token_hex(8)
        path = f"{database}-runner-{name}"
        return cls(name, database, _begin(path, database, seconds, files), seconds, files)

    def renew(self) -> None:
        """Begin it anew, and put the file back where it is gone. Raises OSError."""
        with self._lock:
            if self._descriptor is not None and not _is_at(self._path, self._descriptor):
                self._put_back()
            elif self._descriptor is not None:
                _write(self._descriptor, _MOMENT.pack(time.monotonic() + self._seconds))

    def _put_back(self) -> None:
        """Let the file be there again: in one step, for one that is not locked would be that of a dead runner."""
        draft = f"{self._database}-new-{secrets.token_hex(4)}"
        descriptor = _begin(draft, self._database, self._seconds, self._files)
        try:
            Path(draft).replace(self._path)
        except BaseException:
            os.close(descriptor)
            Path(draft).unlink(missing_ok=True)
            raise
        self.let_go()
        self._descriptor = descriptor

    def end(self) -> None:
        """End it: the file goes."""
        with self._lock:
            if self._descriptor is not None:
                with contextlib.suppress(OSError):  # somebody has declared us dead, and tidied up
                    Path(self._path).unlink()
                self.let_go()

    def let_go(self) -> None:
        """Close the file and leave it where it is: in a forked child it is the parent's."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _begin(path: str, database: str, seconds: float, files: Files) -> int:
    """Make the file of a lease that begins now, and return its descriptor. Raises OSError; then there is no file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        give_mode_of(database, descriptor)  # whoever may use the one must see the other
        _lock(descriptor, alone=True, wait=True)
        origin = _ORIGIN.pack(_boot()[:16], *(mark or _NO_FILE for mark in marks_of(files)), _HAS_FILES)
        _write(descriptor, _CONTENT.pack(time.monotonic() + seconds, seconds, origin, os.getpid()))
    except BaseException:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            Path(path).unlink()
        raise
    return descriptor


def _is_at(path: str, descriptor: int) -> bool:
    """Whether the open file is the one that is found at `path`."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, content: bytes) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, content)


def _lock(descriptor: int, *, alone: bool, wait: bool = False) -> bool | None:
    """Lock the file; return whether that worked, None where files cannot be locked.

    Who only looks whether the owner still has it does so `alone=False`: two who look at once are no owner to each other.
    The owner waits for them: it takes a moment.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


class Others:
    """The leases of other runners, as one runner sees them. For any thread."""

    def __init__(self, database: str, seconds: float) -> None:
        self._database: Final = database
        self._patience: Final = min(seconds, _LONGEST_PATIENCE)
        self._gone: Final[dict[str, float]] = {}
        """Since when the file of a lease was not there whenever it was looked for."""

    def is_dead(self, name: str) -> bool:
        """Whether a runner has lost its lease; where its file is gone: whether it has not put it back in time."""
        if _path(self._database, name) is None or not _is_gone(self._database, name):
            self._gone.pop(name, None)
            return is_dead(self._database, name)
        now = time.monotonic()
        return now - self._gone.setdefault(name, now) >= self._patience


def _is_gone(database: str, name: str) -> bool:
    return not os.path.lexists(f"{database}-runner-{name}")


def is_dead(database: str, name: str) -> bool:
    """Whether the runner has lost its lease: its process is gone, or has not renewed it in time; or there is no file."""
    try:
        descriptor = _open(_path(database, name))
    except FileNotFoundError:
        return True
    except OSError:
        return False  # not to be seen from here; somebody else may
    try:
        return _lock(descriptor, alone=False) is True or _is_over(os.read(descriptor, _CONTENT.size))
    finally:
        os.close(descriptor)


def _is_over(content: bytes) -> bool:
    if len(content) < _CONTENT.size:
        return False  # it is just being taken
    until, seconds, boot, _ = _CONTENT.unpack(content)
    now = time.monotonic()
    # A moment that lies further ahead than a lease is long was written before the clock began anew.
    return boot[:16].rstrip(b"\0") != _boot()[:16] or not now <= until <= now + seconds


def marks_of(files: Files) -> Files:
    """Return the files as a lease names them."""
    return Files(*map(_mark, files))


def _mark(file: Identity | None) -> bytes | None:
    return None if file is None else blake2b(repr(file).encode(), digest_size=len(_NO_FILE)).digest()


def living(database: str) -> Iterator[tuple[int, Files]]:
    """Yield, for each process that has a lease, its id and the marks of the files it has open. The database is not asked."""
    directory, prefix = os.path.split(f"{database}-runner-")
    for name in os.listdir(directory):  # noqa: PTH208  names, not paths
        if name.startswith(prefix):
            with contextlib.suppress(OSError):
                descriptor = _open(_path(database, name.removeprefix(prefix)))
                try:
                    is_held = _lock(descriptor, alone=False) is False
                    content = os.read(descriptor, _CONTENT.size) if is_held else b""
                finally:
                    os.close(descriptor)
                if len(content) == _CONTENT.size:
                    _, _, origin, process = _CONTENT.unpack(content)
                    _, *marks, has_files = _ORIGIN.unpack(origin)
                    if has_files == _HAS_FILES:
                        yield process, Files(*(None if mark == _NO_FILE else mark for mark in marks))


def tidy(database: str, name: str) -> None:
    """Remove the file of a runner that was declared dead, unless its process still has it."""
    path = _path(database, name)
    with contextlib.suppress(OSError):
        descriptor = _open(path)
        try:
            if path is not None and _lock(descriptor, alone=False) is not False:
                Path(path).unlink()
        finally:
            os.close(descriptor)
