"""Refuse a call that repeats the call of a living ancestor, at a cost that does not grow with the depth.

The nearest ancestors are compared one by one. The farther ones of a deep tree are indexed by what a glance at their
values tells (`glance`): an ancestor enters the index when the check first passes it, and leaves it at its end. So each
level of a recursion costs the same, at depth 5,000 as at depth 5.
"""

from collections.abc import Hashable
from typing import Final, cast

from pynenc_async.arguments import COMPARED_BY_VALUE, glance, same_values
from pynenc_async.errors import CycleDetectedError
from pynenc_async.function import Function, Values
from pynenc_async.record import Record, TaskRecord
from pynenc_async.scheduler.cycles import describe

_NEAR: Final = range(16)
"""The ancestors that are compared one by one: nearly all trees are flatter, and need no index."""


class Ancestry:
    """The living invocations of one tree that have descendants at a distance."""

    __slots__ = ("_by_glance",)

    def __init__(self) -> None:
        self._by_glance: Final[dict[Hashable, dict[int, Record]]] = {}

    def add(self, record: Record) -> None:
        """Index an invocation; `forget` takes it out."""
        self._by_glance.setdefault(_key(record._task.function, record._values), {})[id(record)] = record
        record.need_more().ancestry = self

    def forget(self, record: Record) -> None:
        """Take an invocation out that has ended, and keeps nothing of this index."""
        key = _key(record._task.function, record._values)
        alike = self._by_glance[key]
        del alike[id(record)]
        if not alike:
            del self._by_glance[key]
        record.need_more().ancestry = None

    def find(self, function: Function, values: Values, below: Record) -> Record | None:
        """Return the ancestor of `below` (or that itself) that runs this call, if there is one."""
        alike = self._by_glance.get(_key(function, values))
        for record in alike.values() if alike else ():
            if same_values(record._values, values) and _is_above(record, below):
                return record
        return None


def refuse_repeated_ancestor(task: TaskRecord, values: Values, parent: Record) -> None:
    """Raise `CycleDetectedError` when a living ancestor runs the same call."""
    function = task.function
    first: object = values[0] if values else None
    kind: type = type(first)
    telling = kind in COMPARED_BY_VALUE and values  # the first argument tells most calls of a recursion apart
    ancestor: object = parent
    for _ in _NEAR:
        if not isinstance(ancestor, Record) or ancestor._ended_at is not None:
            return
        if ancestor._task.function is function:
            known = ancestor._values
            maybe = not telling or (known[0] == first and type(known[0]) is kind)
            if maybe and same_values(known, values):
                raise _repetition(parent, ancestor)
        ancestor = ancestor._parent
    if isinstance(ancestor, Record) and ancestor._ended_at is None:
        repeated = _indexed(ancestor).find(function, values, ancestor)
        if repeated is not None:
            raise _repetition(parent, repeated)


def _indexed(record: Record) -> Ancestry:
    """Return the index that has `record` and all its living ancestors: those above one that it has are there already."""
    missing: list[Record] = []
    ancestor: object = record
    ancestry: Ancestry | None = None
    while isinstance(ancestor, Record) and ancestor._ended_at is None:
        ancestry = None if ancestor._more is None else ancestor._more.ancestry
        if ancestry is not None:
            break
        missing.append(ancestor)
        ancestor = ancestor._parent
    if ancestry is None:
        ancestry = Ancestry()
    for one in missing:
        ancestry.add(one)
    return ancestry


def _is_above(record: Record, below: Record) -> bool:
    ancestor: object = below
    while isinstance(ancestor, Record) and ancestor._ended_at is None:
        if ancestor is record:
            return True
        ancestor = ancestor._parent
    return False


def _key(function: Function, values: Values) -> Hashable:
    return id(function), glance(values)


def _repetition(parent: Record, repeated: Record) -> CycleDetectedError:
    path = [parent]
    while path[-1] is not repeated:
        path.append(cast(Record, path[-1]._parent))  # a living record, as the caller has seen
    names = [describe(record) for record in reversed(path)]
    return CycleDetectedError("the call repeats one of its ancestors", [*names, names[0]])
