"""The one thread that writes: whatever waits goes into one transaction, and what fails there fails alone."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from pynenc_async.errors import PynencError, StoreError
from pynenc_async.store.sqlite.failures import Failures, is_of_one_change
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.worker import Answer, Job


class Writer:
    """Serves the queue of the writer's thread."""

    def __init__(self, session: Session, failures: Failures, *, committed: Callable[[], None]) -> None:
        self._session: Final = session
        self._failures: Final = failures
        self._committed: Final = committed
        """Called after each transaction."""
        self.transactions = 0
        self.changes = 0

    def serve(self, jobs: Sequence[Job]) -> list[Answer]:
        """Do the work of all jobs in one transaction."""
        answers: list[Answer] = []
        ready: list[Job] = []
        for job in jobs:
            if job.future.cancelled():
                answers.append((job, None, None))  # nobody waits, and nothing has begun
            elif self._prepare(job, answers):
                ready.append(job)
        if ready:
            done = self._transact(ready)
            for job, _, error in done:
                job.work.settle(self._session, done=error is None)
            answers.extend(done)
        return answers

    def _prepare(self, job: Job, answers: list[Answer]) -> bool:
        try:
            job.work.prepare(self._session)
        except Exception as error:  # noqa: BLE001  whoever asked gets it, whatever it is
            self._undo("ROLLBACK")
            answers.append((job, None, self._translate(error, job)))
            return False
        return True

    def _transact(self, jobs: Sequence[Job]) -> list[Answer]:
        connection = self._session.connection
        answers: list[Answer] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._session.look_at_runner()
            answers.extend(self._perform(job) for job in jobs)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  nothing of this transaction has happened
            self._undo("ROLLBACK")
            return [(job, None, self._translate(error, job)) for job in jobs]
        self.transactions += 1
        self.changes += sum(job.weight for job in jobs)
        self._committed()
        return answers

    def _perform(self, job: Job) -> Answer:
        connection = self._session.connection
        connection.execute("SAVEPOINT job")
        try:
            value = job.work.perform(self._session)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not is_of_one_change(error):
                raise
            connection.execute("ROLLBACK TO job")
            connection.execute("RELEASE job")
            return job, None, self._translate(error, job)
        connection.execute("RELEASE job")
        return job, value, None

    def _undo(self, statement: str) -> None:
        if self._session.connection.in_transaction:
            self._session.connection.execute(statement)

    def _translate(self, error: Exception, job: Job) -> Exception:
        if isinstance(error, sqlite3.Error):
            failure: Exception = self._failures.translate(error, job.work.doing)
            failure.__cause__ = error
            return failure
        if isinstance(error, (PynencError, ValueError, TypeError)):
            return error
        failure = StoreError(f"{job.work.doing}: {type(error).__name__}: {error}; nothing was changed")
        failure.__cause__ = error
        return failure
