"""The ledger: gathers decisions, and commits them to a store in batches (group commit).

While one batch is being committed, the next one gathers: so its size follows the load by itself, with no interval
anywhere. What follows from a change happens when its batch is back, and never before.

A store that cannot be written (full, locked, gone) loses nothing: the batch stays, and is tried again until it can be.
Only invocations that it was to register are sent back: whoever submitted them is told.
"""

import asyncio
import sys
from asyncio import AbstractEventLoop, Future, Task
from asyncio.events import _get_running_loop
from collections import deque
from collections.abc import Iterable, Sequence
from contextvars import Context
from itertools import chain, islice
from operator import attrgetter
from typing import Final, TypeVar

from pynenc_async.errors import StoreError
from pynenc_async.guard import report_failure, serve_each
from pynenc_async.headroom import add_headroom
from pynenc_async.record import Record
from pynenc_async.scheduler.drafts import Draft
from pynenc_async.scheduler.durability import durable_of
from pynenc_async.scheduler.marks import Marks
from pynenc_async.scheduler.settling import Settlement, Settling
from pynenc_async.scheduler.turnstile import Turnstile
from pynenc_async.store.base import Store
from pynenc_async.store.values import CancelRequest, JournalChange
from pynenc_async.telemetry import log

T = TypeVar("T")

MOST_AT_ONCE: Final = 512
"""Changes in a batch. With more, the loop would wait for the store, and the store for the loop, instead of working both."""
FEWEST_NEW: Final = 64
"""How many of the new invocations that have not begun are registered with each batch, however busy the others are."""
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0
"""How long the ledger waits before it tries a store again that has failed."""


Other = CancelRequest | JournalChange
"""A change that belongs to no draft."""


class Ledger:
    """The drafts of one app, and the one Task that commits them."""

    def __init__(self, settlement: Settlement, turnstile: Turnstile) -> None:
        self._settlement: Final = settlement
        self._turnstile: Final = turnstile
        self._drafts: dict[int, Draft] = {}
        """Of what the store knows: what follows from them keeps the rest going, so they go first."""
        self._new: dict[int, Record] = {}
        """New invocations about which nothing else has been decided: there may be many, and they need no draft to wait."""
        self.put_off: Final[dict[int, Record]] = {}
        """The same, of what is going to lie in the store alone (see `Durable.taken`)."""
        self._begun: dict[int, Draft] = {}
        """Of the others. What gets its slot before it is registered is registered and begun in one change."""
        self._others: list[Other] = []
        self._failed: list[Draft] = []
        """What a failed commit has left, to go first."""
        self._singly: Final[deque[Draft | Other]] = deque()
        """What was in a batch with a change that no store can take, to go before all else, each by itself."""
        self._settling: Final = Settling(settlement)
        self._wanted: Future[None] | None = None
        """What the committer waits for while there is nothing to do."""
        self._committer: Task[None] | None = None
        self._idle: list[Future[None]] = []
        self._marks: Final = Marks()
        self.failure: StoreError | None = None
        """Why the store cannot be written now; then nothing new is admitted."""

    # -- writing down --------------------------------------------------------------------------------------------------

    def register(self, record: Record) -> None:
        """Write a new invocation down."""
        (self._new if durable_of(record).taken else self.put_off)[record._number] = record
        if self._wanted is not None:
            self._wake()

    def draft(self, record: Record) -> Draft:
        """Return the open draft of an invocation that the store knows, or is about to."""
        number = record._number
        draft = self._drafts.get(number) or self._begun.get(number)
        if draft is None:
            if self._new.pop(number, None) is not None or self.put_off.pop(number, None) is not None:
                draft = self._begun[number] = Draft(record, is_new=True)
            else:
                draft = self._drafts[number] = Draft(record)
            if self._wanted is not None:
                self._wake()
        return draft

    def has_draft(self, record: Record) -> bool:
        """Whether anything has been decided about an invocation that is not under way to the store yet."""
        return self._has_draft(record._number)

    def _has_draft(self, number: int) -> bool:
        return number in self._drafts or number in self._begun or number in self._new or number in self.put_off

    def take_back(self, most: int) -> list[Record]:
        """Let this process keep the first of what was put off and is not stored yet, but nothing that waits for its moment."""
        records = [one for one in islice(self.put_off.values(), most) if not one._task.options.starts_later]
        for record in records:
            self.keep(record)
        return records

    def keep(self, record: Record) -> None:
        """Let this process keep one that was put off."""
        self._new[record._number] = self.put_off.pop(record._number)
        durable_of(record).taken = True

    def drop(self, record: Record) -> None:
        """Forget what has been decided about an invocation and is not under way to the store."""
        for waiting in (self._drafts, self._begun, self._new, self.put_off):
            waiting.pop(record._number, None)

    def has(self, record: Record) -> bool:
        """Whether anything is decided about an invocation that is not under way to the store."""
        waiting = self._drafts, self._begun, self._new, self.put_off
        return any(record._number in numbers for numbers in waiting)

    def ask(self, change: Other) -> None:
        """Commit a change that is no step of an invocation of this runner.

        It goes ahead of the drafts: what a workflow has asked for is known before that is done.
        """
        self._others.append(change)
        if self._wanted is not None:
            self._wake()

    @property
    def is_idle(self) -> bool:
        """Whether everything that was decided is committed."""
        is_at_rest = self._committer is None or self._wanted is not None or self.failure is not None
        return is_at_rest and not self._has_work() and not self._settling

    def _has_work(self) -> bool:
        waiting = self._drafts or self._begun or self._new or self.put_off or self._others
        return bool(waiting or self._failed or self._singly)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is committed any more."""
        return self._committer is None

    async def flush(self) -> None:
        """Return when everything that has been decided is committed."""
        while not self.is_idle:
            future = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future

    async def until_committed(self, only: Iterable[int] | None = None) -> None:
        """Return when everything is committed that has been decided by now, whatever is decided meanwhile.

        With `only`, what has been decided about the invocations of these numbers. While the store cannot be written, there
        is nothing to wait for: it returns at once.
        """
        if self._committer is None or self.failure is not None or self.is_idle:
            return
        waiting = self._drafts, self._begun, self._new, self.put_off
        wanted = chain.from_iterable(waiting) if only is None else (one for one in only if self._has_draft(one))
        await self._marks.wait(wanted)

    # -- committing ----------------------------------------------------------------------------------------------------

    def start(self, store: Store, loop: AbstractEventLoop) -> None:
        """Commit to `store`, from a Task of `loop`."""
        self._wanted = self.failure = None
        self._committer = loop.create_task(self._commit_until_stopped(store), name="pynenc-ledger", context=Context())

    @property
    def is_committing(self) -> bool:
        """Whether there is a Task that commits."""
        return self._committer is not None

    async def stop(self) -> None:
        """Commit what is left, as far as the store can, and end."""
        if self._committer is None:
            return
        if self.failure is None:
            await self.flush()
        committer, self._committer = self._committer, None
        if committer is not None:  # pyright: ignore[reportUnnecessaryComparison]  # another stop may have come while it flushed
            committer.cancel()
            await asyncio.wait([committer])
        self._wanted = None
        self._marks.release()

    def forget(self) -> None:
        """The loop that committed is gone, and with it what it had not committed."""
        self._drafts, self._begun, self._new, self._others, self._failed = {}, {}, {}, [], []
        self.put_off.clear()
        self._singly.clear()
        self._settling.forget()
        self._committer = self._wanted = None

    def _wake(self) -> None:
        wanted = self._wanted
        if wanted is not None and not wanted.done():
            limit = add_headroom()  # a future that is set on a full stack is done, and has woken nobody
            try:
                wanted.set_result(None)
                self._wanted = None  # last: if this is broken off, whatever is written down next wakes the committer
            finally:
                sys.setrecursionlimit(limit)

    async def _commit_until_stopped(self, store: Store) -> None:
        try:
            while _get_running_loop() is not None:  # else the Task is collected, long after its loop, and ends here
                try:
                    await self._commit_for_ever(store)
                except Exception as error:  # noqa: BLE001  nobody else would commit what comes
                    if _get_running_loop() is None:
                        return
                    report_failure(error, "committing")
                    await asyncio.sleep(FIRST_PAUSE_SECONDS)
        finally:
            if self._committer is not None:  # not by `stop`: the loop is on its way out, and waits for the bodies
                self._give_up()

    def _give_up(self) -> None:
        """Somebody else has ended the Task that commits: tell everybody who waits for it."""
        self.failure = StoreError(
            "the asyncio Task that commits to the store was cancelled from outside, as asyncio.run does when it ends; what "
            "is under way goes on in the next start"
        )
        self._settling.settle()
        self.forget()
        self._settlement.lost(self.failure)
        self._tell_idle()
        self._marks.release()

    async def _commit_for_ever(self, store: Store) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            await self._until_wanted()
            batch, others = list[Draft](), list[Other]()
            self._turnstile.enter(self._take, batch, others)
            answered = self._marks.taken(draft.record._number for draft in batch) if self._marks else ()
            try:
                refusals = await store.commit([*others, *map(_fixed_change, batch)])
            except StoreError as error:
                self._settling.settle()
                # It is raised elsewhere: see `without_our_frames`.
                self._keep(batch, others, error.with_traceback(None))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                continue
            except Exception as error:  # noqa: BLE001  a change that no store can take must not hold up the others
                if _get_running_loop() is None:
                    return
                self._single_out(batch, others, error)
                self._marks.answer(answered)
                continue
            if self.failure is not None:
                log.warning("the store can be written again")
                self.failure, pause = None, FIRST_PAUSE_SECONDS
            self._settling.put(batch, refusals[len(others) :])
            if self._has_work() and not any(refusals):
                # The next batch goes first: what follows from this one is seen to while the store works on that.
                asyncio.get_running_loop().call_soon(self._settling.settle)
                asyncio.get_running_loop().call_soon(self._marks.answer, answered)
            else:
                self._settling.settle()
                self._marks.answer(answered)

    async def _until_wanted(self) -> None:
        if self._has_work():
            return
        self._tell_idle()
        self._marks.release()
        if self.failure is None:  # else nothing new is admitted, and only a commit can tell that the store works again
            self._wanted = wanted = asyncio.get_running_loop().create_future()
            if self._has_work():
                self._wake()  # something was decided in the midst of this, by a finalizer
            await wanted

    def _tell_idle(self) -> None:
        idle, self._idle = self._idle, []
        for future in idle:
            if not future.done():
                future.set_result(None)

    def _take(self, batch: list[Draft], others: list[Other]) -> None:
        """Move what goes next into `batch` and `others`."""
        if self._singly:
            alone = self._singly.popleft()
            (batch if isinstance(alone, Draft) else others).append(alone)  # type: ignore[arg-type]
            return
        failed, self._failed = self._failed, []
        batch += failed
        room = max(0, MOST_AT_ONCE - len(batch))
        taken = _take_first(self._drafts, room)
        taken += _take_first(self._begun, max(room - len(taken), MOST_AT_ONCE // 2))
        room = max(room - len(taken), FEWEST_NEW)
        new = _take_first(self._new, room)
        new += _take_first(self.put_off, room - len(new))
        taken += [Draft(record, is_new=True) for record in new]
        batch += [part for draft in taken for part in self._fix(draft)]
        asked, self._others = self._others, []
        others += asked

    def _fix(self, draft: Draft) -> Sequence[Draft]:
        try:
            return [part.fix() for part in draft.parts()]
        except Exception as error:  # noqa: BLE001  the others are committed all the same
            self._settling.refuse(draft, error)
            return ()

    def _single_out(self, batch: list[Draft], others: list[Other], error: Exception) -> None:
        """The commit has raised what says nothing of the store: each change is tried alone, to find the one at fault."""
        if len(batch) + len(others) > 1:
            self._singly.extendleft(reversed([*others, *batch]))
            return
        self._settling.settle()
        for draft in batch:
            self._settling.refuse(draft, error)
        for change in others:
            report_failure(error, f"committing {change!r}")

    def _keep(self, batch: list[Draft], others: list[Other], error: StoreError) -> None:
        """Nothing was committed: what the store knows of is tried again, and what it was to register is sent back."""
        if self.failure is None:
            log.error("the store cannot be written, and is tried again until it can be: %s", error)
        self.failure = error
        self._marks.release()
        for alone in self._singly:
            (batch if isinstance(alone, Draft) else others).append(alone)  # type: ignore[arg-type]
        self._singly.clear()
        sent_back = {draft.record._number: draft.record for draft in batch if draft.is_new}
        sent_back.update((number, draft.record) for number, draft in self._begun.items())
        sent_back.update(self._new)
        sent_back.update(self.put_off)
        self._failed = [draft for draft in batch if draft.record._number not in sent_back]
        self._others = others + self._others
        for waiting in (self._begun, self._new, self.put_off):
            waiting.clear()
        for number in sent_back:
            self._drafts.pop(number, None)  # what was decided about it meanwhile
        refuse = self._settlement.not_registered
        serve_each(sent_back.values(), lambda record: refuse(record, error), "sending an invocation back")


_fixed_change: Final = attrgetter("change")


def _take_first(waiting: dict[int, T], most: int) -> list[T]:
    return [waiting.pop(number) for number in list(islice(waiting, most))]
