"""Which invocation is running here: one context variable, copied along by tasks, callbacks and threads."""

from contextvars import ContextVar
from typing import Any, Final

CURRENT: Final[ContextVar[Any]] = ContextVar("pynenc_async_current_invocation", default=None)
"""The running invocation (None outside of one); typed where it is read, so that this shelf imports no actor."""

LEFT_BEHIND: Final[set[int]] = set()
"""The threads in which a body goes on whose attempt has timed out: nobody waits for what it ends in."""


def current_invocation() -> Any:
    """Return the invocation in whose body this is called (or a Task or thread that the body started), else None."""
    return CURRENT.get()
