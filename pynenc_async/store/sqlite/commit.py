"""The changes of one call of `Store.commit`."""

from collections.abc import Sequence
from typing import Final

from pynenc_async.store.sqlite.decide import Decision
from pynenc_async.store.sqlite.schema import CANCEL
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.work import Work
from pynenc_async.store.values import Change, JournalChange, NewInvocation, Refusal, Transition, WaitChange


class Commit(Work):
    """The changes of one call of `Store.commit`, where they need to be decided about: see `decide`."""

    doing = "committing changes"

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes: Final = changes

    def prepare(self, session: Session) -> None:
        """Learn all names."""
        connection, names = session.connection, session.names
        for change in self.changes:
            if type(change) is NewInvocation:
                names.learn(connection, change.invocation_id)
                names.learn_task(connection, change.task_id)
                if change.parent_invocation_id is not None:
                    names.learn(connection, change.parent_invocation_id)
            elif type(change) is JournalChange:
                for name in filter(None, change.names):
                    names.learn(connection, name)
            elif type(change) is WaitChange:
                for need in change.needs:
                    for other in need:
                        names.learn(connection, other.invocation_id)

    def perform(self, session: Session) -> list[Refusal | None]:
        """Decide about each change, and make those that are not refused."""
        decision = Decision(
            session.connection, session.names, home=session.home, lives=session.lives, dead=not session.alive
        )
        refusals = decision.make(self.changes)
        if session.alive:
            self._remember(session, decision, refusals)
        else:
            session.leave_something()
        return refusals

    def _remember(self, session: Session, decision: Decision, refusals: Sequence[Refusal | None]) -> None:
        """Keep in mind what has something rare about it, so that its next batch is decided at once."""
        for change, refusal in zip(self.changes, refusals, strict=True):
            if refusal is not None or type(change) not in (NewInvocation, Transition):
                continue
            key = session.names.find(session.connection, change.invocation_id)
            if key is None:
                continue
            if decision.known[key].marks & ~CANCEL and getattr(change, "taken", False):
                session.marked.add(key)
            else:
                session.marked.discard(key)
