"""The changes of one call of `Store.commit`."""

from collections.abc import Sequence
from typing import Final

from pynenc_async.store.sqlite.decide import Decision
from pynenc_async.store.sqlite.plan import Plan, make_plan
from pynenc_async.store.sqlite.schema import CANCEL
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.work import Work
from pynenc_async.store.values import Change, NewInvocation, Refusal, Transition


class Commit(Work):
    """The changes of one call of `Store.commit`."""

    doing = "committing changes"

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes: Final = changes
        self._plan: Plan | None = None

    def prepare(self, session: Session) -> None:
        """Make the plan, and learn all names."""
        connection, names = session.connection, session.names
        self._plan = make_plan(connection, self._changes, names, home=session.home, marked=session.marked)
        if self._plan is not None:
            return
        for change in self._changes:
            if type(change) is NewInvocation:
                names.learn(connection, change.invocation_id)
                names.learn_task(connection, change.task_id)
                if change.parent_invocation_id is not None:
                    names.learn(connection, change.parent_invocation_id)

    def perform(self, session: Session) -> list[Refusal | None]:
        """Make the changes as planned; or undo that, and decide about each."""
        connection = session.connection
        if self._plan is not None and session.alive:
            connection.execute("SAVEPOINT plan")
            if self._plan.execute(connection):
                connection.execute("RELEASE plan")
                return [None] * len(self._changes)
            connection.execute("ROLLBACK TO plan")
            connection.execute("RELEASE plan")
        decision = Decision(connection, session.names, home=session.home, dead=not session.alive)
        refusals = decision.make(self._changes)
        if session.alive:
            self._remember(session, decision, refusals)
        else:
            session.leave_something()
        return refusals

    def _remember(self, session: Session, decision: Decision, refusals: Sequence[Refusal | None]) -> None:
        """Keep in mind what has something rare about it, so that its next batch is decided at once."""
        for change, refusal in zip(self._changes, refusals, strict=True):
            if refusal is not None or type(change) not in (NewInvocation, Transition):
                continue
            key = session.names.find(session.connection, change.invocation_id)
            if key is None:
                continue
            if decision.known[key].marks & ~CANCEL and getattr(change, "taken", False):
                session.marked.add(key)
            else:
                session.marked.discard(key)
