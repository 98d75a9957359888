"""The files of one store: the database, the log of what is not in it yet (`-wal`), and the index of that log (`-shm`).

They belong together. While anybody has the store open, SQLite removes and replaces none of them: what does, is not SQLite.
"""

import os
from enum import Enum
from typing import Final, NamedTuple

Identity = tuple[int, int] | bytes
"""What tells a file from any other: its device and its number there, however it is called; or a mark that stands for them."""

_ANEW: Final = "Stop all that use it, and start anew"


class Files(NamedTuple):
    """Which files they are; None where there is none."""

    file: Identity | None
    wal: Identity | None
    shm: Identity | None


class Loss(Enum):
    """What was done to the files of a store while they were open: what it was, and what to do. `*` is the name of the file."""

    FILE = (
        "the file was removed, renamed or replaced while it was open",
        "Stop all that use it; put the file back, or start anew with the one there",
    )
    CONTENT = (
        "the file was overwritten while it was open",
        "Stop all that use it; to go on with what is in the file now, move *-wal and *-shm away",
    )
    LOG = (
        "*-wal, the log of what is not in the file yet, was removed or renamed while it was open",
        f"Put it back. What it holds could not be brought into the file yet, and goes with this process. {_ANEW}",
    )
    SAVED_LOG = (
        "*-wal, the log of what is not in the file yet, was removed or renamed while it was open",
        f"What it held has been brought into the file. {_ANEW}",
    )
    OTHER_LOG = (
        "*-wal, the log of what is not in the file yet, was replaced while it was open",
        "Stop all that use it; put the log back that was there, or go on with a backup",
    )
    CUT_LOG = (
        "*-wal, the log of what is not in the file yet, was cut off while it was open",
        f"What was cut off is lost. {_ANEW}",
    )
    INDEX = ("*-shm, by which its processes share it, was removed or renamed while it was open", _ANEW)
    OTHER_INDEX = ("*-shm, by which its processes share it, was replaced while it was open", _ANEW)

    def what(self, path: str) -> str:
        """Say what was done."""
        return self.value[0].replace("*", os.path.basename(path))  # noqa: PTH119  it need not be text

    def remedy(self, path: str) -> str:
        """Say what to do."""
        return self.value[1].replace("*", os.path.basename(path))  # noqa: PTH119

    @property
    def lets_close(self) -> bool:
        """Whether SQLite may bring in the log when the store is closed, as it does."""
        return self in (Loss.FILE, Loss.LOG, Loss.SAVED_LOG, Loss.INDEX)


def see(path: str) -> Files:
    """Look which files are there. Raises OSError where that cannot be seen."""
    return Files(identity_of(path), identity_of(f"{path}-wal"), identity_of(f"{path}-shm"))


def identity_of(path: str) -> Identity | None:
    """Return what tells the file that is at `path` from any other; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116  at each tick, and a Path takes longer than the answer
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def judge(expected: Files, found: Files) -> Loss | None:
    """Say what is not as expected; of a file that was not there, nothing is expected."""
    if found.file != expected.file:
        return Loss.FILE
    if expected.wal is not None and found.wal != expected.wal:
        return Loss.LOG if found.wal is None else Loss.OTHER_LOG
    if expected.shm is not None and found.shm != expected.shm:
        return Loss.INDEX if found.shm is None else Loss.OTHER_INDEX
    return None
