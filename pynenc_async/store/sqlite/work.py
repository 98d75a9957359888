"""What the writer is given to do."""

from collections.abc import Callable
from typing import Any, Final

from pynenc_async.store.sqlite.session import Session


class Work:
    """Something to be done in a transaction, perhaps together with the work of others. All in the writer's thread."""

    doing: str
    """What it does, for error messages."""

    def prepare(self, session: Session) -> None:
        """Do what can be done before the transaction begins."""

    def perform(self, session: Session) -> Any:
        """Do it, within a savepoint of its own; what it raises undoes it."""
        raise NotImplementedError

    def settle(self, session: Session, *, done: bool) -> None:
        """Hear whether it is done for good; called after the transaction, if `prepare` returned."""


class Simple(Work):
    """Work that is one function."""

    def __init__(self, doing: str, perform: Callable[[Session], Any]) -> None:
        self.doing = doing
        self._perform: Final = perform

    def perform(self, session: Session) -> Any:
        """Do it."""
        return self._perform(session)
