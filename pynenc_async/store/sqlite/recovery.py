"""What dead runners had goes to a living one: piece by piece, each decided and written in one transaction."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from pynenc_async.status import InvocationStatus
from pynenc_async.store.recovering import INTERRUPTED, poison_error, recovery_steps
from pynenc_async.store.sqlite.codes import CODES, STATUSES, path_of
from pynenc_async.store.sqlite.rows import changed_row, move_large
from pynenc_async.store.sqlite.schema import ALIVE, BURIED, DEAD
from pynenc_async.store.sqlite.session import Session
from pynenc_async.store.sqlite.sparing import let_go
from pynenc_async.store.sqlite.statements import REWRITE, Row, count_ended, write_rows
from pynenc_async.store.values import Recovery, Transition

_S: Final = InvocationStatus

_DEAD_ONES: Final = "SELECT key, runner_id, state, lease, stopping FROM runner WHERE state < 2 AND key != ?"
_HOMES: Final = "home IN (SELECT value FROM json_each(?))"
_TASKS: Final = "task IN (SELECT value FROM json_each(?))"
_THESE: Final = "IN (SELECT value FROM json_each(?))"
_WAITING: Final = frozenset(
    CODES[status] for status in (_S.SCHEDULED, _S.REGISTERED, _S.CONCURRENCY_CONTROLLED, _S.REROUTED, _S.RETRY)
)
_PIECE: Final = 5_000
"""How many are taken over in one transaction: others wait for it, and a dead runner may have left a million."""
_LEFT: Final = f"""
SELECT id, status, attempt, revision, crashes, max_crashes, home FROM invocation INDEXED BY invocation_living
WHERE ended_at IS NULL AND {_HOMES} AND {_TASKS} LIMIT {_PIECE}"""
_ADOPT: Final = f"""
UPDATE invocation SET home = ?, taken = 0, backlog = CASE WHEN due_at > 0 THEN due_at ELSE 0 END
WHERE id {_THESE} AND ended_at IS NULL"""
_WAITING_SINCE: Final = f"""
UPDATE invocation SET due_at = due_at - (since - ?), deadline_at = deadline_at - (since - ?), since = ?
WHERE id {_THESE} AND since > ?"""
_STANDING_SINCE: Final = "UPDATE stand SET until = until - (since - ?), since = ? WHERE since > ?"
"""What waits since later than now was put off under a clock that has been set back since: see `Store.recover`."""
_PARKED: Final = f"""
SELECT task_id, count(*) FROM invocation INDEXED BY invocation_living JOIN task ON task.key = invocation.task
WHERE ended_at IS NULL AND {_HOMES} GROUP BY task.key"""
_BURY: Final = f"""
UPDATE runner SET state = {BURIED} WHERE key {_THESE} AND NOT EXISTS (
    SELECT 1 FROM invocation INDEXED BY invocation_living WHERE ended_at IS NULL AND home = runner.key)"""


@dataclass(frozen=True, slots=True)
class _Left:
    """An invocation whose runner has died."""

    key: int
    code: int
    attempt: int
    revision: int
    crashes: int
    max_crashes: int
    home: int
    was_stopping: bool
    """Whether its runner had announced that it stops."""

    @property
    def has_crashed(self) -> bool:
        return self.interrupted and not self.was_stopping

    @property
    def interrupted(self) -> bool:
        return STATUSES[self.code] in INTERRUPTED

    @property
    def poisoned(self) -> bool:
        return self.has_crashed and self.crashes + 1 >= self.max_crashes


def recover_piece(
    session: Session, task_ids: Collection[str], now: float, is_dead: Callable[[str], bool]
) -> tuple[Recovery, bool]:
    """Take over some of what is dead; return what was done, and whether there is more of it.

    `is_dead` looks at the lease of that name.
    """
    connection, names = session.connection, session.names
    runners = connection.execute(_DEAD_ONES, (session.home,)).fetchall() if session.alive else []
    died = [key for key, _, state, lease, _ in runners if state == ALIVE and is_dead(lease)]
    dead = json.dumps(died + [key for key, _, state, *_ in runners if state == DEAD])
    stopping = {key for key, *_, was_stopping in runners if was_stopping}
    if session.alive:
        connection.execute(_STANDING_SINCE, (now, now, now))
    if dead == "[]":
        return Recovery(), False
    connection.execute(f"UPDATE runner SET state = {DEAD} WHERE key {_THESE}", (json.dumps(died),))
    tasks = json.dumps(names.find_tasks(connection, task_ids))
    rows = connection.execute(_LEFT, (dead, tasks)).fetchall()
    left = [
        _Left(key, code, attempt, revision, crashes, max_crashes, home, home in stopping)
        for key, code, attempt, revision, crashes, max_crashes, home in rows
    ]
    cases = [one for one in left if one.code not in _WAITING]
    _end_attempts(session, cases, now)
    keys = json.dumps([one.key for one in left])
    connection.execute(_WAITING_SINCE, (now, now, now, keys, now))
    adopted = connection.execute(_ADOPT, (session.home, keys)).rowcount
    concerned = {one.home for one in left}.union(died)
    recovery = Recovery(
        runners=tuple(runner_id for key, runner_id, *_ in runners if key in concerned),
        adopted=adopted,
        interrupted=sum(case.interrupted and not case.poisoned for case in cases),
        poisoned=tuple(names.spell(connection, case.key) for case in cases if case.poisoned),
    )
    if len(left) == _PIECE:
        return recovery, True
    parked = dict(connection.execute(_PARKED, (dead,)).fetchall())
    connection.execute(_BURY, (dead,))
    return msgspec.structs.replace(recovery, parked=parked), False


def together(pieces: Sequence[Recovery]) -> Recovery:
    """Return what all pieces come to."""
    return Recovery(
        runners=tuple(dict.fromkeys(runner_id for piece in pieces for runner_id in piece.runners)),
        adopted=sum(piece.adopted for piece in pieces),
        interrupted=sum(piece.interrupted for piece in pieces),
        poisoned=tuple(invocation_id for piece in pieces for invocation_id in piece.poisoned),
        parked=pieces[-1].parked,
    )


def _end_attempts(session: Session, cases: Sequence[_Left], now: float) -> None:
    connection = session.connection
    rows = move_large(connection, [_row(session, case, now) for case in cases])
    failed = sum(case.poisoned for case in cases)
    write_rows(connection, [*rows, *count_ended({CODES[_S.FAILED]: failed})])
    under_way = json.dumps([case.key for case in cases])
    crashed = json.dumps([case.key for case in cases if case.has_crashed])
    poisoned = json.dumps([case.key for case in cases if case.poisoned])
    connection.execute(f"UPDATE invocation SET crashes = crashes + 1 WHERE id {_THESE}", (crashed,))
    connection.execute(f"DELETE FROM permit WHERE holder {_THESE}", (under_way,))
    connection.execute(f"UPDATE invocation SET marks = marks & ~2 WHERE id {_THESE} AND marks & 2", (under_way,))
    connection.execute(
        f"UPDATE invocation SET home = ?, marks = 0, cancel_reason = NULL WHERE id {_THESE}", (session.home, poisoned)
    )
    connection.execute(f"DELETE FROM stand WHERE until IS NULL AND invocation {_THESE}", (poisoned,))
    for case in cases:
        if case.poisoned:
            let_go(connection, case.key)


def _row(session: Session, case: _Left, now: float) -> Row:
    names, connection = session.names, session.connection
    steps = recovery_steps(
        STATUSES[case.code],
        attempt=case.attempt,
        is_poison=case.poisoned,
        dead_runner=names.runner_id(connection, case.home),
        now=now,
    )
    error = poison_error(names.spell(connection, case.key), case.crashes + 1) if case.poisoned else None
    change = Transition(invocation_id="", revision=case.revision, steps=steps, error=error, taken=False)
    return changed_row(REWRITE, change, path_of(steps), case.key, home=session.home)
