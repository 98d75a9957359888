"""A file that is nowhere to be seen until it is whole: it is made under another name, and then put in its place.

So a file that is empty, or half a store, is never one that was being made: it has been damaged, or is somebody else's.
"""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
"""The mode of what is made, whatever the umask: what is stored is nobody else's. SQLite gives its own files the same."""
LOGS: Final = ("-wal", "-journal")
"""What SQLite takes for changes to a file, by its name alone."""


def put_whole(path: str, fill: Callable[[str], None]) -> None:
    """Let `fill` write a file under the name that it is given, and put it at `path`, where nothing may be.

    Raises FileExistsError where something is, be it a link that leads nowhere; and whatever `fill` raises. Then nothing
    is left of it.
    """
    draft = f"{path}-new-{secrets.token_hex(4)}"
    try:
        touch(draft)
        fill(draft)
        _sync(draft, os.O_RDWR)
        _put_in_place(draft, path)
    finally:
        for leftover in (draft, draft + "-shm", *(draft + log for log in LOGS)):
            Path(leftover).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not every system opens directories
        _sync(os.fspath(Path(path).absolute().parent), os.O_RDONLY)  # so that the name survives a loss of power


def touch(path: str) -> None:
    """Make an empty file for its owner alone. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        _give_mode(descriptor, PRIVATE)
    finally:
        os.close(descriptor)


def _give_mode(descriptor: int, mode: int) -> None:
    """Let a file have this mode, of which the umask may have taken a part."""
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)


def give_mode_of(path: str, descriptor: int) -> None:
    """Let an open file be for those, and belong to those, for whom the file at `path` is: as SQLite does with its logs.

    Raises OSError.
    """
    model = Path(path).stat()
    _give_mode(descriptor, model.st_mode & 0o666)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.fchown(descriptor, model.st_uid, model.st_gid)


def _put_in_place(draft: str, path: str) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links here; what another process may put there in this moment is lost
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        Path(draft).rename(path)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
