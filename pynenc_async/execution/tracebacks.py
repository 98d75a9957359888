"""Tracebacks as a user wants to see them, and that keep nothing alive but what the user wrote."""

import gc
import sys
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final

from pynenc_async.user_errors import put_traceback, traceback_of

_PACKAGE: Final = __name__.partition(".")[0] + "."


def without_our_frames(error: BaseException) -> BaseException:
    """Drop this package's frames from the head of the traceback, and clear the others of them.

    They are noise to the user. They would also keep the invocation alive: a frame in a traceback holds on to its locals
    and its callers. Whoever calls this deletes its own locals.
    """
    head: TracebackType | None = traceback_of(error)
    while head is not None and is_ours(head):
        head = head.tb_next
    clear_our_frames(error)
    put_traceback(error, head)
    return error


def clear_our_frames(error: BaseException) -> None:
    """Clear this package's frames in the traceback, but for the first one, which is the caller's."""
    head = traceback_of(error)
    step = None if head is None else head.tb_next
    while step is not None:
        if is_ours(step):
            clear_frame(step.tb_frame)
        step = step.tb_next


def clear_frame(frame: FrameType) -> None:
    """Make a frame that has ended forget its locals; leave alone one that goes on.

    An error may be raised again and again, and its traceback lead through somebody who caught it, and now waits for
    something else. To clear the frame of a coroutine that waits would end it, up to Python 3.12. But only a frame that
    has ended owns what it refers to.
    """
    if sys.version_info >= (3, 13) or any(one is frame.f_code for one in gc.get_referents(frame)):
        with suppress(RuntimeError):
            frame.clear()


def is_ours(step: TracebackType) -> bool:
    """Whether a frame is this package's; the bodies of the examples, which live in it, are a user's."""
    return is_our_module(module_of(step.tb_frame))


def module_of(frame: FrameType) -> str:
    """Return the name of the module in which a frame runs; a text without methods of its own, or ""."""
    # Past the `get` of a dict of somebody's own, as `exec` allows.
    look_up: Any = dict
    name: object = look_up.get(frame.f_globals, "__name__")
    return name if type(name) is str else ""


def is_our_module(name: str) -> bool:
    """The same of the name of its module."""
    return name.startswith(_PACKAGE) and ".examples." not in name
