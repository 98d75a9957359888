"""Running limits and rate limits of one task: who may go on now, and who is next.

An invocation takes its permit before it is queued to run, and gives it back when it ends or fails an attempt. Who finds
none waits in the line of its key; `turns` says which lines are looked at.

Uses of the task with limits of their own (`with_options`) count with all others, and wait until there is room for *them*:
in lines of their own, so that they hold up nobody else.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from msgspec import UNSET

from pynenc_async.limit import ConcurrencyControlType
from pynenc_async.options import TaskOptions
from pynenc_async.record import More, Record
from pynenc_async.scheduler.buckets import BeganAt, Buckets
from pynenc_async.scheduler.keys import Key, Mixed
from pynenc_async.scheduler.needs import Needed
from pynenc_async.scheduler.rules import Rule, in_words, narrowest
from pynenc_async.scheduler.turns import NOBODY, Timers, Turns

_DISABLED: Final = ConcurrencyControlType.DISABLED
_PLAIN: Final = frozenset({str, int, type(None)})
"""The kinds of keys of which equal ones look the same."""


class Limiter:
    """The permits of one task."""

    def __init__(
        self,
        timers: Timers,
        ageing_seconds: float | None,
        has_room: "Callable[[Limiter], None]",
        began_at: BeganAt,
    ) -> None:
        self._clock: Final = timers.now
        self._ageing_seconds: Final = ageing_seconds
        self._has_room: Final = has_room
        """Called when there may be room though no permit came back: let `grant` be called."""
        self.holders: Final[dict[Key, dict[int, Record]]] = {}
        """Who runs, or may run now, by key."""
        self._total = 0
        self.newest: Record | None = None
        """Who was the last to get a permit; None once its attempt is over."""
        self._turns: Final = Turns(timers, self._note_room, self._total_of)
        self._lines: Final = self._turns.lines
        self._buckets: Final = Buckets(timers.now, began_at)
        self._has_rates = False
        """Whether any use of the task has one."""
        self._full_elsewhere: Final[dict[Key, int]] = {}
        """By key, the highest limit that other processes fill, as far as is known."""
        self._total_full_elsewhere = 0
        """The highest total that they fill."""
        self._kinds: Final[dict[tuple[Any, ...], int]] = {}
        """The limits of all uses of the task, numbered; those of most come first."""
        self._totals: Final[list[int | None]] = []
        """The `running_total` of each of them."""

    def kind_of(self, options: TaskOptions) -> int:
        """Return the number of the limits of a use: uses with the same limits wait in the same lines. Most have 0."""
        self._has_rates = self._has_rates or options.rate_limit is not None
        limits = options.running_concurrency, options.running_limit, options.running_total, options.rate_limit
        kind = self._kinds.setdefault(limits, len(self._kinds))
        if kind == len(self._totals):
            self._totals.append(options.running_total)
        return kind

    def _total_of(self, key: Key) -> int | None:
        return self._totals[key.kind if type(key) is Mixed else 0]

    # -- taking a permit -----------------------------------------------------------------------------------------------

    def admit(self, record: Record) -> Rule | None:
        """Give `record` a permit, or say what stands in the way."""
        task = record._task
        options, key = task.options, task.permit_key(record._values)
        simple = options.running_total is None and options.rate_limit is None
        if simple and key not in self._lines and not self._full_elsewhere:
            # The usual way, `_obstacle` and `_give` without a call: half of what a limit costs that is not reached.
            holders = self.holders.get(key)
            if holders is None:
                self.holders[key] = {record._number: record}
            elif len(holders) < options.running_limit:
                holders[record._number] = record
            else:
                return Rule.KEY
            self._total += 1
            self.newest = record
            if record._more is None:
                record._more = More(key)
            else:
                record._more.held, record._more.permit = False, key
            return None
        rule = self._obstacle(record, key)
        if rule is None:
            line = self._lines.get(task.line_key(record._values))
            if line is not None and line.head() is not None:
                rule = narrowest(options)  # others came first
        if rule is None:
            self._give(record, key)
        return rule

    def wait(self, record: Record, rule: Rule) -> str:
        """Let `record`, which was not admitted because of `rule`, wait for its turn; say in words what for."""
        options, key = record._task.options, record._task.line_key(record._values)
        line = self._turns.line(key)
        line.push(record, self._clock(), self._ageing_seconds)
        if rule is not Rule.KEY:
            self._turns.take(key)
            if rule is Rule.RATE:
                self._sleep_for_rate(record, key)
        elif type(key) is Mixed:
            self._turns.park(key)
        if rule is not Rule.KEY or type(key) not in _PLAIN:
            return in_words(record, rule)
        if line.reason is None or line.reason[0] is not options:
            line.reason = options, in_words(record, rule)
        return line.reason[1]

    def forget(self, record: Record) -> None:
        """`record` ended while it waited."""
        line = self._lines.get(record._task.line_key(record._values))
        if line is not None:
            line.note_dead()

    def _obstacle(self, record: Record, key: Key) -> Rule | None:
        options = record._task.options
        if not self._total_is_open(options.running_total):
            return Rule.TOTAL
        if options.running_concurrency is not _DISABLED:
            holders = self.holders.get(key)
            if holders is not None and len(holders) >= options.running_limit:
                return Rule.KEY
            if self._full_elsewhere and self._full_elsewhere.get(key, 0) >= options.running_limit:
                return Rule.KEY
        if options.rate_limit is not None and self._buckets.wait(record):
            return Rule.RATE
        return None

    def _give(self, record: Record, key: Key) -> None:
        holders = self.holders.get(key)
        if holders is None:
            self.holders[key] = {record._number: record}
        else:
            holders[record._number] = record
        self._total += 1
        self.newest = record
        more = record.need_more()
        more.held = False
        more.permit = key
        if record._task.options.rate_limit is not None:
            self._buckets.promise(record)

    def _sleep_for_rate(self, record: Record, key: Key) -> None:
        """Let a line have a turn when its rate fits again: which may be so already, where that was known late."""
        delay = self._buckets.wait(record)
        self._turns.sleep(key, record._task.bucket_key(record._values), delay)

    # -- giving it back ------------------------------------------------------------------------------------------------

    def give_back(self, record: Record, key: Key) -> bool:
        """`record` needs its permit no more; say whether somebody waits who might go on now."""
        holders = self.holders.get(key)
        if (
            holders is not None and holders.pop(record._number, None) is not None
        ):  # else it was taken back: see `repair`
            self._total -= 1
            if not holders:
                del self.holders[key]
        if self.newest is record:
            self.newest = None
        if self._has_rates and self._buckets.over(record):
            self._turns.hurry(record._task.bucket_key(record._values))
        if not self._lines:
            return False
        self._turns.give_back(key)
        return self._turns.are_some

    def repair(self) -> None:
        """Make good what a decision that was broken off has left: count who holds a permit, and look at every line."""
        for key, holders in list(self.holders.items()):
            for number, record in list(holders.items()):
                if record._ended_at is not None or record._more is None or record._more.permit is UNSET:
                    del holders[number]
                    self._buckets.over(record)
            if not holders:
                del self.holders[key]
        self._total = sum(map(len, self.holders.values()))
        if self.newest is not None and self.newest._ended_at is not None:
            self.newest = None
        self._turns.begin_anew()

    def grant(self) -> list[Record]:
        """Give permits to those whose turn it is, and return them."""
        granted, turns = list[Record](), self._turns
        while (key := turns.next(self._total_is_open)) is not NOBODY:
            line = self._lines[key]
            head = line.head()
            permit = key.permit if type(key) is Mixed else key
            if head is None:
                turns.end(key)
                turns.unpark(permit)
                continue
            rule = self._obstacle(head, permit)
            if rule is not None:
                turns.leave(key)
                self._set_aside(head, rule, key, permit)
                continue
            line.pop()
            self._give(head, permit)
            granted.append(head)
            if line:
                turns.rotate(key)
            else:
                turns.end(key)
        return granted

    def _total_is_open(self, total: int | None) -> bool:
        return total is None or (self._total < total and self._total_full_elsewhere < total)

    def _set_aside(self, head: Record, rule: Rule, key: Key, permit: Key) -> None:
        """A line could not use its turn: it waits for whatever `rule` says; another may use the permit."""
        if rule is Rule.KEY and type(key) is Mixed:
            self._turns.park(key)
            return
        if rule is Rule.RATE:
            self._sleep_for_rate(head, key)
        self._turns.unpark(permit)

    # -- who is in the way ---------------------------------------------------------------------------------------------

    def blockers(self, record: Record) -> list[Needed]:
        """Return whose end `record`, which waits, needs: of each list, that of so many. None where time alone is needed."""
        options, needs = record._task.options, list[Needed]()
        if options.running_concurrency is not _DISABLED:
            key = record._task.permit_key(record._values)
            holders = self.holders.get(key, {})
            missing = len(holders) - options.running_limit + 1
            if missing > 0:
                needs.append(Needed((id(self), key, missing), list(holders.values()), missing))
        missing = 0 if options.running_total is None else self._total - options.running_total + 1
        if missing > 0:
            everybody = [holder for holders in self.holders.values() for holder in holders.values()]
            needs.append(Needed((id(self), Rule.TOTAL, missing), everybody, missing))
        return needs

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a permit, as far as is known."""
        return bool(self._lines)

    def those_waiting(self) -> Iterator[Record]:
        """Go through all that wait for a permit."""
        return chain.from_iterable(self._lines.values())

    # -- what other processes hold -------------------------------------------------------------------------------------

    def refuse(self, record: Record, rule: Rule, wait: float) -> bool:
        """Take the permit of `record` back: the store has refused it. A rate fits again in `wait` seconds.

        Say whether somebody waits who might go on now.
        """
        options, key = record._task.options, record._task.permit_key(record._values)
        if rule is Rule.TOTAL:
            self._total_full_elsewhere = max(self._total_full_elsewhere, options.running_total)
        elif rule is Rule.KEY:
            self._full_elsewhere[key] = max(self._full_elsewhere.get(key, 0), options.running_limit)
        if options.rate_limit is not None:
            self._buckets.put_off(record, wait if rule is Rule.RATE else 0.0)
            self._turns.hurry(record._task.bucket_key(record._values))
        return self.give_back(record, key)

    def look_again(self) -> None:
        """What other processes hold may have changed."""
        if self._full_elsewhere or self._total_full_elsewhere:
            self._full_elsewhere.clear()
            self._total_full_elsewhere = 0
            self._turns.take_all()
            self._note_room()

    def _note_room(self) -> None:
        self._has_room(self)
