"""A fork waits until no thread is inside SQLite, so that the child can close what it inherits and open the file anew.

SQLite keeps account, in the memory of the process, of the locks that its connections hold on a file. A child that is forked
off during a transaction inherits the account without the thread that would end the transaction: its own connections wait
for that lock for ever, or take a lock for held that nobody holds (see "Carrying an open database file across a fork" in
sqlite.org/howtocorrupt.html). While no connection is in use, nothing is locked, and closing them clears the account.
"""

import os
import threading
import time
from typing import Final, Protocol
from weakref import WeakSet

from pynenc_async.errors import StoreError

_PATIENCE: Final = 5.0
"""Seconds for which a fork waits. A transaction takes milliseconds, unless another process keeps the file locked."""


class _Lock(Protocol):
    """A lock of either kind."""

    def acquire(self, *, timeout: float) -> bool:
        """Take it, or return False after `timeout` seconds."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


class _Forks:
    """The locks under which the connections of this process are used, and what a fork does with them."""

    def __init__(self) -> None:
        self.outer: Final[WeakSet[threading.Lock]] = WeakSet()
        self.inner: Final[WeakSet[threading.RLock]] = WeakSet()
        self.turn: Final = threading.RLock()
        """Held while a lock is added, and during a fork."""
        self._held: Final[list[_Lock]] = []
        """The locks that the thread which forks has taken."""
        self._is_quiet = True
        self.is_disturbed = False
        """Whether this process was forked off while a connection was in use."""

    def before(self) -> None:
        """Take all locks, the outer ones first, as everybody else does; in the thread that forks."""
        self.turn.acquire()
        until = time.monotonic() + _PATIENCE
        locks: list[_Lock] = [*self.outer, *self.inner]
        self._is_quiet = all(self._take(lock, until) for lock in locks)

    def _take(self, lock: _Lock, until: float) -> bool:
        taken = lock.acquire(timeout=max(0.0, until - time.monotonic()))
        if taken:
            self._held.append(lock)
        return taken

    def after(self) -> None:
        """Give the locks back; in the parent and in the child."""
        while self._held:
            self._held.pop().release()
        self.turn.release()

    def after_in_child(self) -> None:
        """Give the locks back, and note whether all of them could be had."""
        self.is_disturbed = self.is_disturbed or not self._is_quiet
        self.after()


_forks: Final = _Forks()


def outer_lock() -> threading.Lock:
    """Return a lock under which one thread uses connections; it may take inner locks meanwhile, and no other outer one."""
    lock = threading.Lock()
    with _forks.turn:
        _forks.outer.add(lock)
    return lock


def inner_lock() -> threading.RLock:
    """Return a lock around one connection, during which no other lock is taken."""
    lock = threading.RLock()
    with _forks.turn:
        _forks.inner.add(lock)
    return lock


def is_disturbed() -> bool:
    """Return whether this process was forked off while its parent was inside SQLite, for longer than a fork waits."""
    return _forks.is_disturbed


def check_undisturbed(path: str) -> None:
    """Refuse a file in a process in which SQLite's account of locks is not true. Raises `StoreError`."""
    if _forks.is_disturbed:
        raise StoreError(
            f"SQLite store {path}: this process was forked off while a thread of its parent had been in a transaction for "
            f"{_PATIENCE:g} s, so SQLite cannot be used here; fork before the app is started, or start a new interpreter"
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forks.before, after_in_parent=_forks.after, after_in_child=_forks.after_in_child)
