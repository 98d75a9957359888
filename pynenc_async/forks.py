"""Forks: in a forked child, whatever belongs to the process alone hears that it is a copy.

A child is a process of its own: another runner, with random numbers of its own, in which nothing is under way. What its
parent has under way goes on in the parent, and nowhere else.
"""

import os
from typing import Final, Protocol
from weakref import WeakSet

from pynenc_async.telemetry import log


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


def _after_fork() -> None:
    for one in list(_copied):
        try:
            one.note_fork()
        except Exception:  # noqa: BLE001  one must not keep the others from hearing of it
            log.exception("a copy of %r could not be told that it is one", type(one).__name__)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
