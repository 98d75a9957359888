"""Who can never go on, of invocations that wait for one another across processes, and who has to give way. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pynenc_async.store.values import Need, StoredWait

Graph = Mapping[str, StoredWait]
"""By invocation. What is not in it goes on."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Invocations that wait for one another."""

    path: list[StoredWait]
    """From the one whose wait is to be refused to the one that waits for it."""
    support: list[StoredWait]
    """All that must not go on, for else some of the ring could, by themselves."""

    @property
    def closed_by(self) -> int:
        """The number of the last wait of all of them."""
        return max(wait.number for wait in self.support)


def find_rings(waits: Iterable[StoredWait]) -> Iterator[Ring]:
    """Yield rings, each with the wait that is to be refused; not two that have anything to do with each other.

    Of those in a ring that may be refused, the wait that was said last is: so all who look at the same ring choose the same,
    and one alone of them has it. What comes of that may well end all other rings that are connected with it; if not, they
    are found with the next look.
    """
    stuck = _stuck({wait.invocation_id: wait for wait in waits})
    candidates = [wait for wait in _waited_for(stuck) if wait.refusable]
    in_hand: set[str] = set()
    for wait in sorted(candidates, key=lambda wait: -wait.number):
        if wait.invocation_id in in_hand:
            continue
        path, support = _follow(wait, stuck)
        ids = {one.invocation_id for one in support}
        if path is not None and in_hand.isdisjoint(ids):
            in_hand |= ids
            yield Ring(path, support)


def _stuck(graph: Graph) -> Graph:
    """Return those that cannot go on, whatever the others do."""
    missing: dict[str, int] = {}
    """How many needs are not met, by invocation."""
    dependents: dict[str, list[tuple[str, list[int]]]] = {}
    for wait in graph.values():
        missing[wait.invocation_id] = len(wait.needs)
        for need in wait.needs:
            left = [need.at_least]
            for other in need.invocation_ids:
                dependents.setdefault(other, []).append((wait.invocation_id, left))
    free = [other for other in dependents if other not in graph]
    while free:
        for waiter, left in dependents.get(free.pop(), ()):
            left[0] -= 1
            if left[0] == 0:
                missing[waiter] -= 1
                if not missing[waiter]:
                    free.append(waiter)
    return {one: wait for one, wait in graph.items() if missing[one]}


def _waited_for(stuck: Graph) -> list[StoredWait]:
    """Return those that may be in a ring: not those at the beginning of a chain, however long, for whom nobody waits."""
    waiters = Counter(other for wait in stuck.values() for other in _unmet(wait.needs, stuck))
    free = [one for one in stuck if not waiters[one]]
    while free:
        for other in _unmet(stuck[free.pop()].needs, stuck):
            waiters[other] -= 1
            if not waiters[other]:
                free.append(other)
    return [wait for one, wait in stuck.items() if waiters[one]]


def _follow(wait: StoredWait, stuck: Graph) -> tuple[list[StoredWait] | None, list[StoredWait]]:
    """Return the shortest way back to this wait along those that are stuck, if there is one, and all that it leads to."""
    came_from: dict[str, str] = {}
    queue, last = deque([wait.invocation_id]), None
    while queue:
        one = queue.popleft()
        for other in _unmet(stuck[one].needs, stuck):
            if other == wait.invocation_id:
                last = last or one
            elif other not in came_from:
                came_from[other] = one
                queue.append(other)
    path = None if last is None else _walk_back(last, came_from, stuck)
    return path, [wait, *(stuck[one] for one in came_from)]


def _unmet(needs: Iterable[Need], stuck: Graph) -> Iterator[str]:
    for need in needs:
        going_on = sum(other not in stuck for other in need.invocation_ids)
        if going_on < need.at_least:
            yield from (other for other in need.invocation_ids if other in stuck)


def _walk_back(one: str, came_from: Mapping[str, str], stuck: Graph) -> list[StoredWait]:
    path = [stuck[one]]
    while one in came_from:
        one = came_from[one]
        path.append(stuck[one])
    return path[::-1]
