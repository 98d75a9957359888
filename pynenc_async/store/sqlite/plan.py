"""The usual batch, planned without a look at the file: nothing in it needs more than a compare-and-set.

A plan is made outside of the transaction. What it cannot say (unique keys, permits, journals) is for `decide`, and so is
a batch of which not all could be done as planned: then the transaction finds out why.
"""

import sqlite3
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from pynenc_async.errors import InvocationStatusError
from pynenc_async.store.sqlite.codes import check_beginning, path_of
from pynenc_async.store.sqlite.large import LARGE
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.rows import changed_row, move_large, new_row, usual_kind
from pynenc_async.store.sqlite.statements import (
    Row,
    check_runner,
    count_ended,
    is_one_statement,
    write_alone,
    write_rows,
)
from pynenc_async.store.values import Change, NewInvocation, Transition


@dataclass(slots=True)
class Plan:
    """What a batch comes to: commands, in their order."""

    rows: list[Row]
    ended: Counter[int] = field(default_factory=Counter[int])
    """How many end in each final status."""
    has_large: bool = False

    def execute(self, connection: sqlite3.Connection) -> None:
        """Make all changes. Raises `sqlite3.IntegrityError` when one cannot be made as planned; then undo it all."""
        rows = [*self.rows, *count_ended(self.ended)]
        if is_one_statement(rows) and not self.has_large:
            if len(rows) == 2:  # noqa: PLR2004  the runner and one change
                write_alone(connection, rows[-1])
            else:
                write_rows(connection, rows)
            return
        connection.execute("BEGIN IMMEDIATE")
        write_rows(connection, move_large(connection, rows) if self.has_large else rows)
        connection.execute("COMMIT")


def make_plan(
    connection: sqlite3.Connection, changes: Sequence[Change], names: Names, *, home: int, marked: Container[int]
) -> Plan | None:
    """Return the plan; None where there is something in it that has to be decided in the transaction.

    `marked` are invocations that are known to have something rare.
    """
    plan = Plan([check_runner(home)])
    try:
        for change in changes:
            if type(change) is Transition:
                planned = _plan_transition(plan, connection, change, names, home, marked)
            else:
                planned = type(change) is NewInvocation and _plan_new(plan, connection, change, names, home)
            if not planned:
                return None
    except InvocationStatusError:
        return None  # whether that matters depends on what else there is to say about the change
    return plan


def _plan_transition(
    plan: Plan, connection: sqlite3.Connection, change: Transition, names: Names, home: int, marked: Container[int]
) -> bool:
    if change.permits or change.rate is not None:
        return False
    key = names.find(connection, change.invocation_id)
    if key is None or key in marked:
        return False
    path = path_of(change.steps)
    plan.rows.append(changed_row(usual_kind(change, path), change, path, key, home=home))
    if path.final:
        plan.ended[path.code] += 1
    result, error = change.result, change.error
    if (result is not None and len(result) > LARGE) or (error is not None and len(error) > LARGE):
        plan.has_large = True
    return True


def _plan_new(plan: Plan, connection: sqlite3.Connection, change: NewInvocation, names: Names, home: int) -> bool:
    if change.unique is not None or change.fire is not None:
        return False
    path = path_of(change.steps)
    check_beginning(change.steps)
    key = names.learn(connection, change.invocation_id)
    task = names.tasks.get(change.task_id) or names.learn_task(connection, change.task_id)
    parent = change.parent_invocation_id
    parent_key = None if parent is None else names.learn(connection, parent)
    plan.rows.append(new_row(change, path, key, task=task, home=home, parent=parent_key))
    if path.final:
        plan.ended[path.code] += 1
    if len(change.arguments) > LARGE:
        plan.has_large = True
    return True
