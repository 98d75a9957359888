"""Whether this interpreter is a worker, and what that forbids: an app that starts by itself where nobody waits for it."""

from enum import Enum, auto
from typing import Final

from pynenc_async.errors import AppNotStartedError


class Phase(Enum):
    """What a worker does at the moment."""

    IMPORTING = auto()
    """It imports the module of a task."""
    SERVING = auto()
    """It runs bodies, or waits for one."""


class _Here:
    def __init__(self) -> None:
        self.phase: Phase | None = None
        """None: this is no worker."""


_HERE: Final = _Here()


def enter(phase: Phase) -> None:
    """This interpreter is a worker."""
    _HERE.phase = phase


def in_worker() -> bool:
    """Whether this interpreter is a worker."""
    return _HERE.phase is not None


def refuse_start(app: str) -> None:
    """Raise `AppNotStartedError` where an app would start while a worker imports the module of a task."""
    if _HERE.phase is Phase.IMPORTING:
        raise AppNotStartedError(
            f"{app} was started while a worker process imports the module of its task, which would run the program once "
            "more; start it under `if __name__ == '__main__':`"
        )


def refuse_pool() -> None:
    """Raise `AppNotStartedError` in a worker: it has no workers of its own."""
    if in_worker():
        raise AppNotStartedError(
            "a worker process starts no worker processes of its own; let this task run in the loop or in a thread there"
        )


def refuse_call(app: str) -> None:
    """Raise `AppNotStartedError` where a task is called in a worker, in which its app does not run."""
    refuse_start(app)
    if _HERE.phase is Phase.SERVING:
        raise AppNotStartedError(
            f"{app} does not run in this worker process, so the body of a task with runs_in='process' cannot call its "
            "tasks: return what is to be done and call them where the result is awaited, or let the body run in the "
            "loop or in a thread"
        )
