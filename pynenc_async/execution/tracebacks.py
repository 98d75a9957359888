"""Tracebacks as a user wants to see them, and that keep nothing alive but what the user wrote."""

from types import TracebackType
from typing import Any, Final

_PACKAGE: Final = __name__.partition(".")[0] + "."


def without_our_frames(error: BaseException, module_globals: dict[str, Any]) -> BaseException:
    """Drop the frames of the calling module from the head of the traceback, and clear this package's others.

    They are noise to the user. They would also keep the invocation alive: a frame in a traceback holds on to its locals
    and its callers. Whoever calls this deletes its own locals.
    """
    head: TracebackType | None = error.__traceback__
    while head is not None and head.tb_frame.f_globals is module_globals:
        head = head.tb_next
    step = error.__traceback__.tb_next if error.__traceback__ is not None else None  # the first one is our caller
    while step is not None:
        if str(step.tb_frame.f_globals.get("__name__")).startswith(_PACKAGE) and _is_ours(step):
            step.tb_frame.clear()
        step = step.tb_next
    error.__traceback__ = head
    return error


def _is_ours(step: TracebackType) -> bool:
    """Not the bodies of the examples, which live in this package, too."""
    return ".examples." not in str(step.tb_frame.f_globals.get("__name__"))
