"""Cycle detection: a living ancestor with the same call, and a ring of invocations that await one another."""

from collections.abc import Iterable
from itertools import chain
from typing import Final, cast

from pynenc_async.arguments import COMPARED_BY_VALUE, same_values, show
from pynenc_async.errors import CycleDetectedError
from pynenc_async.function import Values
from pynenc_async.record import Record, TaskRecord

_MOST_SHOWN: Final = 4


def refuse_repeated_ancestor(task: TaskRecord, values: Values, parent: Record) -> None:
    """Raise `CycleDetectedError` when a living ancestor runs the same call."""
    function = task.function
    first: object = values[0] if values else None
    kind: type = type(first)
    telling = kind in COMPARED_BY_VALUE and values  # the first argument tells most calls of a recursion apart
    ancestor: object = parent
    while isinstance(ancestor, Record) and ancestor._ended_at is None:
        if ancestor._task.function is function:
            known = ancestor._values
            maybe = not telling or (known[0] == first and type(known[0]) is kind)
            if maybe and same_values(known, values):
                raise _repetition(parent, ancestor)
        ancestor = ancestor._parent


def _repetition(parent: Record, repeated: Record) -> CycleDetectedError:
    path = [parent]
    while path[-1] is not repeated:
        path.append(cast(Record, path[-1]._parent))  # a living record, as the caller has seen
    names = [describe(record) for record in reversed(path)]
    return CycleDetectedError("the call repeats one of its ancestors", [*names, names[0]])


def refuse_ring(waiting: Record, targets: Iterable[Record]) -> None:
    """Raise `CycleDetectedError` when one of `targets` already awaits `waiting`, directly or through others.

    Who waits for a limit awaits, in effect, those who hold its permits: all of them together, for any of them may free one.
    """
    for target in targets:
        more = target._more
        if target is waiting or (more is not None and (more.blocked_on or more.held)):
            path = _path(target, waiting, frozenset())
            if path is not None:
                names = [describe(record) for record in (waiting, *path)]
                raise CycleDetectedError("invocations await one another in a ring", names)


def _path(start: Record, goal: Record, crossed: frozenset[int]) -> list[Record] | None:
    """Search depth first along the edges "awaits"; `crossed` are the waits for limits that are being looked into."""
    came_from: dict[int, Record | None] = {id(start): None}
    stack = [start]
    while stack:
        record = stack.pop()
        if record is goal:
            return _walk_back(record, came_from)
        for nearer in _awaited_by(record, goal, crossed):
            if id(nearer) not in came_from and nearer._ended_at is None:
                came_from[id(nearer)] = record
                stack.append(nearer)
    return None


def _awaited_by(record: Record, goal: Record, crossed: frozenset[int]) -> Iterable[Record]:
    more = record._more
    if more is None:
        return ()
    if not more.held or record._task.limiter is None:
        return chain.from_iterable(more.blocked_on or ())
    if id(record) in crossed:
        return (goal,)  # it goes on if the search that looks into it says so
    blockers = record._task.limiter.blockers(record)
    crossed |= {id(record)}
    stuck = all(_path(blocker, goal, crossed) is not None for blocker in blockers)
    return blockers[:1] if stuck else ()


def _walk_back(end: Record, came_from: dict[int, Record | None]) -> list[Record]:
    path, step = [end], came_from[id(end)]
    while step is not None:
        path.append(step)
        step = came_from[id(step)]
    return path[::-1]


def describe(record: Record) -> str:
    """Name a record in a path: its task and values, shortened, and whether it waits for a limit."""
    name = f"{record._task.task_id}({', '.join(show(value) for value in record._values[:_MOST_SHOWN])})"
    waits = record._more is not None and record._more.held and record._task.limiter is not None
    return f"{name} [waits for a running_limit]" if waits else name
