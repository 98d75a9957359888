"""A batch with something rare in it, or with changes to refuse: looked up first, then decided in order, then written.

All happens in one transaction that holds the write lock, so what was read stays true until the end. However many changes
there are, the number of statements stays small.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pynenc_async.store.sqlite import waits
from pynenc_async.store.sqlite.codes import (
    FINAL,
    OWNED,
    STATUSES,
    Path,
    check_beginning,
    forbidden,
    path_of,
    read_steps,
)
from pynenc_async.store.sqlite.limits import Buckets, Permits
from pynenc_async.store.sqlite.names import Names
from pynenc_async.store.sqlite.rows import changed_row, move_large, new_row
from pynenc_async.store.sqlite.schema import CANCEL, PERMITS, SPARES, UNIQUE
from pynenc_async.store.sqlite.sparing import let_go
from pynenc_async.store.sqlite.stands import Fires, Stands
from pynenc_async.store.sqlite.statements import REWRITE, Row, count_ended, write_rows
from pynenc_async.store.values import (
    REPLACED,
    Change,
    JournalChange,
    NewInvocation,
    Refusal,
    RefusalKind,
    Transition,
    WaitChange,
)

_STATES: Final = "SELECT id, revision, home, status, marks FROM invocation WHERE id IN (SELECT value FROM json_each(?))"
_UNKNOWN: Final = Refusal(kind=RefusalKind.UNKNOWN)
_STALE: Final = Refusal(kind=RefusalKind.STALE)


@dataclass(slots=True)
class Known:
    """An invocation, as it is at this point of the batch."""

    revision: int
    home: int
    code: int
    marks: int


@dataclass(slots=True)
class Writes:
    """What has been decided."""

    rows: list[Row] = field(default_factory=list[Row])
    ended: Counter[int] = field(default_factory=Counter[int])
    marks: set[int] = field(default_factory=set[int])
    """Of which the marks have changed."""
    cancels: dict[int, str] = field(default_factory=dict[int, str])
    journals: list[tuple[int, JournalChange | None]] = field(default_factory=list[tuple[int, JournalChange | None]])
    """In order; None where one has ended for the sake of which others are spared."""
    waits: list[tuple[int, WaitChange]] = field(default_factory=list[tuple[int, WaitChange]])


class Decision:
    """The look at the file, the decisions, and what is to be written."""

    def __init__(
        self, connection: sqlite3.Connection, names: Names, *, home: int, lives: Container[int], dead: bool
    ) -> None:
        self._connection: Final = connection
        self._names: Final = names
        self._home: Final = home
        self._lives: Final = lives
        """The keys that the runner has had."""
        self._dead: Final = dead
        """Whether the runner has been declared dead: then only what is new is taken from it."""
        self._keys: dict[str, int | None] = {}
        self.known: dict[int, Known] = {}
        self._writes: Final = Writes()
        self._stands: Final = Stands(connection)
        self._fires: Final = Fires(connection)
        self._permits: Final = Permits(connection)
        self._buckets: Final = Buckets(connection)

    def make(self, changes: Sequence[Change]) -> list[Refusal | None]:
        """Make the changes in order; return what became of each. Raises `InvocationStatusError`; then undo it all."""
        self._look(changes)
        refusals = [self._decide(change) for change in changes]
        self._write()
        return refusals

    # -- reading -------------------------------------------------------------------------------------------------------

    def _look(self, changes: Sequence[Change]) -> None:
        connection = self._connection
        self._keys = {one.invocation_id: self._names.find(connection, one.invocation_id) for one in changes}
        self._get_to_know(key for key in self._keys.values() if key is not None)
        new = [one for one in changes if type(one) is NewInvocation]
        starts = [one for one in changes if type(one) is Transition]
        self._stands.look({one.unique.key for one in new if one.unique is not None}, self._with(UNIQUE))
        replaced = {one.unique.key for one in new if one.unique is not None and one.unique.replace}
        if replaced:
            self._get_to_know(self._stands.standing_under(replaced))
        self._fires.look([one.fire for one in new if one.fire is not None])
        self._permits.look({permit.name for one in starts for permit in one.permits}, self._with(PERMITS))
        self._buckets.look({one.rate.name for one in starts if one.rate is not None})

    def _get_to_know(self, keys: Iterable[int]) -> None:
        for key, *state in self._connection.execute(_STATES, (json.dumps([*keys]),)):
            self.known[key] = Known(*state)

    def _with(self, mark: int) -> list[int]:
        return [key for key, known in self.known.items() if known.marks & mark]

    # -- deciding ------------------------------------------------------------------------------------------------------

    def _decide(self, change: Change) -> Refusal | None:
        if isinstance(change, NewInvocation):
            return self._begin(change)
        key = self._keys[change.invocation_id]
        known = None if key is None else self.known.get(key)
        if key is None or known is None:
            return _UNKNOWN
        if isinstance(change, Transition):
            return self._go_on(change, key, known)
        if isinstance(change, JournalChange):
            return self._write_journal(change, key, known)
        if isinstance(change, WaitChange):
            return self._say_wait(change, key, known)
        return self._request(change.reason, key, known)

    def _begin(self, change: NewInvocation) -> Refusal | None:
        path = path_of(change.steps)
        check_beginning(change.steps)
        key, now = self._keys[change.invocation_id], change.steps[-1][1]
        if key is None:
            raise LookupError(f"{change.invocation_id!r} has not been learnt")
        if key in self.known:
            return self._exists(key)
        unique = change.unique
        if unique is not None and unique.since is not None:
            now = unique.since
        standing = None if unique is None else self._stands.standing(unique.key, now)
        if unique is not None and standing is not None and not unique.replace:
            return Refusal(kind=RefusalKind.DUPLICATE, detail=self._names.spell(self._connection, standing))
        if change.fire is not None and not self._fires.take(change.fire):
            return Refusal(kind=RefusalKind.FIRED)
        known = self.known[key] = Known(len(change.steps), self._home, path.code, 0)
        if standing is not None and standing in self.known:  # what has ended long ago may stand still
            self._request(REPLACED, standing, self.known[standing])
        if unique is not None:
            known.marks = UNIQUE
            self._stands.enter(unique, key)
            self._leave_stand(key, path)
        self._add(change, path, key, known)
        return None

    def _exists(self, key: int) -> Refusal:
        """Say who has registered it; of what this very batch registers, the file knows nothing yet."""
        history = self._connection.execute("SELECT history FROM invocation WHERE id = ?", (key,)).fetchall()
        registrar = next(read_steps(history[0][0]))[-1] if history else self._home
        name = "" if registrar in self._lives else self._names.runner_id(self._connection, registrar)
        return Refusal(kind=RefusalKind.EXISTS, detail=name)

    def _add(self, change: NewInvocation, path: Path, key: int, known: Known) -> None:
        names, connection, parent = self._names, self._connection, change.parent_invocation_id
        row = new_row(
            change,
            path,
            key,
            task=names.tasks[change.task_id],
            home=self._home,
            parent=None if parent is None else names.find(connection, parent),
            marks=known.marks,
        )
        self._writes.rows.append(row)
        self._count(path)

    def _go_on(self, change: Transition, key: int, known: Known) -> Refusal | None:
        if self._dead or known.home != self._home or known.revision != change.revision:
            return _STALE
        path = path_of(change.steps)
        if not path.before >> known.code & 1:
            raise forbidden(STATUSES[known.code], change.steps[0][0])
        if change.permits or change.rate is not None:
            refusal = self._try_permits(change, key)
            if refusal is not None:
                return refusal
        marks = known.marks
        if change.permits or marks & PERMITS:
            self._hold(change, path, key, known)
        if marks & UNIQUE:
            self._leave_stand(key, path)
        known.revision += len(change.steps)
        known.code = path.code
        if path.final:
            if marks & SPARES:
                self._writes.journals.append((key, None))
            known.marks = 0
        if known.marks != marks:
            self._writes.marks.add(key)
        self._writes.rows.append(changed_row(REWRITE, change, path, key, home=self._home))
        self._count(path)
        return None

    def _try_permits(self, change: Transition, key: int) -> Refusal | None:
        missing = self._permits.missing(change.permits, key)
        if missing is not None:
            return Refusal(kind=RefusalKind.LIMIT, detail=missing)
        if change.rate is not None:
            retry_at = self._buckets.take(change.rate, change.steps[-1][1])
            if retry_at is not None:
                return Refusal(kind=RefusalKind.RATE, detail=change.rate.name, retry_at=retry_at)
        return None

    def _hold(self, change: Transition, path: Path, key: int, known: Known) -> None:
        if path.frees:
            self._permits.free(key)
        self._permits.take(change.permits, key)
        if not path.owned:
            self._permits.free(key)
        known.marks = known.marks | PERMITS if self._permits.held(key) else known.marks & ~PERMITS

    def _leave_stand(self, key: int, path: Path) -> None:
        if path.start is not None:
            self._stands.started(key)
        if path.final:
            self._stands.ended(key)

    def _write_journal(self, change: JournalChange, key: int, known: Known) -> Refusal | None:
        if self._dead or known.home != self._home:
            return _STALE
        self._writes.journals.append((key, change))
        return None

    def _say_wait(self, change: WaitChange, key: int, known: Known) -> Refusal | None:
        is_mine = not self._dead and known.home == self._home and known.code in OWNED
        if not is_mine or known.revision != change.revision:
            return _STALE
        self._writes.waits.append((key, change))
        return None

    def _request(self, reason: str, key: int, known: Known) -> Refusal | None:
        if self._dead or known.code in FINAL:
            return _STALE
        if not known.marks & CANCEL:
            known.marks |= CANCEL
            self._writes.marks.add(key)
            self._writes.cancels[key] = reason
        return None

    def _count(self, path: Path) -> None:
        if path.final:
            self._writes.ended[path.code] += 1

    # -- writing -------------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        connection, writes = self._connection, self._writes
        write_rows(connection, [*move_large(connection, writes.rows), *count_ended(writes.ended)])
        connection.executemany(
            "UPDATE invocation SET marks = ?, cancel_reason = CASE WHEN ? THEN coalesce(cancel_reason, ?) END WHERE id = ?",
            [
                (self.known[key].marks, self.known[key].marks & CANCEL, writes.cancels.get(key), key)
                for key in writes.marks
            ],
        )
        for key, change in writes.journals:
            let_go(connection, key, 0 if change is None else change.index)
            if change is not None:
                self._replace_entries(key, change)
        waits.write(connection, self._names, self._home, writes.waits)
        self._stands.write()
        self._fires.write()
        self._permits.write()
        self._buckets.write()

    def _replace_entries(self, key: int, change: JournalChange) -> None:
        connection, names = self._connection, self._names
        rows: list[Any] = [
            (key, position, entry, None if name is None else names.find(connection, name))
            for position, (entry, name) in enumerate(change.named(), change.index)
        ]
        connection.execute("DELETE FROM journal WHERE invocation = ? AND position >= ?", (key, change.index))
        connection.executemany("INSERT INTO journal (invocation, position, entry, named) VALUES (?, ?, ?, ?)", rows)
