"""What an open store consists of: the connections, the threads, the lease, the bell; made and taken apart in one place.

Threads: the *writer* has the connection that writes, which the loop's thread may borrow for a moment (see `at_once`); the
*keeper* renews the lease and hears the bell; the *checkpointer* brings in the write-ahead log. (The *reader*, which answers
what takes long, belongs to the store.)
"""

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Callable
from typing import Final, TypeVar

from pynenc_async.store.sqlite import stamp
from pynenc_async.store.sqlite.at_once import AtOnce
from pynenc_async.store.sqlite.bell import Bell
from pynenc_async.store.sqlite.checkpoints import Checkpointer
from pynenc_async.store.sqlite.connecting import connect
from pynenc_async.store.sqlite.copying import copy
from pynenc_async.store.sqlite.enrolment import Rejoin, enrol_first, retire
from pynenc_async.store.sqlite.failures import Failures, refused_thread, store_error
from pynenc_async.store.sqlite.finding import enable_find
from pynenc_async.store.sqlite.hold import leave_to_parent
from pynenc_async.store.sqlite.keeper import Keeper
from pynenc_async.store.sqlite.lease import Lease, Others
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.opening import hold_file, open_file
from pynenc_async.store.sqlite.options import Durability, SqliteOptions
from pynenc_async.store.sqlite.quiet import check_undisturbed, inner_lock, is_disturbed, outer_lock
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.statements import enable_batches
from pynenc_async.store.sqlite.watching import Watch
from pynenc_async.store.sqlite.worker import Worker
from pynenc_async.store.sqlite.writer import Writer

T = TypeVar("T")
_MOST_AT_ONCE: Final = 10_000
"""Changes in one transaction."""


class Engine:
    """An open file. Made and closed in a thread that may wait for disks."""

    def __init__(
        self,
        options: SqliteOptions,
        failures: Failures,
        runner_id: str,
        lease_seconds: float,
        *,
        ring: Callable[[], None] | None,
    ) -> None:
        options = options.resolved()
        check_undisturbed(options.path)
        self.options: Final = options
        self.names: Final = Names()
        self.is_childs = False
        """Whether this process is a fork of the one that has opened the file: then nothing of all this may be used."""
        self._failures: Final = failures
        self._runner_id: Final = runner_id
        self._lease_seconds: Final = lease_seconds
        self._peek_lock: Final = inner_lock()
        """Reentrant: a finalizer that runs while rows are read may ask something itself."""
        self._closing: Final = outer_lock()
        self._connections: Final[list[sqlite3.Connection]] = []
        with contextlib.ExitStack() as undo:
            self._hold: Final = hold_file(options)
            undo.callback(self._hold.close)
            self._writing: Final = self._keep(undo, open_file(options, self._hold))
            enable_batches(self._writing)
            self._peeking: Final = self._keep(undo, connect(options, mode="ro"))
            self.reading: Final = self._keep(undo, connect(options, mode="ro"))
            self.searching: Final = self._keep(undo, connect(options, mode="ro"))
            enable_find(self.searching)
            looking = self._keep(undo, connect(options, mode="ro"))
            checkpointing = self._keep(undo, connect(options))
            self.checkpointer: Final = Checkpointer(checkpointing, options.path, may_write=self._has_files)
            self._watch: Final = Watch(options.path, looking, self._hold, self.checkpointer.save_log)
            self._hold.lock(f"{options.path}-shm")
            undo.callback(self._let_go)
            self.bell: Final = Bell()
            self.bell.hang()
            undo.callback(self.bell.take_down)
            self.lease = self._take_lease()
            undo.callback(self._end_lease)
            home = enrol_first(self._writing, runner_id, self.lease, self.bell, options.path)
            stamp.renew(self._writing, options.path)
            with contextlib.suppress(OSError):
                self._watch.has_new_log()  # that of now has its stamp
            self._undo: Final = undo.pop_all()
        self.session: Final = Session(self._writing, self.names, home=home)
        self.writer: Final = Writer(
            self.session, failures, self.checkpointer, busy_timeout=options.busy_timeout, committed=self.bell.ring
        )
        self.work: Final = Worker("pynenc_async-sqlite-writer", self.writer.serve, most=_MOST_AT_ONCE)
        self.at_once: Final = AtOnce(self.writer, self.work, allowed=options.durability is Durability.NORMAL)
        self.leases: Final = Others(options.path, lease_seconds)
        self.keeper: Final = Keeper(looking, self.session, self.bell, self._tick, self.leases.is_dead, lease_seconds)
        self.keeper.ring = ring
        self._start(home)
        _living.add(self)

    def _start(self, home: int) -> None:
        """Start the threads; where the system refuses one, take everything apart again."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo.close)
            undo.callback(self._retire, home)
            for thread in (self.work, self.keeper, self.checkpointer):
                try:
                    thread.start()
                except Exception as error:
                    raise refused_thread(self.options.path, error) from error
                undo.callback(thread.stop)
            undo.pop_all()

    def _retire(self, home: int) -> None:
        with contextlib.suppress(sqlite3.Error):  # the lease ends all the same, and tells the others as much
            retire(self._writing, home)

    def _keep(self, undo: contextlib.ExitStack, connection: sqlite3.Connection) -> sqlite3.Connection:
        undo.callback(connection.close)
        self._connections.append(connection)
        return connection

    def _take_lease(self) -> Lease:
        try:
            return Lease.take(self.options.path, self._lease_seconds, self._watch.expected)
        except OSError as error:
            raise store_error(
                self.options.path,
                f"cannot keep a lease next to it: {error}; this process must be able to make files there",
                temporary=True,
            ) from error

    def close(self) -> None:
        """End the threads, then the lease, the bell and the connections."""
        self.keeper.stop()
        self.work.stop()
        self.checkpointer.stop()
        with self._closing:
            with contextlib.suppress(OSError):
                self._watch.look()  # as it is now
            self._undo.close()
            _living.discard(self)

    def rejoin(self) -> Rejoin:
        """Return the work of giving the runner a new lease."""
        return Rejoin(self._runner_id, self.bell, self._take_lease, self._joined)

    def _joined(self, lease: Lease) -> None:
        before, self.lease = self.lease, lease
        before.end()

    def _has_files(self) -> bool:
        return self._watch.loss is None

    def _let_go(self) -> None:
        """Let the last connection that is closed bring in the log and remove it; not where that would do harm."""
        if self._watch.loss is None or self._watch.loss.lets_close:
            self._hold.unlock()

    def _end_lease(self) -> None:
        self.lease.end()  # whichever it is by then

    def _tick(self) -> None:
        with contextlib.suppress(OSError):  # no room for eight bytes: the next tick tries again
            if self.session.alive:
                self.lease.renew()
        with contextlib.suppress(OSError):
            self.session.loss = self._watch.look()
            if self._watch.has_new_log():  # be it by another process, which knows nothing of ours
                self.checkpointer.note_new_log()

    def copy_to(self, target: str) -> None:
        """Write a copy of the whole file; see `Store.backup`."""
        if self.session.loss is not None:
            raise self._failures.lost(self.session.loss, "a copy")
        copy(self.options, self._failures, target)

    def peek(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask at once, in this thread."""
        with self._peek_lock:
            return question(self._peeking)

    def abandon(self) -> None:
        """Leave everything to the parent, in a child that was forked: the locks on the file are not this process's.

        The connections are closed first, while the file is still held: so none takes itself for the last one.
        """
        self.is_childs = True
        if is_disturbed():
            _not_to_be_closed.append(self)
        else:
            for connection in self._connections:
                connection.close()
        leave_to_parent()
        self.lease.let_go()
        self.bell.take_down()


_living: Final[weakref.WeakSet[Engine]] = weakref.WeakSet()
_not_to_be_closed: Final[list[Engine]] = []


def _after_fork() -> None:
    for engine in list(_living):
        engine.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
