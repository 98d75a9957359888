"""Tracebacks as a user wants to see them, and that keep nothing alive but what the user wrote."""

from types import TracebackType
from typing import Any


def without_our_frames(error: BaseException, module_globals: dict[str, Any]) -> BaseException:
    """Drop a module's frames from the head of the traceback.

    They are noise to the user. They would also keep the invocation alive: a frame in a traceback holds on to its callers,
    so those that have returned are cleared, and a caller of this function deletes its own locals.
    """
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals is module_globals:
        if traceback.tb_next is not None and traceback is not error.__traceback__:
            traceback.tb_frame.clear()
        traceback = traceback.tb_next
    error.__traceback__ = traceback
    return error
