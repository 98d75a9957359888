"""What triggers need of the runtime that they act on; `firing` has it for the loop, `inline` for `sync://`."""

from typing import Any, Protocol

from pynenc_async.function import Values
from pynenc_async.scheduler.watches import Watches
from pynenc_async.triggers.occurrence import Chain


class Stage(Protocol):
    """Where things happen and calls are submitted."""

    @property
    def runtime(self) -> Any:
        """Where the tasks of the app submit."""
        ...

    @property
    def watches(self) -> Watches:
        """Tells what invocations of watched tasks go through."""
        ...

    def admit(self) -> None:
        """Raise `AppNotStartedError` where a call would."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def catch_up(self) -> None:
        """Tell what has happened before, if that is told where this is called."""
        ...

    def call(self, task: Any, values: Values, *, cause: int | None, chain: Chain) -> Any:
        """Submit what is fired: return the invocation, or what stands for it. Raises what the task refuses it with."""
        ...

    def after_emit(self) -> None:
        """Everything is fired that an event has to fire."""
        ...
