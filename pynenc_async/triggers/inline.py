"""Triggers of a synchronous app: what is fired runs inline.

Whoever reads the result that brought the trigger to fire goes on when what was fired has ended, too. What ends unread (its
reader was cancelled) fires at the next read. `app.emit` returns after what it has fired; inside an event loop it starts it
there, and it may be awaited. A fired invocation that fails is logged.
"""

from asyncio.events import _get_running_loop
from typing import Any, Final

from pynenc_async.clock import wall_clock_of
from pynenc_async.function import Values
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.invocation.synchronous import SynchronousInvocation, SynchronousRuntime
from pynenc_async.scheduler.watches import Watches
from pynenc_async.triggers.firing import context_of, name_cause
from pynenc_async.triggers.occurrence import Chain

Invocation = SynchronousInvocation[Any, Any]


class InlineStage:
    """The stage of a synchronous app."""

    def __init__(self, runtime: SynchronousRuntime) -> None:
        self.runtime: Final = runtime
        self.watches: Final[Watches] = runtime.watches

    def admit(self) -> None:
        """Nothing has to be started."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return wall_clock_of(_get_running_loop())()

    def catch_up(self) -> None:
        """Tell what has happened before."""
        self.watches.backlog.work_off()

    def call(self, task: Any, values: Values, *, cause: int | None, chain: Chain) -> Invocation:
        """Make what is fired; it runs when the runtime follows up."""
        number = next(self.runtime.ids.numbers)
        context = context_of(chain)
        made: Invocation = context.run(lambda: SynchronousInvocation(task, values, number, None))
        name_cause(made, cause, chain)
        self.runtime.enter(made)
        self.runtime.followers.append(made)
        return made

    def after_emit(self) -> None:
        """Run what is fired: to its end or, inside an event loop, as far as that lets it."""
        if _get_running_loop() is None:
            self.runtime.follow_up_blocking()
        else:
            self.runtime.start_followers()


def inline_stage(dispatcher: Dispatcher, retain_count: int) -> InlineStage:
    """Return the stage of an app that runs everything inline, under ids from the same source as those of its dispatcher."""
    return InlineStage(SynchronousRuntime(dispatcher.ids, retain_count))
