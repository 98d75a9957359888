"""The store contract: where invocations live when they are to outlive their process.

A store is the truth about invocations, and nothing else: it decides no policy, runs nothing, and knows no task. The
runtime decides in memory, gathers its decisions into batches, and lets an effect happen only after the change that
announces it has been committed: a body begins after its RUNNING, a waiter is told after the end.

**Who may write.** Each invocation has a home: the runner that commits its changes. A change names the revision that it
was decided on, and is refused if the store has another revision or another home: the first writer wins, and who was
declared dead, or was too late, changes nothing. That is the only fence; no lock is held between two calls.

**Life and death.** A runner is alive while it renews its lease. One that does not is dead, whatever its process thinks:
`recover` gives what it had to who calls it. A store that sees the death of a process sooner may say so sooner. Leases are
measured on a clock that cannot be set, for a time of day that jumps must kill nobody.

**Truth and bell.** `listen` is a bell: a hint that something may have changed, never the change itself. A store may ring
too often, and a lost ring costs time, never work.

The conformance suite is `pynenc_async.testing.check_store`; it names the rule of this page that a store breaks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

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


class Store(ABC):
    """One file or server, as one runner uses it. All methods are called in one event loop, except where they say so.

    Every coroutine raises `StoreError` when the store cannot do what it was asked (unreachable, full, damaged); then it
    has done nothing, and may be asked again. Cancelling one that has begun leaves open whether it was done.
    """

    # -- life ----------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def open(self, runner_id: str, *, lease_seconds: float) -> None:
        """Enrol a runner, whose lease begins now, and make everything ready; called once, before anything else.

        From here on the store renews the lease by itself, apart from the event loop: a loop that is blocked is not dead.
        Raises `StoreError` for what is no store, is damaged, or was written by a newer version. Nothing is ever replaced.
        Raises it also where a runner with this id is alive: two of one id would take each other's work for their own.
        """

    @abstractmethod
    async def belong_to(self, app_id: str) -> None:
        """Let all that is stored here, now and later, be that of one app: the first that says so; called once, after `open`.

        Raises `StoreError` where it belongs to an app with another id: each would run the other's work. A copy belongs to
        whom the original does.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let the runner go: its lease ends at once, what it had is for others to `recover`. May be called twice."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether the runner has its lease, as far as is known here. One that was declared dead stays so.

        Then all that it commits is refused as stale, except for new invocations, which find a home with who recovers them,
        be it long after the death; and it claims and recovers nothing.
        """

    @abstractmethod
    async def rejoin(self) -> None:
        """Give a runner that was declared dead a new lease. What it had is not its own any more.

        What nobody has taken over yet waits for who recovers it; that may be this runner.
        """

    async def announce_stop(self) -> None:  # noqa: B027  a store that cannot keep it counts some crashes too many
        """Say that the runner is about to stop: should it be killed before, what it has under way has not crashed.

        Holds until it is closed, or declared dead and rejoins.
        """

    @abstractmethod
    def listen(self, ring: Callable[[], None]) -> None:
        """Call `ring`, in any thread, soon after another runner has committed something, or asked for something."""

    def notices_death(self) -> bool:
        """Whether another runner seems to have died, or has left, since this was asked last: then it is time to `recover`.

        A hint, for which the bell is rung. Where a store cannot tell, what the dead had waits for the next round.
        """
        return False

    # -- changes -------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def commit(self, changes: Sequence[Change]) -> list[Refusal | None]:
        """Make the changes in order, in one transaction; return, for each, None or why it alone was not made.

        When it returns, what was made is as durable as the store promises, and others see all of it. When it raises
        `StoreError`, nothing was made. A change that was refused does not keep later ones from being made.

        * `NewInvocation`: refused as EXISTS where the id is known (the detail says whether this runner itself, in whichever
          of its lives, has committed it before: then its answer was lost), as DUPLICATE where another invocation stands
          under its `unique` key (with `replace`, that one stands no more, and is asked to be cancelled, as by a
          `CancelRequest` of this runner with the reason `REPLACED`), as FIRED where its `fire` was committed before.
        * `Transition`: refused as UNKNOWN, as STALE unless the revision is the stored one and the runner is the home, as
          LIMIT or RATE where a permit is not to be had; then none is taken. Permits that the invocation holds are free
          with the first status that no runner owns, and do not stand in its own way. A final status ends its stand under
          its unique key, unless that has a moment of its own; a start (RUNNING) does where `until_started` says so.
        * `JournalChange`: refused as UNKNOWN, and as STALE where the runner is not the home.
        * `WaitChange`: refused as UNKNOWN, and as STALE unless the revision is the stored one, the runner is the home, and the
          status is one that a runner owns. It counts no revision, and there is no entry in the history. It gets the next
          number, of all runners, unless it is the same wait as before: of this revision, and with these needs.
        * `CancelRequest`: refused as UNKNOWN, and as STALE where the invocation has ended. Any runner may ask.

        The first reason in the order above is the one given. A change that is refused leaves no trace: its key, its fire
        and its permits are free for others. The moment of a change, by which rates and stands are judged, is that of its
        last step; of a unique key that says `since`, it is that. A start that is dated later than now by more than ten seconds
        was made under a clock that has been set back since, and counts as one of now; by less, another one is only late.

        Raises `InvocationStatusError`, and does nothing at all, where the steps of a change are no path of the status table
        from the stored status on (of one that is STALE, they are not looked at).

        The history gets one entry for each step, in the same transaction as the status, with the runner's id.
        """

    @abstractmethod
    async def claim(
        self, task_ids: Sequence[str], limit: int, *, now: float, only: Sequence[str] | None = None
    ) -> list[StoredInvocation]:
        """Take up to `limit` invocations out of the backlog of this runner, and return them; nobody else gets them.

        Eligible is what is not taken, is of one of the tasks, may be run (or is SCHEDULED, or CONCURRENCY_CONTROLLED), and
        is due; with `only`, it has one of these ids besides. The highest priority first, within one level the earliest
        registered; of those that one runner has registered at one moment, in the order of their numbers. Nothing but `taken`
        changes, and no revision is counted.
        """

    @abstractmethod
    async def backlog(self, task_ids: Sequence[str], *, now: float) -> Backlog:
        """Say what of these tasks waits in the backlog of this runner."""

    @abstractmethod
    async def recover(self, task_ids: Sequence[str], *, now: float) -> Recovery:
        """Take over what belongs to dead runners and is of one of the tasks, into the backlog.

        What was PENDING goes by PENDING_RECOVERY to REROUTED; what was RUNNING, PAUSED or RESUMED goes by RUNNING_RECOVERY
        to REROUTED, with one crash more (but where its runner had announced that it stops), or to FAILED when it has crashed
        `max_crashes` times, with an error that says so; KILLED goes to REROUTED, and so does what stands in one of the two
        recoveries; all else stays in its status, until it is due, and asked to be cancelled where it was; what has ended
        stays where it is. Permits of what was under way are free. The steps are of the attempt that was under way, at `now`,
        and by the runner that recovers. Of other tasks nothing is touched: who knows them may come later. Of one invocation
        all happens in one transaction.

        What waits since later than `now` was put off under a clock that has been set back since, and waits since `now`: what
        is taken over becomes due, and has its deadline, as much earlier; so does the moment until which anything stands
        under a unique key, whoever's it is. So nothing waits longer than it was put off for.

        Two runners that recover at once share the dead, and each is taken once.
        """

    # -- questions -----------------------------------------------------------------------------------------------------

    @abstractmethod
    async def waits(self, invocation_ids: Sequence[str]) -> list[StoredWait]:
        """Return what these invocations wait for, what that waits for, and so on, as of one moment, in no particular order.

        So runners find rings in which several of them wait for one another. In the answer is

        * what was said to wait (`WaitChange`) in the revision that it still has, by a home that is alive. Of its needs those
          are left of which no invocation has ended, is asked to be cancelled, or is unknown;
        * what has not started, or waits for its next attempt, and lacks a permit that somebody who waits for it has named
          (`Awaited.permits`). It needs as many of the others that hold the permit as have to give theirs back.

        Not in the answer is all that goes on by itself, as far as is known: what has ended, what is asked to be cancelled, and
        what has no needs left. A ring that is in the answer is one; where a home was lost, or there is more than can be looked
        at, one may be left out.
        """

    @abstractmethod
    async def load(self, invocation_ids: Sequence[str]) -> list[StoredInvocation]:
        """Return those that are known, in no particular order."""

    @abstractmethod
    def peek(self, invocation_id: str) -> StoredInvocation | None:
        """Return one invocation, or None, without waiting for anybody. Callable in any thread.

        Sees what was committed before the call. For what cannot await: `app.get_invocation`, `invocation.result`.
        """

    @abstractmethod
    def standing(self, unique_key: str, *, now: float) -> str | None:
        """Return the id of the invocation that stands under a unique key, or None; like `peek`."""

    @abstractmethod
    async def cancel_requests(self) -> list[CancelRequest]:
        """Return what this runner has been asked to cancel, and has not ended."""

    @abstractmethod
    async def last_fires(self) -> dict[str, float]:
        """Return, by schedule, the latest moment that was fired."""

    @abstractmethod
    async def journal(self, invocation_id: str) -> list[bytes]:
        """Return the entries of a workflow's journal."""

    @abstractmethod
    def history(self, invocation_id: str) -> list[StoredStep]:
        """Return every transition, the first one first; empty where it is not known. Like `peek`, no coroutine.

        A step that is dated before its predecessor, by a clock that was set back, is told with the moment of that one.
        """

    @abstractmethod
    async def find(self, query: Query) -> Page:
        """Return a page of what fits. Pages stay in step while others write: nothing that stays is left out or told twice."""

    @abstractmethod
    async def counts(self) -> dict[str, int]:
        """Return how many invocations there are in each status that occurs."""

    # -- housekeeping --------------------------------------------------------------------------------------------------

    @abstractmethod
    async def purge(self, retention: Retention, *, now: float, limit: int = 10_000) -> int:
        """Forget up to `limit` of what has ended, the longest ago first, as far as `retention` is exceeded; say how many.

        One bound that is exceeded is enough. With an invocation go its history, its journal and what only it needs of large
        values.

        What the journal of an invocation that has not ended names (`JournalChange.names`) is spared, whoever is its home and
        whichever bound is exceeded: another attempt is answered with it. What has been spared counts no more for
        `Retention.count`. It may go as soon as the other one has ended, or its journal names it no more. So is spared, until
        that moment, what stands under a unique key until a moment: a duplicate is answered with it.

        What outlives it: that its moment of a schedule was fired. What cannot matter after `now` may go at any purge: a stand
        whose moment is past, starts that no rate counts any more; the fires of a schedule after a month, but the last.
        """

    async def backup(self, target: str) -> None:
        """Write a copy of the whole, as of one moment, to `target`, while everything goes on."""
        raise NotImplementedError(f"{type(self).__name__} is backed up by other means")

    def statistics(self) -> dict[str, Any]:
        """Return figures of this store's own, for people: sizes, transactions, changes in each."""
        return {}
