"""The usual batch, planned without a look at the file: nothing in it needs more than a compare-and-set.

A plan is made outside of the transaction. What it cannot say (unique keys, permits, journals) is for `decide`, and so is
a batch of which not all could be done as planned: then the transaction finds out why.
"""

import sqlite3
from collections import Counter
from collections.abc import Container, Mapping, Sequence

from pynenc_async.errors import InvocationStatusError
from pynenc_async.store.sqlite.codes import Path, check_beginning, path_of
from pynenc_async.store.sqlite.large import LARGE
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.rows import (
    changed_row,
    end_row,
    is_large,
    move_arguments,
    move_outcome,
    new_row,
    step_row,
)
from pynenc_async.store.sqlite.statements import INSERT, MAKE_CHANGE, MAKE_END, TAKE_STEP, Row, write_rows
from pynenc_async.store.values import Change, NewInvocation, Transition


class Round:
    """Rows that can be written in any order, once the new ones are there: no invocation is changed twice."""

    __slots__ = ("changes", "ends", "news", "steps")

    def __init__(self) -> None:
        self.news: list[Row] = []
        self.steps: list[Row] = []
        self.ends: list[Row] = []
        self.changes: list[Row] = []

    def execute(self, connection: sqlite3.Connection, home: int, *, has_large: bool) -> bool:
        """Write the rows; return False, in the middle of it, when one of them finds something else than it expects."""
        news, ends, changes = self.news, self.ends, self.changes
        if has_large:
            news = [move_arguments(connection, row) for row in news]
            ends = [move_outcome(connection, row) for row in ends]
            changes = [move_outcome(connection, row) for row in changes]
        return all(
            write_rows(connection, statement, rows, home=home) == len(rows)
            for statement, rows in ((INSERT, news), (TAKE_STEP, self.steps), (MAKE_END, ends), (MAKE_CHANGE, changes))
        )


class Plan:
    """What a batch comes to, in rounds."""

    __slots__ = ("ended", "has_large", "home", "rounds")

    def __init__(self, home: int) -> None:
        self.home = home
        self.rounds = [Round()]
        self.ended: Counter[int] = Counter()
        """How many end in each final status."""
        self.has_large = False

    @property
    def is_one_statement(self) -> bool:
        """Whether it needs no transaction: there is one row, and nothing else to write."""
        only = self.rounds[0]
        rows = len(only.news) + len(only.steps) + len(only.ends) + len(only.changes)
        return rows == 1 and len(self.rounds) == 1 and not self.ended and not self.has_large

    def execute(self, connection: sqlite3.Connection) -> bool:
        """Make all changes; return False, in the middle of it, when one cannot be made as planned."""
        if not all(one.execute(connection, self.home, has_large=self.has_large) for one in self.rounds):
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
    plan = Plan(home)
    current = plan.rounds[0]
    seen: set[int] = set()
    for change in changes:
        if type(change) is Transition:
            if change.permits or change.rate is not None:
                return None
            path = path_of(change.steps)
            key = names.find(connection, change.invocation_id)
            if key is None or key in marked:
                return None
            if key in seen:
                current = _next_round(plan, seen)
            seen.add(key)
            _add(plan, current, change, path, key)
        elif type(change) is NewInvocation:
            path = path_of(change.steps)
            check_beginning(change.steps)
            if change.unique is not None or change.fire is not None or path.final or path.retries:
                return None
            key = names.learn(connection, change.invocation_id)
            if key in seen:
                current = _next_round(plan, seen)
            task = names.tasks.get(change.task_id) or names.learn_task(connection, change.task_id)
            parent = change.parent_invocation_id
            parent_key = None if parent is None else names.learn(connection, parent)
            current.news.append(new_row(change, path, key, task=task, home=home, parent=parent_key))
            plan.has_large = plan.has_large or len(change.arguments) > LARGE
        else:
            return None
    return plan


def _add(plan: Plan, current: Round, change: Transition, path: Path, key: int) -> None:
    if not change.taken or change.due_at is not None or path.retries:
        current.changes.append(changed_row(change, path, key, home=plan.home))
    elif path.final:
        current.ends.append(end_row(change, path, key, home=plan.home))
    elif change.result is None and change.error is None:
        current.steps.append(step_row(change, path, key, home=plan.home))
    else:
        current.changes.append(changed_row(change, path, key, home=plan.home))
    if path.final:
        plan.ended[path.code] += 1
    if change.result is not None or change.error is not None:
        plan.has_large = plan.has_large or is_large(change.result) or is_large(change.error)


def _next_round(plan: Plan, seen: set[int]) -> Round:
    seen.clear()
    plan.rounds.append(Round())
    return plan.rounds[-1]
