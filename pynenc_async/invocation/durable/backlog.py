"""What waits in the store and not in memory: put off where the window is full, and claimed as there is room again.

What is put off is *put away* once the store has it; until then it is in memory anyhow, and is taken back from there
without a detour if room comes first. In order of submission: what the store has goes before.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from weakref import WeakValueDictionary

import msgspec

from pynenc_async.errors import SerializationError, StoreError
from pynenc_async.guard import report_failure, serve_each, serve_records
from pynenc_async.ids import IdSource
from pynenc_async.invocation.durable.stored import Handle, living
from pynenc_async.invocation.durable.unknown import UnknownWork
from pynenc_async.invocation.durable.watch import Watch
from pynenc_async.journal import journal_of
from pynenc_async.journal_entries import JournalEntry
from pynenc_async.record import Record
from pynenc_async.scheduler.drafts import deadline_of
from pynenc_async.scheduler.durability import durable_of
from pynenc_async.scheduler.durable import DurableScheduler
from pynenc_async.store.base import Store
from pynenc_async.store.values import StoredInvocation
from pynenc_async.telemetry import log
from pynenc_async.weak_bag import items_of

MOST_CLAIMED: Final = 1_000
"""How much is claimed at once. While it is taken in, the loop does nothing else, and the store while it is read."""
MOST_TRIES: Final = 3
"""How often it is tried to take one in, whatever that raises; then it fails, so that somebody hears of it."""
_decode_entry: Final = msgspec.json.Decoder(JournalEntry).decode


class BacklogKeeper:
    """Keeps what is in memory within the window."""

    def __init__(
        self,
        *,
        backing: Store,
        tasks: Mapping[str, Any],
        desk: DurableScheduler,
        ids: IdSource,
        watch: Watch,
        window: int,
        adopted: WeakValueDictionary[str, Record],
        find_here: Callable[[str], Record | None],
        revived: Callable[[Record], None],
        adopt: Callable[[Record], None],
    ) -> None:
        self._backing: Final = backing
        self._tasks: Final = tasks
        self._desk: Final = desk
        self._ids: Final = ids
        self._watch: Final = watch
        self._window: Final = window
        self._piece: Final = min(MOST_CLAIMED, (window + 1) // 2)
        """How much room is worth a claim."""
        self._find_here: Final = find_here
        self._revived: Final = revived
        """Called with what comes from the store and was not known in this process."""
        self._adopt: Final = adopt
        """Called with what was submitted in this process, as it comes back."""
        self._put_off: Final = desk.ledger.put_off
        self._records: Final = desk.store.records
        self.away: Final[WeakValueDictionary[int, Record]] = WeakValueDictionary()
        """Handles to what was submitted here and lies in the backlog."""
        self._adopted: Final = adopted
        """What was submitted elsewhere and is run here."""
        self._level: int | None = None
        """The highest priority that the backlog may have; None: it is empty, as far as is known."""
        self._awaited: Final[dict[str, None]] = {}
        """What a body awaits, and lies there: as many as are claimed at once. The others come in their turn."""
        self._claimed: Final[deque[StoredInvocation]] = deque()
        """What is this process's own already, and has not been taken in: it stays here while the store does not answer."""
        self._in_vain: Final[dict[str, int]] = {}
        """How often what was claimed could not be taken in."""
        self.size = 0
        """How many the store has there, as far as is known."""
        self.unknown: Final = UnknownWork()

    # -- into the backlog ----------------------------------------------------------------------------------------------

    def takes(self, level: int) -> bool:
        """Whether a new invocation goes there: where the window is full, and behind what lies there already."""
        waiting = self._window - self._room
        if self._level is None:
            return waiting > (self._window if level <= 0 else 2 * self._window)
        return level <= self._level or waiting > 2 * self._window

    def note(self, level: int) -> None:
        """Something of this priority goes there."""
        if self._level is None or level > self._level:
            self._level = level

    def put_away(self, record: Record) -> None:
        """The store has it: here, only its handles keep it."""
        if self._desk.put_away(record):
            self.away[record._number] = record
            self.size += 1

    def handles(self) -> list[Record]:
        """Return what lies there as far as somebody here holds it."""
        return [record for _, record in items_of(self.away) if record._ended_at is None]

    def give_up(self) -> list[Record]:
        """What lies there, and what was claimed, belongs to others from now on: return the handles to it that are held here."""
        handles = self.handles()
        self.away.clear()
        self._claimed.clear()
        self.size = 0
        return handles

    @property
    def _room(self) -> int:
        """How many more may wait in memory; less than 0 where others than those put off exceed the window."""
        return self._window - (self._desk.waiting - len(self._put_off))

    @property
    def is_wanted(self) -> bool:
        """Whether there is room for what may lie there, or nothing runs without it."""
        return self._level is not None and self._claimable >= self._piece

    @property
    def _is_stuck(self) -> bool:
        """Whether nothing runs: all that is in memory is held back, or waits for something that may lie in the backlog.

        Then more is claimed than the window holds: a bound on memory must not be a deadlock.
        """
        return self._desk.in_use == 0

    @property
    def _claimable(self) -> int:
        """How many may come out of the backlog now."""
        return max(self._room, self._piece) if self._is_stuck else self._room

    # -- out of the backlog --------------------------------------------------------------------------------------------

    def take_back(self) -> None:
        """Keep what was put off and is not stored yet, as there is room, if the store has nothing that goes before."""
        room = self._claimable
        if self.size or not self._put_off or room < self._piece:
            return
        self._desk.turnstile.enter(self._take_back, room)
        self._desk.settle()

    def _take_back(self, room: int) -> None:
        for record in self._desk.ledger.take_back(room):
            self._return(record, deadline_of(record))
        if not self._put_off:
            self._level = None

    def fetch(self, record: Record) -> bool:
        """Have what a body awaits here, however full the window is; say whether it has to be claimed for that."""
        if record._task.options.starts_later:
            return False
        if record._number in self._put_off:
            self._desk.ledger.keep(record)
            self._return(record, deadline_of(record))
            return False
        if len(self._awaited) < MOST_CLAIMED:
            self._awaited[cast(Handle, record).invocation_id] = None
        return True

    def _return(self, record: Record, deadline_at: float | None) -> None:
        self._adopt(record)
        self._desk.take_back(record, deadline_at)

    async def recover(self) -> bool:
        """Take over what belongs to the dead; say whether there were any."""
        found = await self._backing.recover(list(self._tasks), now=self._desk.steady())
        if found.adopted:
            self._level = max(self._level or 0, 0)
            self.size += found.adopted
            log.warning(
                "took over from those that are gone: invocations %d, runners %d; under way were %d",
                found.adopted,
                len(found.runners),
                found.interrupted,
            )
        self.unknown.note(found.parked)
        await self._tell_poisoned(found.poisoned)
        for invocation_id in found.poisoned:
            log.error("invocation %s has crashed too often, and is not tried again", invocation_id)
        return bool(found.runners)

    async def _tell_poisoned(self, invocation_ids: Sequence[str]) -> None:
        """Let triggers hear of the ends that the store itself has written."""
        for stored in await self._backing.load(invocation_ids) if invocation_ids else ():
            handle = self._watch.open(stored)
            self._revived(handle)
            watch = durable_of(handle).watch
            if watch is not None and stored.ended_at is not None:
                watch.moved(handle, stored.status, stored.ended_at, stored.attempt, "")

    async def cancel_these(self, reasons: Mapping[str, str]) -> None:
        """Cancel these, by id, as far as they lie there: they need no room, and need not be due."""
        found = await self._backing.load(list(reasons)) if reasons else ()
        serve_each(found, lambda stored: self._cancel_lying(stored, reasons), "cancelling what lies in the store")
        self._desk.settle()

    def _cancel_lying(self, stored: StoredInvocation, reasons: Mapping[str, str]) -> None:
        if self._lies_here(stored) and self._find_here(stored.invocation_id) is None:
            record = self._revive(stored)
            self._records[record._number] = record
            self.size = max(0, self.size - 1)
            self._desk.cancel(record, reasons[stored.invocation_id])

    def _lies_here(self, stored: StoredInvocation) -> bool:
        mine = stored.home == self._ids.runner_id and stored.task_id in self._tasks
        return mine and not stored.taken and stored.ended_at is None

    async def claim_awaited(self) -> None:
        """Claim what bodies await, if it is there."""
        if self._awaited:
            wanted = list(self._awaited)
            await self._claim(len(wanted), only=wanted)
            for invocation_id in wanted:  # last: while the store does not answer, they are still wanted
                self._awaited.pop(invocation_id, None)

    async def fill_up(self) -> float | None:
        """Claim as much as there is room for; say in how many seconds more is due, 0 for at once."""
        await self._take_in()  # what an earlier call has left
        room = self._claimable
        if room < self._piece:
            return None  # asked again when there is more of it: see `is_wanted`
        now = self._desk.steady()
        asked = min(room, MOST_CLAIMED)
        if await self._claim(asked) == asked:
            return 0.0 if room >= asked + self._piece or self._is_stuck else None
        return await self._look_ahead(now)

    async def _claim(self, limit: int, only: Sequence[str] | None = None) -> int:
        """Take in what is claimed; say how many that were."""
        claimed = await self._backing.claim(list(self._tasks), limit, now=self._desk.steady(), only=only)
        self.size = max(0, self.size - len(claimed))
        self._claimed.extend(claimed)
        await self._take_in()
        return len(claimed)

    async def _take_in(self) -> None:
        """Take in what was claimed. What one of them raises is raised again when the others are in, to be tried once more."""
        later: list[StoredInvocation] = []
        problem: Exception | None = None
        try:
            while self._claimed:
                stored = self._claimed[0]
                try:
                    journal = await self._journal_of(stored)
                except StoreError:
                    raise
                except Exception as error:  # noqa: BLE001  what lies behind it is taken in all the same
                    if self._may_try_again(stored):
                        problem = error
                        later.append(self._claimed.popleft())
                        continue
                    journal = _Journal([], {}, SerializationError("journal", f"{error} (task {stored.task_id})"))
                self._claimed.popleft()
                self._take_or_fail(stored, journal)
        finally:
            self._claimed.extend(later)
            self._desk.settle()
        if problem is not None:
            raise problem
        self._in_vain.clear()

    def _may_try_again(self, stored: StoredInvocation) -> bool:
        tries = self._in_vain[stored.invocation_id] = self._in_vain.get(stored.invocation_id, 0) + 1
        return tries < MOST_TRIES

    def _take_or_fail(self, stored: StoredInvocation, journal: "_Journal | None") -> None:
        try:
            self._take(stored, journal)
        except Exception as error:  # noqa: BLE001  as above
            ids = {"invocation_id": stored.invocation_id, "task_id": stored.task_id}
            report_failure(error, "taking in an invocation from the store", **ids)
            record = self._find_here(stored.invocation_id)
            if record is not None and record._ended_at is None:
                self._fail(record, error)

    def _fail(self, record: Record, error: Exception) -> None:
        """Nobody else runs it: it is this process's own."""
        serve_records(
            [record], lambda one: self._desk.fail_unrunnable(one, error), "failing what could not be taken in"
        )

    async def _look_ahead(self, now: float) -> float | None:
        backlog = await self._backing.backlog(list(self._tasks), now=now)
        self.size = sum(backlog.ready.values())
        if backlog.ready:
            self._level = max(backlog.ready) if not self._put_off else max(self._level or 0, *backlog.ready)
            return 0.0
        if not self._put_off:
            self._level = None
        self.take_back()
        return None if backlog.next_due is None else max(0.0, backlog.next_due - now)

    def _take(self, stored: StoredInvocation, journal: "_Journal | None") -> None:
        record = self._revive(stored)
        self._records[record._number] = record
        problem = durable_of(record).unreadable or (None if journal is None else journal.problem)
        if stored.cancel_reason is not None:
            self._desk.cancel(record, stored.cancel_reason)
        elif problem is not None:
            self._desk.fail_unrunnable(record, problem)
        else:
            if journal is not None and record._task.options.workflow:
                journal_of(record).restore(journal.entries, journal.answers)
            self._return(record, stored.deadline_at)

    def _revive(self, stored: StoredInvocation) -> Record:
        """Return what is going to be run: the very object that the handles in this process are."""
        number = self._ids.parse(stored.invocation_id)
        known = None if number is None else self.away.pop(number, None)
        if known is not None:
            durable_of(known).taken = True
            return known
        if number is None:
            number = -next(self._ids.numbers)
        watched = self._watch.pop(stored.invocation_id)
        record = living(stored, self._tasks[stored.task_id], number, watched)
        self._adopted[stored.invocation_id] = record
        self._revived(record)
        return record

    async def _journal_of(self, stored: StoredInvocation) -> "_Journal | None":
        """Read what a workflow that goes on here has asked for so far, and the invocations that answered."""
        options = self._tasks[stored.task_id].options
        if not (stored.attempt and (options.workflow or b"workflow" in stored.options)):
            return None
        try:
            entries = [_decode_entry(entry) for entry in await self._backing.journal(stored.invocation_id)]
        except msgspec.MsgspecError as error:
            return _Journal([], {}, SerializationError("journal", f"{error} (task {stored.task_id})"))
        asked = [entry.invocation_id for entry in entries if entry.invocation_id is not None]
        answers = {found: known for found in asked if (known := self._find_here(found)) is not None}
        for answer in await self._backing.load([found for found in asked if found not in answers]):
            answers[answer.invocation_id] = self._watch.open(answer)
        return _Journal(entries, answers)


@dataclass(frozen=True, slots=True)
class _Journal:
    """What is stored of a workflow that goes on."""

    entries: list[JournalEntry]
    answers: dict[str, Record]
    problem: SerializationError | None = None
    """Why it cannot be read."""
