"""The store on one SQLite file, as one runner uses it: it hands out the questions to those who can answer them.

Threads: the *writer* has the connection that writes; the *reader* answers what takes long; the *keeper* renews the lease
and hears the bell. What does not wait (`peek`, `standing`, `history`) is read in the thread that asks.
"""

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from pynenc_async.errors import StoreError
from pynenc_async.store.base import Store
from pynenc_async.store.sqlite import backlog, finding, purging, reading, recovery
from pynenc_async.store.sqlite.bell import Bell
from pynenc_async.store.sqlite.commit import Commit
from pynenc_async.store.sqlite.enrolment import Rejoin, enrol, retire
from pynenc_async.store.sqlite.failures import Failures
from pynenc_async.store.sqlite.keeper import Keeper
from pynenc_async.store.sqlite.lease import Lease, is_dead, tidy
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.opening import connect, open_file
from pynenc_async.store.sqlite.options import SqliteOptions
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.work import Simple
from pynenc_async.store.sqlite.worker import Answer, Job, Worker
from pynenc_async.store.sqlite.writer import Writer
from pynenc_async.store.values import (
    Backlog,
    CancelRequest,
    Change,
    Page,
    Query,
    Recovery,
    Refusal,
    Retention,
    StoredInvocation,
    StoredStep,
)

T = TypeVar("T")
_MOST_AT_ONCE: Final = 10_000
"""Changes in one transaction."""


class _State(Enum):
    NEW = "has not been opened; await open() first"
    OPEN = ""
    CLOSED = "has been closed; open another one on the same file"
    FORKED = "was opened before this process was forked; open the app after the fork, in each process its own"


class SqliteStore(Store):
    """Invocations in a SQLite file, which processes of one host may share. Each process opens it for itself."""

    def __init__(self, options: SqliteOptions | str | os.PathLike[str]) -> None:
        """Take the options, or the path of the file. Nothing is opened here."""
        if not isinstance(options, SqliteOptions):
            options = SqliteOptions(path=os.fspath(options))
        self.options: Final = options
        self._failures: Final = Failures(options.path, options.busy_timeout)
        self._state = _State.NEW
        self._names: Final = Names()
        self._bell: Final = Bell()
        self._reader: Final = Worker("pynenc_async-sqlite-reader", self._serve_reader, most=1)
        self._peek_lock: Final = threading.Lock()
        self._ring: Callable[[], None] | None = None
        self._runner_id = ""
        self._lease_seconds = 0.0
        self._connections: list[sqlite3.Connection] = []

    # -- life ----------------------------------------------------------------------------------------------------------

    async def open(self, runner_id: str, *, lease_seconds: float | None = None) -> None:
        """Open the file, which is made if there is none, and enrol the runner. See `Store.open`."""
        if self._state is not _State.NEW:
            raise StoreError(f"SQLite store {self.options.path}: opened twice; make a second SqliteStore")
        self._runner_id = runner_id
        self._lease_seconds = self.options.lease_seconds if lease_seconds is None else lease_seconds
        self._state = _State.CLOSED
        self._reader.start()
        try:
            await self._reader.ask(self._open)
        except BaseException:
            self._reader.stop()
            raise
        self._state = _State.OPEN
        _living.add(self)

    def _open(self) -> None:
        options = self.options
        try:
            self._connect()
            self._bell.hang()
            writing = self._connections[0]
            home, lease = self._enrol(writing)
        except BaseException:
            self._bell.take_down()
            self._disconnect()
            raise
        self._session = Session(writing, self._names, home=home)
        self._writer = Writer(self._session, self._failures, committed=self._bell.ring)
        self._keeper = Keeper(options.path, self._connections[3], self._session, self._bell, lease, self._lease_seconds)
        self._keeper.ring = self._ring
        self._work = Worker("pynenc_async-sqlite-writer", self._writer.serve, most=_MOST_AT_ONCE)
        self._work.start()
        self._keeper.start()

    def _connect(self) -> None:
        self._connections.append(open_file(self.options))
        self._connections.extend(connect(self.options, read_only=True) for _ in range(3))
        _, self._peeking, self._reading, _ = self._connections
        finding.enable_find(self._reading)

    def _enrol(self, connection: sqlite3.Connection) -> tuple[int, Lease]:
        lease = self._take_lease()
        try:
            # A single statement, which is its own transaction.
            return enrol(connection, self._runner_id, lease, self._bell), lease
        except BaseException:
            lease.end()
            raise

    def _take_lease(self) -> Lease:
        try:
            return Lease.take(self.options.path, self._lease_seconds)
        except OSError as error:
            raise StoreError(
                f"SQLite store {self.options.path}: cannot keep a lease next to it: {error}", temporary=True
            ) from error

    async def close(self) -> None:
        """End the lease and close the file. See `Store.close`."""
        if self._state is not _State.OPEN:
            return
        self._state = _State.CLOSED
        _living.discard(self)
        try:
            await self._work.ask(Simple("closing", lambda session: retire(session.connection, session.home)))
        finally:
            self._keeper.stop()
            self._work.stop()
            self._reader.stop()
            self._keeper.lease.end()
            self._bell.take_down()
            self._disconnect()

    def _disconnect(self) -> None:
        for connection in reversed(self._connections):
            connection.close()
        self._connections.clear()

    @property
    def alive(self) -> bool:
        """See `Store.alive`."""
        return self._state is _State.OPEN and self._session.alive

    async def rejoin(self) -> None:
        """See `Store.rejoin`."""
        self._check()
        await self._work.ask(Rejoin(self._runner_id, self._bell, self._take_lease, self._joined))

    def _joined(self, lease: Lease) -> None:
        self._keeper.lease.end()
        self._keeper.lease = lease

    def listen(self, ring: Callable[[], None]) -> None:
        """See `Store.listen`."""
        self._ring = ring
        if self._state is _State.OPEN:
            self._keeper.ring = ring

    # -- changes -------------------------------------------------------------------------------------------------------

    async def commit(self, changes: Sequence[Change]) -> list[Refusal | None]:
        """See `Store.commit`."""
        self._check()
        answer: list[Refusal | None] = await self._work.ask(Commit(changes), weight=len(changes))
        return answer

    async def claim(self, task_ids: Sequence[str], limit: int, *, now: float) -> list[StoredInvocation]:
        """See `Store.claim`."""
        return await self._write("claiming", lambda session: backlog.claim(session, task_ids, limit, now))

    async def backlog(self, task_ids: Sequence[str], *, now: float) -> Backlog:
        """See `Store.backlog`."""
        return await self._read(lambda c: backlog.count(c, self._names, self._session.home, task_ids, now))

    async def recover(self, task_ids: Sequence[str], *, now: float) -> Recovery:
        """See `Store.recover`."""
        path = self.options.path
        tasks = tuple(task_ids)
        died: list[str] = []

        def judge(lease: str) -> bool:
            if not is_dead(path, lease):
                return False
            died.append(lease)
            return True

        found = await self._write("recovering", lambda session: recovery.recover(session, tasks, now, judge))
        for lease in died:
            tidy(path, lease)
        return found

    async def _write(self, doing: str, perform: Callable[[Session], T]) -> T:
        self._check()
        answer: T = await self._work.ask(Simple(doing, perform))
        return answer

    # -- questions -----------------------------------------------------------------------------------------------------

    async def load(self, invocation_ids: Sequence[str]) -> list[StoredInvocation]:
        """See `Store.load`."""
        return await self._read(lambda c: reading.load(c, self._names, invocation_ids))

    def peek(self, invocation_id: str) -> StoredInvocation | None:
        """See `Store.peek`."""
        return self._peek(lambda c: reading.peek(c, self._names, invocation_id))

    def standing(self, unique_key: str, *, now: float) -> str | None:
        """See `Store.standing`."""
        return self._peek(lambda c: reading.standing(c, self._names, unique_key, now))

    async def cancel_requests(self) -> list[CancelRequest]:
        """See `Store.cancel_requests`."""
        return await self._read(lambda c: reading.cancel_requests(c, self._names, self._session.home))

    async def journal(self, invocation_id: str) -> list[bytes]:
        """See `Store.journal`."""
        return await self._read(lambda c: reading.journal(c, self._names, invocation_id))

    def history(self, invocation_id: str) -> list[StoredStep]:
        """See `Store.history`."""
        return self._peek(lambda c: reading.history(c, self._names, invocation_id))

    async def find(self, query: Query) -> Page:
        """See `Store.find`."""
        return await self._read(lambda c: finding.find(c, self._names, query))

    async def counts(self) -> dict[str, int]:
        """See `Store.counts`."""
        return await self._read(finding.counts)

    async def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        self._check()
        answer: T = await self._reader.ask(lambda: question(self._reading))
        return answer

    def _peek(self, question: Callable[[sqlite3.Connection], T]) -> T:
        self._check()
        try:
            with self._peek_lock:
                return question(self._peeking)
        except sqlite3.Error as error:
            raise self._failures.translate(error, "reading") from error

    def _serve_reader(self, jobs: Sequence[Job]) -> list[Answer]:
        return [self._serve_one(job) for job in jobs]

    def _serve_one(self, job: Job) -> Answer:
        try:
            return job, job.work(), None
        except sqlite3.Error as error:
            failure = self._failures.translate(error, "reading")
            failure.__cause__ = error
            return job, None, failure
        except Exception as error:  # noqa: BLE001  whoever asked gets it, whatever it is
            return job, None, error

    # -- housekeeping --------------------------------------------------------------------------------------------------

    async def purge(self, retention: Retention, *, now: float, limit: int = 10_000) -> int:
        """See `Store.purge`. In pieces, between which others write; free pages go back to the file system."""
        forgotten = 0
        while forgotten < limit:
            left = limit - forgotten
            piece = await self._write("purging", partial(purging.purge_piece, retention=retention, now=now, limit=left))
            if not piece:
                break
            forgotten += piece
        await self._write("purging", partial(purging.sweep, now=now))
        while await self._write("purging", partial(purging.give_back, all_of_it=retention.bytes is not None)):
            pass
        return forgotten

    async def backup(self, target: str) -> None:
        """Write a copy of the whole file to `target`, which must not exist. A copy knows no living runner.

        So what runs here is taken over, and run again, by whoever opens the copy.
        """
        self._check()
        await self._reader.ask(lambda: self._backup(target))

    def _backup(self, target: str) -> None:
        if Path(target).exists():
            raise StoreError(
                f"SQLite store {self.options.path}: cannot back up to {target}: it exists; name a new file"
            )
        source = connect(self.options, read_only=True)
        try:
            copy = sqlite3.connect(target, isolation_level=None)
            try:
                source.backup(copy)  # in one go: a copy in steps would begin anew with every commit
            finally:
                copy.close()
        finally:
            source.close()

    async def check(self) -> list[str]:
        """Return what is wrong with the file: every page and index is looked at. Empty: nothing."""
        found = await self._read(lambda c: c.execute("PRAGMA integrity_check").fetchall())
        return [problem for (problem,) in found if problem != "ok"]

    def statistics(self) -> dict[str, Any]:
        """Return sizes of the files in bytes, and how many changes went into how many transactions."""
        self._check()
        sizes = {name: _size(self.options.path + suffix) for name, suffix in (("bytes", ""), ("wal_bytes", "-wal"))}
        return {
            "path": self.options.path,
            **sizes,
            "transactions": self._writer.transactions,
            "changes": self._writer.changes,
            "other_runners": len(self._bell.others),
        }

    def _check(self) -> None:
        if self._state is not _State.OPEN:
            raise StoreError(f"SQLite store {self.options.path}: it {self._state.value}")

    def _forked(self) -> None:
        """In a forked child: the file, its locks and the threads are the parent's."""
        self._state = _State.FORKED
        self._keeper.lease.let_go()


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


_living: Final[weakref.WeakSet[SqliteStore]] = weakref.WeakSet()


def _after_fork() -> None:
    for store in list(_living):
        store._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
