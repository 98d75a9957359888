"""The one thread that writes: whatever waits goes into one transaction, and what fails there fails alone."""

import sqlite3
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from pynenc_async.errors import PynencError, StoreError
from pynenc_async.store.sqlite.checkpoints import Checkpointer
from pynenc_async.store.sqlite.commit import Commit
from pynenc_async.store.sqlite.failures import Failures, is_full, is_of_one_change
from pynenc_async.store.sqlite.plan import Plan, make_plan
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.worker import Answer, Job
from pynenc_async.store.values import Change


class Writer:
    """Serves the queue of the writer's thread."""

    def __init__(
        self,
        session: Session,
        failures: Failures,
        checkpoints: Checkpointer,
        *,
        busy_timeout: float,
        committed: Callable[[], None],
    ) -> None:
        self._session: Final = session
        self._failures: Final = failures
        self._checkpoints: Final = checkpoints
        self._wait_for_locks: Final = f"PRAGMA busy_timeout = {round(1_000 * busy_timeout)}"
        self._committed: Final = committed
        """Called after each transaction."""
        self.transactions = 0
        self.changes = 0

    def serve(self, jobs: Sequence[Job]) -> list[Answer]:
        """Do the work of all jobs, in their order: neighbours share a transaction."""
        loss = self._session.loss
        if loss is not None:
            return [(job, None, self._failures.lost(loss, job.work.doing)) for job in jobs]
        if self._checkpoints.wants_writer:
            self._checkpoints.before_commit(self._session.connection)
        answers: list[Answer] = [(job, None, None) for job in jobs if job.future.cancelled()]
        begun = {id(job) for job, *_ in answers}  # whose future is cancelled from here on is served all the same
        for is_commit, some in groupby(jobs, key=lambda job: isinstance(job.work, Commit)):
            ready = [job for job in some if id(job) not in begun]
            if ready:
                answers.extend(self._commit(ready) if is_commit else self._transact(ready))
        return answers

    def _commit(self, jobs: Sequence[Job]) -> list[Answer]:
        """Make all changes as one plan, as nearly always; or one commit after the other."""
        try:
            as_planned = self._make_as_planned(jobs)
        except sqlite3.Error as error:
            self._undo()
            if not is_of_one_change(error):
                return [(job, None, self._translate(error, job)) for job in jobs]
            as_planned = False
        except Exception:  # noqa: BLE001  whose fault it is will be seen when each is decided about alone
            self._undo()
            as_planned = False
        if not as_planned:
            return self._transact(jobs)
        self._count(sum(job.weight for job in jobs))
        self._help()
        return [(job, [None] * len(job.work.changes), None) for job in jobs]

    def _make_as_planned(self, jobs: Sequence[Job]) -> bool:
        plan = self._plan([change for job in jobs for change in job.work.changes])
        if plan is None:
            return False
        for job in jobs:
            job.begin()
        plan.execute(self._session.connection)
        return True

    def _plan(self, changes: Sequence[Change]) -> Plan | None:
        session = self._session
        if not session.alive:
            return None
        return make_plan(session.connection, changes, session.names, home=session.home, marked=session.marked)

    def commit_at_once(self, changes: Sequence[Change]) -> bool:
        """Make all changes as planned, in whichever thread this is; return False where that would have to wait, or fails.

        The same way back leads from every failure: the writer's thread tries again, and tells what is wrong.
        """
        connection = self._session.connection
        if self._checkpoints.wants_writer or self._session.loss is not None:
            return False
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            plan = self._plan(changes)
            if plan is not None:
                plan.execute(connection)
        except Exception:  # noqa: BLE001  see above
            self._undo()
            return False
        finally:
            connection.execute(self._wait_for_locks)
        if plan is not None:
            self._count(len(changes))
        return plan is not None

    def _count(self, changes: int) -> None:
        self.transactions += 1
        self.changes += changes
        self._committed()
        self._checkpoints.note(changes)

    def _help(self) -> None:
        if self._checkpoints.wants_writer:
            self._checkpoints.after_commit(self._session.connection)

    def _prepare(self, job: Job, answers: list[Answer]) -> bool:
        try:
            job.work.prepare(self._session)
        except Exception as error:  # noqa: BLE001  whoever asked gets it, whatever it is
            self._undo()
            answers.append((job, None, self._translate(error, job)))
            return False
        return True

    def _transact(self, jobs: Sequence[Job]) -> list[Answer]:
        """Do the work of all jobs in one transaction."""
        answers: list[Answer] = []
        ready = [job for job in jobs if self._prepare(job, answers)]
        done = self._perform_all(ready) if ready else []
        for job, _, error in done:
            job.work.settle(self._session, done=error is None)
        return answers + done

    def _perform_all(self, jobs: Sequence[Job]) -> list[Answer]:
        connection = self._session.connection
        before = connection.total_changes
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._session.look_at_runner()
            answers = [self._perform(job) for job in jobs]
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  nothing of this transaction has happened
            self._undo()
            return [(job, None, self._translate(error, job)) for job in jobs]
        if connection.total_changes != before:  # else two who wait for one permit would wake one another for ever
            self._count(sum(job.weight for job in jobs))
            self._help()
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

    def _undo(self) -> None:
        if self._session.connection.in_transaction:
            self._session.connection.execute("ROLLBACK")

    def _translate(self, error: Exception, job: Job) -> Exception:
        if isinstance(error, sqlite3.Error):
            if is_full(error):
                self._checkpoints.urge()
            failure: Exception = self._failures.translate(error, job.work.doing)
            failure.__cause__ = error
            return failure
        if isinstance(error, (PynencError, ValueError, TypeError)):
            return error
        failure = StoreError(f"{job.work.doing}: {type(error).__name__}: {error}; nothing was changed")
        failure.__cause__ = error
        return failure
