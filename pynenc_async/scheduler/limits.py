"""Running limits and rate limits of one task: who may go on now, and who is next.

An invocation takes its permit before it is queued to run, and gives it back when it ends or fails an attempt. Who finds
none waits in the queue of its key. The keys that could go on take turns, so that a hot key starves no other; a key that
is full is not looked at until one of its permits comes back. So the cost of a decision does not depend on how many wait.
Uses of the task with a total of their own wait in lines of their own, and hold up nobody else; only
where there are such, a permit that comes back costs a look at each line that its total holds up.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from pynenc_async.limit import ConcurrencyControlType, Rate
from pynenc_async.options import TaskOptions
from pynenc_async.record import More, Record
from pynenc_async.scheduler.keys import Key, Mixed
from pynenc_async.scheduler.lines import Line

_DISABLED: Final = ConcurrencyControlType.DISABLED
_PLAIN: Final = frozenset({str, int, type(None)})
"""The kinds of keys of which equal ones look the same."""
_SLACK: Final = 1e-6
"""Seconds by which a timer may fire early, as far as rates are concerned."""
_MANY_BUCKETS: Final = 1_024


class Bucket:
    """When the next start fits the rate: the generic cell rate algorithm of ITU-T I.371, which is one number."""

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at = 0.0
        """The moment at which it has its whole capacity again."""

    def wait(self, rate: Rate, now: float) -> float:
        """Return in how many seconds the next start is allowed: 0 is now."""
        delay = self._full_at - (rate.capacity - 1) * rate.interval - now
        return delay if delay > _SLACK else 0.0

    def take(self, rate: Rate, now: float) -> None:
        """Start one."""
        self._full_at = max(self._full_at, now) + rate.interval

    def put_off(self, rate: Rate, now: float, wait: float) -> None:
        """Allow the next start in `wait` seconds."""
        self._full_at = max(self._full_at - rate.interval, now + wait + (rate.capacity - 1) * rate.interval)

    def is_full(self, now: float) -> bool:
        """Whether it knows nothing that a new one would not."""
        return self._full_at <= now


class Rule(Enum):
    """What stands in the way."""

    TOTAL = "running_total"
    KEY = "running_limit"
    RATE = "rate_limit"


class Limiter:
    """The permits of one task."""

    def __init__(
        self,
        clock: Callable[[], float],
        wake_later: Callable[[float, Callable[[], None]], object],
        ageing_seconds: float | None,
    ) -> None:
        self._ageing_seconds: Final = ageing_seconds
        self._clock: Final = clock
        self._wake_later: Final = wake_later
        self.holders: Final[dict[Key, dict[int, Record]]] = {}
        """Who runs, or may run now, by key."""
        self._total = 0
        self.newest: Record | None = None
        """Who was the last to get a permit; None once its attempt is over."""
        self._lines: Final[dict[Key, Line]] = {}
        self._parked: Final[dict[Key, dict[Key, None]]] = {}
        """Where rates are counted by other keys than permits: by the key of a permit, the lines that wait for one."""
        self._turns: Final[deque[Key]] = deque()
        """The keys with somebody waiting that are not known to be full, in the order of their turns."""
        self._in_turn: Final[set[Key]] = set()
        self._buckets: Final[dict[Key, Bucket]] = {}
        self._most_buckets = _MANY_BUCKETS
        self._asleep: Final[dict[Key, dict[Key, None]]] = {}
        """By the key of a bucket that has to fill first: the keys whose turn comes then. One timer for each bucket."""
        self._full_elsewhere: Final[set[Key]] = set()
        """The keys whose permits are held by other processes, as far as is known."""
        self._total_full_elsewhere = 0
        """The highest total that other processes fill, as far as is known."""
        self._totals: Final[list[int | None]] = []
        """The totals of all uses of the task, the usual one first."""
        self.granted: Callable[[], None] = _nobody_listens
        """Called when time alone has made room: let `grant` be called."""

    def is_usual(self, total: int | None) -> bool:
        """Note the total of a use of the task; say whether most have it. Others wait in lines of their own."""
        if total not in self._totals:
            self._totals.append(total)
        return total == self._totals[0]

    # -- decisions -----------------------------------------------------------------------------------------------------

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
                rule = _any_rule(options)  # others came first
        if rule is None:
            self._give(record, key)
        return rule

    def wait(self, record: Record, rule: Rule) -> str:
        """Let `record`, which was not admitted because of `rule`, wait for its turn; say in words what for."""
        options, key = record._task.options, record._task.line_key(record._values)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line()
        line.push(record, self._clock(), self._ageing_seconds)
        if rule is not Rule.KEY:
            self._take_turn(key)
            self._sleep_for_rate(record, key)
        elif type(key) is Mixed and key not in self._in_turn:
            self._park(key)
        if rule is not Rule.KEY or type(key) not in _PLAIN:
            return self.describe(record, rule)
        if line.reason is None or line.reason[0] is not options:
            line.reason = options, self.describe(record, rule)
        return line.reason[1]

    def forget(self, record: Record) -> None:
        """`record` ended while it waited."""
        line = self._lines.get(record._task.line_key(record._values))
        if line is not None:
            line.note_dead()

    def give_back(self, record: Record, key: Key) -> bool:
        """`record` needs its permit no more; say whether somebody waits who might go on now."""
        holders = self.holders[key]
        if len(holders) == 1:
            del self.holders[key]
        else:
            del holders[record._number]
        self._total -= 1
        if self.newest is record:
            self.newest = None
        if key in self._lines:
            self._take_turn(key)
        if self._parked:
            self._unpark(key)
        return bool(self._turns)

    def grant(self) -> list[Record]:
        """Give permits to those whose turn it is, and return them."""
        granted, under_total = list[Record](), list[Key]()
        turns = self._turns
        while turns:
            key = turns[0]
            line = self._lines[key]
            head = line.head()
            permit = key.permit if type(key) is Mixed else key
            rule = None if head is None else self._obstacle(head, permit)
            if rule is Rule.TOTAL:
                if len(self._totals) == 1:
                    break
                under_total.append(turns.popleft())  # it keeps its turn; who has a higher total may go on
                self._unpark(permit)
                continue
            if head is None or rule is not None:
                self._pass_turn_on(head, rule, key, permit)
                continue
            line.pop()
            self._give(head, permit)
            granted.append(head)
            if not line:
                self._leave_turn()
                del self._lines[key]
            else:
                turns.rotate(-1)
        turns.extendleft(reversed(under_total))
        return granted

    def blockers(self, record: Record) -> list[tuple[Key, list[Record]]]:
        """Return whose end `record`, which waits, needs: of each list, somebody's. None where time alone is needed.

        With each list comes what tells it from the others of this limiter.
        """
        task = record._task
        key, line = task.permit_key(record._values), self._lines.get(task.line_key(record._values))
        first = line.head() if line is not None else None
        return self._in_the_way(record, key) or ([] if first is None else self._in_the_way(first, key))

    def _in_the_way(self, record: Record, key: Key) -> list[tuple[Key, list[Record]]]:
        options, lists = record._task.options, list[tuple[Key, list[Record]]]()
        if options.running_concurrency is not _DISABLED:
            holders = self.holders.get(key, {})
            if len(holders) >= options.running_limit:
                lists.append(((Rule.KEY, key), list(holders.values())))
        if options.running_total is not None and self._total >= options.running_total:
            everybody = [holder for holders in self.holders.values() for holder in holders.values()]
            lists.append((Rule.TOTAL, everybody))
        return lists

    def describe(self, record: Record, rule: Rule) -> str:
        """Say in words what stands in the way of `record`."""
        options = record._task.options
        if rule is Rule.TOTAL:
            return f"running_total={options.running_total} of task {record._task.task_id} is reached"
        if rule is Rule.RATE:
            return f"rate_limit={options.rate_limit} of {self._scope(record, options.rate_limit.scope)} is reached"
        return f"running_limit={options.running_limit} of {self._scope(record, options.running_concurrency)} is reached"

    def _scope(self, record: Record, scope: ConcurrencyControlType) -> str:
        task = record._task
        if scope is ConcurrencyControlType.TASK:
            return f"task {task.task_id}"
        names = task.function.names if scope is ConcurrencyControlType.ARGUMENTS else task.options.key_arguments
        chosen = dict(zip(task.function.names, record._values, strict=True))
        return f"task {task.task_id} with " + ", ".join(f"{name}={chosen[name]!r:.100}" for name in names)

    # -- what other processes hold -------------------------------------------------------------------------------------

    def refuse(self, record: Record, rule: Rule, wait: float) -> None:
        """Take the permit of `record` back: the store has refused it. A rate fits again in `wait` seconds."""
        key = record._task.permit_key(record._values)
        if rule is Rule.TOTAL:
            self._total_full_elsewhere = max(self._total_full_elsewhere, record._task.options.running_total)
        elif rule is Rule.KEY:
            self._full_elsewhere.add(key)
        else:
            self._bucket(record).put_off(record._task.options.rate_limit, self._clock(), wait)
        self.give_back(record, key)

    def look_again(self) -> None:
        """What other processes hold may have changed."""
        if self._full_elsewhere or self._total_full_elsewhere:
            self._full_elsewhere.clear()
            self._total_full_elsewhere = 0
            for key in self._lines:
                self._take_turn(key)
            self.granted()

    # -- permits -------------------------------------------------------------------------------------------------------

    def _obstacle(self, record: Record, key: Key) -> Rule | None:
        options = record._task.options
        total = options.running_total
        if total is not None and (self._total >= total or self._total_full_elsewhere >= total):
            return Rule.TOTAL
        if options.running_concurrency is not _DISABLED:
            holders = self.holders.get(key)
            if holders is not None and len(holders) >= options.running_limit:
                return Rule.KEY
            if self._full_elsewhere and key in self._full_elsewhere:
                return Rule.KEY
        if options.rate_limit is not None and self._bucket(record).wait(options.rate_limit, self._clock()):
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
        rate = record._task.options.rate_limit
        if rate is not None:
            self._bucket(record).take(rate, self._clock())

    def _bucket(self, record: Record) -> Bucket:
        key = record._task.bucket_key(record._values)
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._most_buckets:
                self._sweep_buckets(self._clock())
            bucket = self._buckets[key] = Bucket()
        return bucket

    def _sweep_buckets(self, now: float) -> None:
        for key in [key for key, bucket in self._buckets.items() if bucket.is_full(now)]:
            del self._buckets[key]
        self._most_buckets = max(_MANY_BUCKETS, 2 * len(self._buckets))

    # -- turns ---------------------------------------------------------------------------------------------------------

    def _take_turn(self, key: Key) -> None:
        if key not in self._in_turn:
            self._in_turn.add(key)
            self._turns.append(key)

    def _leave_turn(self) -> None:
        self._in_turn.discard(self._turns.popleft())

    def _pass_turn_on(self, head: Record | None, rule: Rule | None, key: Key, permit: Key) -> None:
        """The line whose turn it is cannot use it: it waits for whatever `rule` says, or ends where nobody waits."""
        self._leave_turn()
        if head is None:
            del self._lines[key]
        elif rule is Rule.RATE:
            self._sleep_for_rate(head, key)
        elif type(key) is Mixed:
            self._park(key)
            return
        if self._parked:
            self._unpark(permit)  # another line may use it

    def _park(self, key: Mixed) -> None:
        self._parked.setdefault(key.permit, {})[key] = None

    def _unpark(self, permit: Key) -> None:
        parked = self._parked.get(permit)
        while parked:
            key = next(iter(parked))
            del parked[key]
            if key in self._lines:
                self._take_turn(key)
                break
        if not parked:
            self._parked.pop(permit, None)

    def _sleep_for_rate(self, record: Record, key: Key) -> None:
        rate = record._task.options.rate_limit
        if rate is None:
            return
        delay = self._bucket(record).wait(rate, self._clock())
        if not delay:
            return
        bucket_key = record._task.bucket_key(record._values)
        asleep = self._asleep.get(bucket_key)
        if asleep is None:
            asleep = self._asleep[bucket_key] = {}
            self._wake_later(delay, lambda: self._wake(bucket_key))
        asleep[key] = None

    def _wake(self, bucket_key: Key) -> None:
        for key in self._asleep.pop(bucket_key):
            if key in self._lines:
                self._take_turn(key)
        self.granted()


def _any_rule(options: TaskOptions) -> Rule:
    """The narrowest of the limits that a task has."""
    if options.running_concurrency is not _DISABLED:
        return Rule.KEY
    return Rule.RATE if options.rate_limit is not None else Rule.TOTAL


def _nobody_listens() -> None:
    pass
