"""Cycle detection: a ring of invocations that await one another."""

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from pynenc_async.arguments import show
from pynenc_async.errors import CycleDetectedError
from pynenc_async.record import AnyOf, BodyWaiter, Record, all_waiters
from pynenc_async.scheduler.durability import is_ending
from pynenc_async.scheduler.limits import Limiter
from pynenc_async.scheduler.needs import Needed

_MOST_SHOWN: Final = 4
_MOST_DEPENDENTS: Final = 32
"""How many that wait for an invocation are looked at before the search begins at the other end."""


def refuse_ring(waiting: Record, targets: Sequence[Record] | AnyOf) -> None:
    """Raise `CycleDetectedError` when what `waiting` is about to await already awaits it, directly or through others.

    Who waits for a limit awaits, in effect, those who hold its permits: as many of them as have to free theirs.
    """
    if isinstance(targets, AnyOf):
        if not any(_runs(target, waiting) for target in targets) and _may_close_ring(waiting, targets):
            _refuse(_of_any(targets, waiting), waiting)
        return
    blocked = [target for target in targets if not _runs(target, waiting)]
    if blocked and _may_close_ring(waiting, blocked):
        _refuse(map(_end_of, blocked), waiting)


def _may_close_ring(waiting: Record, targets: Sequence[Record] | AnyOf) -> bool:
    """Return False where nothing that `waiting` is about to await can wait for it.

    There are two ways to look for a ring: from what is awaited, or from who waits. The second one is nearly always short:
    a body at the end of a chain is awaited by the chain, but the body that begins to await the whole chain by nobody.
    """
    dependents = _dependents(waiting)
    if dependents is None:
        return True
    if isinstance(targets, AnyOf):
        return all(id(target) in dependents for target in targets)
    return any(id(target) in dependents for target in targets)


def _dependents(goal: Record) -> set[int] | None:
    """Return, by `id`, `goal` and all that waits for it, directly or through others; None where that is not to be seen soon."""
    if goal._task.runtime.scheduler is None:
        return None  # inline bodies wait otherwise
    found, queue = {id(goal)}, [goal]
    for record in queue:
        if record._task.limiter is not None or len(queue) > _MOST_DEPENDENTS:
            return None  # whoever needs a permit that it holds may wait for it, or soon will
        for waiter in all_waiters(record):
            for body in waiter.bodies() if isinstance(waiter, BodyWaiter) else ():
                if id(body) not in found:
                    found.add(id(body))
                    queue.append(body)
    return found


def _refuse(needs: Iterable[Needed], waiting: Record) -> None:
    for needed in needs:
        path = _WaitGraph(waiting, needed).path_to_goal()
        if path is not None:
            raise _ring(waiting, path)


def ring_through_limit(waiting: Record) -> CycleDetectedError | None:
    """Return what is wrong when `waiting`, which begins to wait for a limit, can never go on; None if it can.

    It is awaited already, so nobody else would look: an await looks at what is in its way when it begins.
    """
    try:
        _refuse(_needs(waiting, waiting), waiting)
    except CycleDetectedError as error:
        return error
    return None


def ring_through_stack(
    waiting: Record, targets: Sequence[Record] | AnyOf, below: Iterable[Record]
) -> CycleDetectedError | None:
    """Return what is wrong when `waiting` awaits these in a loop that it runs itself, and they need a body of those `below`.

    Such a body goes on when what is above it on the stack has come back, and not before.
    """
    for stuck in below:
        needs = _of_any(targets, stuck) if isinstance(targets, AnyOf) else map(_end_of, targets)
        for needed in needs:
            if all(one._ended_at is None for one in needed.records):
                path = _WaitGraph(stuck, needed).path_to_goal()
                if path is not None:
                    return ring_error([describe(one) for one in (waiting, *path, waiting)])
    return None


def _ring(waiting: Record, path: list[Record]) -> CycleDetectedError:
    return ring_error([describe(one) for one in (waiting, *path)])


def ring_error(path: Sequence[str]) -> CycleDetectedError:
    """Return what is raised where a ring would close; the first is also the last of the path."""
    return CycleDetectedError("invocations await one another in a ring", path)


def _end_of(record: Record) -> Needed:
    return Needed(id(record), [record])


def _needs(record: Record, goal: Record) -> list[Needed]:
    """Return what `record` needs to go on. Nothing: it goes on by itself."""
    more = record._more
    if more is None or record._ended_at is not None:
        return []
    if is_ending(more):
        return []
    if more.held:
        limiter: Limiter | None = record._task.limiter
        return [] if limiter is None else limiter.blockers(record)
    needs = list[Needed]()
    for wait in (more.blocked_on or {}).values():
        needs += _of_any(wait, goal) if isinstance(wait, AnyOf) else map(_end_of, wait)
    return [needed for needed in needs if needed.records and all(one._ended_at is None for one in needed.records)]


def _of_any(wait: AnyOf, goal: Record) -> list[Needed]:
    """Return the one need that some of many meet; none where one of them soon will, as far as can be seen at once."""
    records = list[Record]()
    for one in wait:
        more = one._more
        held = more is not None and more.held
        if held and one is not goal and all(_enough_run(needed, goal) for needed in _needs(one, goal)):
            return []
        records.append(one)
    return [Needed(id(wait), records)]


def _enough_run(needed: Needed, goal: Record) -> bool:
    """Whether as many as are needed go on by themselves, as far as can be seen at once: of holders they usually do."""
    missing = needed.at_least
    for record in reversed(needed.records):
        if _runs(record, goal):
            missing -= 1
            if not missing:
                return True
    return False


def _runs(record: Record, goal: Record) -> bool:
    more = record._more
    return record is not goal and (more is None or not (more.held or more.blocked_on) or is_ending(more))


class _Need:
    """What is needed, how much of it is still missing, and who needs it."""

    __slots__ = ("dependents", "missing", "records")

    def __init__(self, needed: Needed, goal: Record) -> None:
        self.records: Final = needed.records
        self.dependents: Final[list[Record]] = []
        self.missing = 0 if _enough_run(needed, goal) else needed.at_least


class _WaitGraph:
    """Who can go on, of all on whom some invocations depend, while `goal` does not.

    All that can, by itself or after others that can, is found in one pass over the graph, however many limits it goes
    through. What is left is stuck: if the goal is among what it needs, that is a ring.
    """

    def __init__(self, goal: Record, start: Needed) -> None:
        self._goal: Final = goal
        self._start: Final = _Need(start, goal)
        self._named: Final[dict[Hashable, _Need]] = {}
        self._needs_of: Final[dict[int, list[_Need]]] = {id(goal): []}
        self._met_by: Final[dict[int, list[_Need]]] = {}
        self._release(self._explore())

    def path_to_goal(self) -> list[Record] | None:
        """Return a way from the starts to the goal along those that are stuck; None if one of the starts is not."""
        came_from: dict[int, Record | None] = {id(one): None for one in self._start.records}
        queue = deque(self._start.records if self._start.missing else ())
        while queue:
            record = queue.popleft()
            if record is self._goal:
                return _walk_back(record, came_from)
            for need in self._needs_of[id(record)]:
                for nearer in need.records if need.missing else ():
                    if id(nearer) not in came_from:
                        came_from[id(nearer)] = record
                        queue.append(nearer)
        return None

    def _explore(self) -> list[Record]:
        """Find all that is needed, directly or not, and return those who need nothing."""
        stack, free = self._enter(self._start), list[Record]()
        while stack:
            record = stack.pop()
            if id(record) in self._needs_of:
                continue
            needs = self._needs_of[id(record)] = []
            for needed in _needs(record, self._goal):
                need = self._named.get(needed.name)
                if need is None:
                    need = self._named[needed.name] = _Need(needed, self._goal)
                    stack += self._enter(need)
                need.dependents.append(record)
                needs.append(need)
            if self._has_all(record):
                free.append(record)
        return free

    def _enter(self, need: _Need) -> list[Record]:
        if not need.missing:
            return []
        for one in need.records:
            self._met_by.setdefault(id(one), []).append(need)
        return list(need.records)

    def _release(self, free: list[Record]) -> None:
        """Let all go on that can after those who need nothing."""
        while free:
            for need in self._met_by.pop(id(free.pop()), ()):
                if need.missing:
                    need.missing -= 1
                    if not need.missing:
                        free += filter(self._has_all, need.dependents)

    def _has_all(self, record: Record) -> bool:
        return not any(need.missing for need in self._needs_of[id(record)])


def _walk_back(end: Record, came_from: dict[int, Record | None]) -> list[Record]:
    path, step = [end], came_from[id(end)]
    while step is not None:
        path.append(step)
        step = came_from[id(step)]
    return path[::-1]


def describe(record: Record, *, waits_for_limit: bool | None = None) -> str:
    """Name a record in a path: its task and values, shortened, and whether it waits for a limit, as far as is known here."""
    name = f"{record._task.task_id}({', '.join(show(value) for value in record._values[:_MOST_SHOWN])})"
    if waits_for_limit is None:
        waits_for_limit = record._more is not None and record._more.held and record._task.limiter is not None
    return f"{name} [waits for a running_limit]" if waits_for_limit else name
