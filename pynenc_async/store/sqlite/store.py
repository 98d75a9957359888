"""The store on one SQLite file, as one runner uses it: it hands the questions to those who can answer them.

Changes go to the writer's thread, what takes long to the reader's; what does not wait (`peek`, `standing`, `history`) is
read in the thread that asks.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any, Final, TypeVar

from pynenc_async.errors import StoreError
from pynenc_async.store.base import Store
from pynenc_async.store.sqlite import backlog, finding, purging, reading, recovery, waits
from pynenc_async.store.sqlite.commit import Commit
from pynenc_async.store.sqlite.engine import Engine
from pynenc_async.store.sqlite.enrolment import announce_stop, belong, retire
from pynenc_async.store.sqlite.failures import Failures, refused_thread, store_error
from pynenc_async.store.sqlite.inspecting import size_of
from pynenc_async.store.sqlite.lease import tidy
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.options import SqliteOptions
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.work import Simple
from pynenc_async.store.sqlite.worker import Answer, Job, Worker
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
    StoredWait,
)

T = TypeVar("T")


class _State(Enum):
    NEW = "has not been opened; await open() first"
    OPEN = "is open"
    CLOSED = "has been closed; open another SqliteStore on the same file"


class SqliteStore(Store):
    """Invocations in a SQLite file, which processes of one host may share. Each process opens it for itself."""

    def __init__(self, options: SqliteOptions | str | bytes | os.PathLike[str]) -> None:
        """Take the options, or the path of the file. Nothing is opened here."""
        if not isinstance(options, SqliteOptions):
            options = SqliteOptions(path=os.fsdecode(options))
        self.options: Final = options
        self._failures: Final = Failures(options.path, options.busy_timeout)
        self._state = _State.NEW
        self._reader: Final = Worker("pynenc_async-sqlite-reader", self._serve_reader, most=1)
        self._searcher: Final = Worker("pynenc_async-sqlite-searcher", self._serve_reader, most=1)
        self._ring: Callable[[], None] | None = None
        self._opened: Engine | None = None

    # -- life ----------------------------------------------------------------------------------------------------------

    async def open(self, runner_id: str, *, lease_seconds: float | None = None) -> None:
        """Open the file, which is made if there is none, and enrol the runner. See `Store.open`.

        Without `lease_seconds`, the lease is as long as the options say.
        """
        if self._state is not _State.NEW:
            raise store_error(self.options.path, "opened twice; make a second SqliteStore")
        seconds = self.options.lease_seconds if lease_seconds is None else lease_seconds
        self._state = _State.CLOSED
        self._start(self._reader)
        try:
            await self._reader.ask(partial(self._make_engine, runner_id, seconds))
            self._start(self._searcher)
        except BaseException:
            self._reader.stop()
            engine, self._opened = self._opened, None
            if engine is not None:  # the searcher was refused, or whoever opens the store was cancelled meanwhile
                engine.close()
            raise
        self._state = _State.OPEN

    def _make_engine(self, runner_id: str, seconds: float) -> None:
        self._opened = Engine(self.options, self._failures, runner_id, seconds, ring=self._ring)

    def _start(self, thread: Worker) -> None:
        try:
            thread.start()
        except Exception as error:
            raise refused_thread(self.options.path, error) from error

    async def belong_to(self, app_id: str) -> None:
        """See `Store.belong_to`."""
        path = self._engine.options.path
        await self._write("seeing whose it is", lambda session: belong(session.connection, app_id, path))

    async def close(self) -> None:
        """End the lease and close the file. See `Store.close`."""
        if self._state is not _State.OPEN:
            return
        engine, self._state = self._opened, _State.CLOSED
        if engine is None or engine.is_childs:
            return  # a forked child has nothing to close
        try:
            with suppress(StoreError):  # full, locked, gone: the lease ends all the same, and tells the others as much
                await engine.work.ask(Simple("closing", lambda session: retire(session.connection, session.home)))
        finally:
            self._searcher.stop()
            self._reader.stop()
            engine.close()

    @property
    def alive(self) -> bool:
        """See `Store.alive`."""
        engine = self._opened
        return self._state is _State.OPEN and engine is not None and engine.session.alive and not engine.is_childs

    async def rejoin(self) -> None:
        """See `Store.rejoin`."""
        engine = self._engine
        await engine.work.ask(engine.rejoin())

    @property
    def _engine(self) -> Engine:
        engine = self._opened
        if self._state is not _State.OPEN or engine is None:
            raise store_error(self.options.path, f"it {self._state.value}")
        if engine.is_childs:
            raise store_error(
                self.options.path,
                "it was opened before this process was forked; open the app after the fork, in each process its own",
            )
        return engine

    async def announce_stop(self) -> None:
        """See `Store.announce_stop`."""
        await self._write("announcing that it stops", lambda session: announce_stop(session.connection, session.home))

    def listen(self, ring: Callable[[], None]) -> None:
        """See `Store.listen`."""
        self._ring = ring
        if self._opened is not None:
            self._opened.keeper.ring = ring

    def notices_death(self) -> bool:
        """See `Store.notices_death`."""
        return self._opened is not None and self._opened.keeper.notices_death()

    # -- changes -------------------------------------------------------------------------------------------------------

    async def commit(self, changes: Sequence[Change]) -> list[Refusal | None]:
        """See `Store.commit`."""
        engine = self._engine
        if engine.at_once.commit(changes):
            return [None] * len(changes)
        answer: list[Refusal | None] = await engine.work.ask(Commit(changes), weight=len(changes))
        return answer

    async def claim(
        self, task_ids: Sequence[str], limit: int, *, now: float, only: Sequence[str] | None = None
    ) -> list[StoredInvocation]:
        """See `Store.claim`."""
        if limit < 1:
            return []
        wanted = backlog.Wanted(task_ids, limit, only)
        seen = await self._read(lambda e: backlog.look(e.reading, e.names, e.session.home, wanted, now))
        if seen is None:
            await self._write("claiming", lambda session: backlog.put_in_line(session, now))
            seen = await self._read(lambda e: backlog.Seen(e.reading, e.names, e.session.home, wanted))
        if not seen.invocations:
            return []
        return await self._write("claiming", lambda session: backlog.take(session, seen, wanted))

    async def backlog(self, task_ids: Sequence[str], *, now: float) -> Backlog:
        """See `Store.backlog`."""
        return await self._read(lambda e: backlog.count(e.reading, e.names, e.session.home, task_ids, now))

    async def recover(self, task_ids: Sequence[str], *, now: float) -> Recovery:
        """See `Store.recover`."""
        path, leases = self._engine.options.path, self._engine.leases
        tasks = tuple(task_ids)
        died: list[str] = []

        def judge(lease: str) -> bool:
            if not leases.is_dead(lease):
                return False
            died.append(lease)
            return True

        pieces: list[Recovery] = []
        more = True
        while more:
            try:
                piece, more = await self._write(
                    "recovering", partial(recovery.recover_piece, task_ids=tasks, now=now, is_dead=judge)
                )
            except StoreError:
                if not pieces:
                    raise
                break  # what was taken over is to be known; the rest is for the next time
            pieces.append(piece)
        for lease in died:
            tidy(path, lease)
        return recovery.together(pieces)

    async def _write(self, doing: str, perform: Callable[[Session], T]) -> T:
        answer: T = await self._engine.work.ask(Simple(doing, perform))
        return answer

    # -- questions -----------------------------------------------------------------------------------------------------

    async def waits(self, invocation_ids: Sequence[str]) -> list[StoredWait]:
        """See `Store.waits`."""
        return await self._read(lambda e: waits.follow(e.reading, e.names, e.leases.is_dead, invocation_ids))

    async def load(self, invocation_ids: Sequence[str]) -> list[StoredInvocation]:
        """See `Store.load`."""
        return await self._read(lambda e: reading.load(e.reading, e.names, invocation_ids))

    def peek(self, invocation_id: str) -> StoredInvocation | None:
        """See `Store.peek`."""
        return self._peek(lambda c, names: reading.peek(c, names, invocation_id))

    def standing(self, unique_key: str, *, now: float) -> str | None:
        """See `Store.standing`."""
        return self._peek(lambda c, names: reading.standing(c, names, unique_key, now))

    async def cancel_requests(self) -> list[CancelRequest]:
        """See `Store.cancel_requests`."""
        return await self._read(lambda e: reading.cancel_requests(e.reading, e.names, e.session.home))

    async def journal(self, invocation_id: str) -> list[bytes]:
        """See `Store.journal`."""
        return await self._read(lambda e: reading.journal(e.reading, e.names, invocation_id))

    def history(self, invocation_id: str) -> list[StoredStep]:
        """See `Store.history`."""
        return self._peek(lambda c, names: reading.history(c, names, invocation_id))

    async def find(self, query: Query) -> Page:
        """See `Store.find`."""
        return await self._search(lambda e: finding.find(e.searching, e.names, query))

    async def last_fires(self) -> dict[str, float]:
        """See `Store.last_fires`."""
        return await self._read(lambda e: finding.last_fires(e.reading))

    async def counts(self) -> dict[str, int]:
        """See `Store.counts`."""
        return await self._search(lambda e: finding.counts(e.searching))

    async def _read(self, question: Callable[[Engine], T]) -> T:
        engine = self._engine
        answer: T = await self._reader.ask(lambda: question(engine))
        return answer

    async def _search(self, question: Callable[[Engine], T]) -> T:
        """Ask what may take seconds: what the runtime needs to go on does not wait behind it."""
        engine = self._engine
        answer: T = await self._searcher.ask(lambda: question(engine))
        return answer

    def _peek(self, question: Callable[[sqlite3.Connection, Names], T]) -> T:
        engine = self._engine
        try:
            return engine.peek(lambda connection: question(connection, engine.names))
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
            if not any(piece):
                break
            forgotten += piece.forgotten
        await self._write("purging", partial(purging.sweep, now=now))
        while await self._write("purging", partial(purging.give_back, all_of_it=retention.bytes is not None)):
            pass
        return forgotten

    async def backup(self, target: str) -> None:
        """Write a copy of the whole file to `target`, which must not exist. A copy knows no living runner.

        So what runs here is taken over, and run again, by whoever opens the copy.
        """
        await self._search(lambda engine: engine.copy_to(os.fsdecode(target)))

    async def check(self) -> list[str]:
        """Return what is wrong with the file: every page and index is looked at. Empty: nothing."""
        found = await self._search(lambda e: e.searching.execute("PRAGMA integrity_check").fetchall())
        return [problem for (problem,) in found if problem != "ok"]

    def statistics(self) -> dict[str, Any]:
        """Return sizes of the files in bytes, and how many changes went into how many transactions."""
        engine = self._engine
        return {
            "path": engine.options.path,
            "bytes": size_of(engine.options.path),
            "wal_bytes": size_of(f"{engine.options.path}-wal"),
            "wal_frames": engine.checkpointer.frames,
            "transactions": engine.writer.transactions,
            "changes": engine.writer.changes,
            "other_runners": len(engine.bell.others),
        }
