"""The usual batch, planned without a look at the file: nothing in it needs more than a compare-and-set.

A plan is made outside of the transaction. What it cannot say (unique keys, permits, journals) is for `decide`, and so is
a batch of which not all could be done as planned: then the transaction finds out why.
"""

import sqlite3
from collections import Counter
from collections.abc import Container, Mapping, Sequence

from pynenc_async.errors import InvocationStatusError
from pynenc_async.store.sqlite.codes import check_beginning, path_of
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.rows import changed_row, is_large, move_arguments, move_outcome, new_row
from pynenc_async.store.sqlite.statements import INSERT, UPDATE, Row, write_rows
from pynenc_async.store.values import Change, NewInvocation, Transition


class Plan:
    """Rows in rounds: in each one the new ones come first, and no invocation is changed twice."""

    __slots__ = ("_seen", "ended", "large", "rounds")

    def __init__(self) -> None:
        self.rounds: list[tuple[list[Row], list[Row]]] = [([], [])]
        self.ended: Counter[int] = Counter()
        """How many end in each final status."""
        self.large = False
        self._seen: set[int] = set()

    def execute(self, connection: sqlite3.Connection) -> bool:
        """Make all changes; return False, in the middle of it, when one cannot be made as planned."""
        for new, changed in self.rounds:
            if self.large:
                new = [move_arguments(connection, row) for row in new]  # noqa: PLW2901
                changed = [move_outcome(connection, row) for row in changed]  # noqa: PLW2901
            if write_rows(connection, INSERT, new) != len(new):
                return False
            if write_rows(connection, UPDATE, changed) != len(changed):
                return False
        count_ended(connection, self.ended)
        return True


def count_ended(connection: sqlite3.Connection, ended: Mapping[int, int]) -> None:
    """Add to the tally of what has ended."""
    for code, count in ended.items():
        connection.execute("UPDATE tally SET ended = ended + ? WHERE status = ?", (count, code))


def make_plan(
    connection: sqlite3.Connection, changes: Sequence[Change], names: Names, *, home: int, marked: Container[int]
) -> Plan | None:
    """Return the plan; None where there is something in it that has to be decided in the transaction.

    `marked` are invocations that are known to have something rare.
    """
    try:
        return _make_plan(connection, changes, names, home, marked)
    except InvocationStatusError:
        return None  # whether that matters depends on what else there is to say about the change


def _make_plan(
    connection: sqlite3.Connection, changes: Sequence[Change], names: Names, home: int, marked: Container[int]
) -> Plan | None:
    plan = Plan()
    new, changed = plan.rounds[0]
    seen, ended = plan._seen, plan.ended
    for change in changes:
        if type(change) is Transition:
            if change.permits or change.rate is not None:
                return None
            path = path_of(change.steps)
            key = names.find(connection, change.invocation_id)
            if key is None or key in marked:
                return None
            if key in seen:
                new, changed = _next_round(plan)
            seen.add(key)
            changed.append(changed_row(change, path, key, home=home))
            plan.large = plan.large or is_large(change.result) or is_large(change.error)
        elif type(change) is NewInvocation:
            if change.unique is not None or change.fire is not None:
                return None
            path = path_of(change.steps)
            check_beginning(change.steps)
            key = names.learn(connection, change.invocation_id)
            if key in seen:
                new, changed = _next_round(plan)
            parent = change.parent_invocation_id
            new.append(
                new_row(
                    change,
                    path,
                    key,
                    task=names.tasks.get(change.task_id) or names.learn_task(connection, change.task_id),
                    home=home,
                    parent=None if parent is None else names.learn(connection, parent),
                )
            )
            plan.large = plan.large or is_large(change.arguments)
        else:
            return None
        if path.final:
            ended[path.code] += 1
    return plan


def _next_round(plan: Plan) -> tuple[list[Row], list[Row]]:
    plan._seen.clear()
    plan.rounds.append(([], []))
    return plan.rounds[-1]
