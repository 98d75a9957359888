"""Forks: in a forked child, whatever belongs to the process alone hears that it is a copy.

A child is a process of its own: another runner, with random numbers of its own, in which nothing is under way. What its
parent has under way goes on in the parent, and nowhere else.
"""

import os
import sys
import traceback
from contextlib import suppress
from typing import Final, NoReturn, Protocol, cast
from weakref import WeakSet

from pynenc_async.telemetry import log
from pynenc_async.user_errors import is_a


class Copied(Protocol):
    """What a fork makes a copy of."""

    def note_fork(self) -> None:
        """Leave to the parent what is the parent's; called in the child, before anything else runs there."""
        ...


UNDER_WAY_IN_PARENT: Final = "it belongs to the process that this one was forked off, and is not run here as well"
"""The reason for which an invocation in memory ends in a child."""

_copied: Final[WeakSet[Copied]] = WeakSet()
_kept: Final[list[object]] = []


def tell_of_forks(one: Copied) -> None:
    """Call `one.note_fork` in each child that is forked off from now on, as long as `one` lives."""
    _copied.add(one)


def keep_for_parent(one: object) -> None:
    """Never let `one` be collected in this child.

    A loop that is collected takes its files out of a selector that the parent still uses; a suspended coroutine runs its
    `finally` blocks, which are the parent's to run.
    """
    _kept.append(one)


def leave_child(error: BaseException | None) -> NoReturn:
    """End a child that a body has forked off, where it leaves the body: whatever comes after that is the parent's to do.

    It ends as a program would: `error`, if there is one, is printed, and a `SystemExit` says with which code.
    """
    code = 0 if error is None else 1
    with suppress(BaseException):  # as where nobody reads what it prints
        code = _exit_code(error)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not is_a(error, SystemExit):
        traceback.print_exception(error)
        return 1
    code = cast(SystemExit, error).code
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _after_fork() -> None:
    for one in list(_copied):
        try:
            one.note_fork()
        except Exception:  # noqa: BLE001  one must not keep the others from hearing of it
            log.exception("a copy of %r could not be told that it is one", type(one).__name__)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
