"""The tables, as steps from one version of the file to the next.

An invocation is one row. Its primary key is made of its id, `<runner id>-<number>`: the key of the runner in the upper
bits, the number in the lower ones, so that the id needs no index of its own, and what one runner submits lies together.
An id of another form is spelled out in `other_id`, and its key has no runner.
Everything rare (unique keys, permits, journals, large values) has a table of its own, and the row says in `marks` whether
to look there.
"""

from collections.abc import Iterable
from typing import Final

from pynenc_async.status import RULES, InvocationStatus
from pynenc_async.store.sqlite.codes import CLAIMABLE, CODES, FINAL

APPLICATION_ID: Final = 0x50594E43  # "PYNC": in the header of the file, so that others know whose it is
NUMBER_BITS: Final = 40
"""Of the primary key: a runner may submit a million million invocations, and there may be eight million runners."""

UNIQUE: Final = 1
"""In `marks`: it stands, or has stood, under a unique key."""
PERMITS: Final = 2
"""In `marks`: it holds permits."""
CANCEL: Final = 4
"""In `marks`: somebody has asked to cancel it."""
SPARES: Final = 8
"""In `marks`, while it has not ended: a purge has left something for its sake, which its journal names."""
SPARED: Final = 16
"""In `marks`, after the end: a purge has met it, and has left it for the sake of another one."""

FORGETTABLE: Final = f"ended_at IS NOT NULL AND marks & {SPARED} = 0"
IS_SPARED: Final = f"ended_at IS NOT NULL AND marks & {SPARED} != 0"
"""The conditions of `invocation_ended` and `invocation_spared`: together, all that has ended."""

NOT_COUNTED: Final = -1
"""In `tally`, beside the statuses: what is spared, as a negative number; the sum is what purges may count."""

ALIVE: Final = 0
DEAD: Final = 1
"""A runner whose lease has ended, and that has left something behind."""
BURIED: Final = 2
"""A runner whose lease has ended, and of which nothing is left to take over."""


def _is_one_of(codes: Iterable[int]) -> str:
    """Return the condition that the status is one of these: in ranges, for a list would be looked up for each row."""
    ranges: list[tuple[int, int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = ranges[-1][0], code
        else:
            ranges.append((code, code))
    return "(" + " OR ".join(f"status BETWEEN {first} AND {last}" for first, last in ranges) + ")"


_FIRST: Final = f"""
CREATE TABLE status (code INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, final INTEGER NOT NULL) STRICT;

CREATE TABLE task (key INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE other_id (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE runner (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    runner_id TEXT NOT NULL,
    state INTEGER NOT NULL CHECK (state IN ({ALIVE}, {DEAD}, {BURIED})),
    lease TEXT,
    pid INTEGER,
    port INTEGER,
    token BLOB,
    opened_at REAL
) STRICT;
CREATE INDEX runner_name ON runner (runner_id);
CREATE INDEX runner_state ON runner (state) WHERE state < {BURIED};

CREATE TABLE invocation (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    home INTEGER NOT NULL,
    status INTEGER NOT NULL CHECK {_is_one_of(CODES.values())},
    revision INTEGER NOT NULL CHECK (revision > 0),
    attempt INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    max_crashes INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    registered_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    due_at REAL,
    deadline_at REAL,
    taken INTEGER NOT NULL CHECK (taken IN (0, 1)),
    backlog REAL,
    marks INTEGER NOT NULL DEFAULT 0,
    parent INTEGER,
    cancel_reason TEXT,
    options BLOB NOT NULL,
    history BLOB NOT NULL,
    arguments ANY NOT NULL,
    result ANY,
    error ANY,
    CHECK ((ended_at IS NOT NULL) = {_is_one_of(FINAL)}),
    CHECK (backlog IS NULL OR (taken = 0 AND {_is_one_of(CLAIMABLE)}))
) STRICT;
CREATE INDEX invocation_ended ON invocation (ended_at, home);
CREATE INDEX invocation_task ON invocation (task, registered_at);
CREATE INDEX invocation_ready ON invocation (home, priority DESC, registered_at, id, task) WHERE backlog = 0;
CREATE INDEX invocation_due ON invocation (home, backlog, task, priority) WHERE backlog > 0;
CREATE INDEX invocation_unlucky ON invocation (status, registered_at)
    WHERE ended_at IS NOT NULL AND status != {CODES[InvocationStatus.SUCCESS]};
CREATE INDEX invocation_parent ON invocation (parent) WHERE parent IS NOT NULL;
CREATE INDEX invocation_cancel ON invocation (home) WHERE cancel_reason IS NOT NULL;

CREATE TABLE value (
    key INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    uses INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE journal (
    invocation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    entry BLOB NOT NULL,
    PRIMARY KEY (invocation, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE stand (
    key TEXT PRIMARY KEY,
    invocation INTEGER NOT NULL,
    until_started INTEGER NOT NULL,
    until REAL
) STRICT, WITHOUT ROWID;
CREATE INDEX stand_invocation ON stand (invocation);
CREATE INDEX stand_until ON stand (until) WHERE until IS NOT NULL;

CREATE TABLE fire (
    schedule TEXT NOT NULL,
    moment REAL NOT NULL,
    PRIMARY KEY (schedule, moment)
) STRICT, WITHOUT ROWID;

CREATE TABLE permit (
    name TEXT NOT NULL,
    holder INTEGER NOT NULL,
    PRIMARY KEY (name, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX permit_holder ON permit (holder);

CREATE TABLE bucket (name TEXT PRIMARY KEY, full_at REAL NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE tally (status INTEGER PRIMARY KEY, ended INTEGER NOT NULL) STRICT;

CREATE VIEW invocations AS
    SELECT coalesce(
            (SELECT runner_id FROM runner WHERE key = invocation.id >> {NUMBER_BITS})
                || '-' || (invocation.id & {(1 << NUMBER_BITS) - 1}),
            (SELECT other_id.id FROM other_id WHERE other_id.key = invocation.id)
        ) AS invocation_id,
        task.task_id,
        status.name AS status,
        home.runner_id AS home,
        revision, attempt, retries, crashes, priority, taken,
        datetime(registered_at, 'unixepoch') AS registered,
        datetime(started_at, 'unixepoch') AS started,
        datetime(ended_at, 'unixepoch') AS ended,
        CAST(coalesce((SELECT data FROM value WHERE key = arguments AND typeof(arguments) = 'integer'), arguments) AS TEXT)
            AS arguments,
        CAST(coalesce((SELECT data FROM value WHERE key = result AND typeof(result) = 'integer'), result) AS TEXT)
            AS result,
        CAST(coalesce((SELECT data FROM value WHERE key = error AND typeof(error) = 'integer'), error) AS TEXT) AS error
    FROM invocation
    JOIN task ON task.key = invocation.task
    JOIN runner AS home ON home.key = invocation.home
    JOIN status ON status.code = invocation.status;
"""


def _first() -> tuple[str, ...]:
    rows = ", ".join(f"({code}, '{status}', {int(RULES[status].final)})" for status, code in CODES.items())
    tallies = ", ".join(f"({code}, 0)" for code in sorted(FINAL))
    statements = [statement.strip() for statement in _FIRST.split(";") if statement.strip()]
    return (
        f"PRAGMA application_id = {APPLICATION_ID}",
        *statements,
        f"INSERT INTO status VALUES {rows}",
        f"INSERT INTO tally VALUES {tallies}",
    )


_NAMED: Final = (
    "CASE WHEN json_valid(CAST(entry AS TEXT)) THEN json_extract(CAST(entry AS TEXT), '$.invocation_id') END"
)
_OF_RUNNER: Final = "rtrim(named, '0123456789')"
_JOURNALS_NAME: Final = (
    "ALTER TABLE journal ADD COLUMN named INTEGER",
    # What the entries of earlier versions name, as text, and then as the key that `names.Names` would find.
    f"CREATE TEMP TABLE naming AS SELECT invocation, position, {_NAMED} AS named FROM journal",
    f"""
    UPDATE journal SET named = found.key FROM (
        SELECT invocation, position, coalesce(
            (SELECT other_id.key FROM other_id WHERE id = named),
            (SELECT min(runner.key) << {NUMBER_BITS} FROM runner WHERE runner_id || '-' = {_OF_RUNNER})
                + CAST(substr(named, length({_OF_RUNNER}) + 1) AS INTEGER)
        ) AS key FROM naming WHERE named IS NOT NULL
    ) AS found WHERE journal.invocation = found.invocation AND journal.position = found.position""",
    "DROP TABLE naming",
    "CREATE INDEX journal_named ON journal (named) WHERE named IS NOT NULL",
    f"INSERT INTO tally VALUES ({NOT_COUNTED}, 0)",
    # What is spared is in no purge's way: it is not among what has ended, in the order in which that is forgotten.
    "DROP INDEX invocation_ended",
    "CREATE INDEX invocation_living ON invocation (home) WHERE ended_at IS NULL",
    f"CREATE INDEX invocation_ended ON invocation (ended_at) WHERE {FORGETTABLE}",
    f"CREATE INDEX invocation_spared ON invocation (ended_at) WHERE {IS_SPARED}",
)
_STAMP: Final = (
    "CREATE TABLE stamp (number INTEGER PRIMARY KEY, value BLOB NOT NULL) STRICT",
    "INSERT INTO stamp VALUES (1, randomblob(16))",
)
"""See `stamp`."""

_WINDOWS: Final = ("ALTER TABLE bucket ADD COLUMN starts BLOB",)
"""For rates that hold in any window: the moments of their starts. `full_at` is when nothing of a row matters any more."""

_RUNNERS_STOP: Final = (
    "ALTER TABLE runner ADD COLUMN stopping INTEGER NOT NULL DEFAULT 0",
    # Of earlier versions: a duplicate has nothing to be answered with where what stands was forgotten.
    "DELETE FROM stand WHERE NOT EXISTS (SELECT 1 FROM invocation WHERE invocation.id = stand.invocation)",
)

_BELONGS: Final = ("CREATE TABLE app (app_id TEXT NOT NULL) STRICT",)
"""One row: whose file this is. A file of an earlier version belongs to the app that opens it first."""

_SINCE: Final = (
    "ALTER TABLE invocation ADD COLUMN since REAL",
    "ALTER TABLE stand ADD COLUMN since REAL",
    "CREATE INDEX stand_since ON stand (since) WHERE since IS NOT NULL",
)
"""When what waits was put off, by the clock of the moment until which it was: see `recovery`."""

_WAITS: Final = (
    """
    CREATE TABLE IF NOT EXISTS wait (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        waiter INTEGER NOT NULL UNIQUE,
        revision INTEGER NOT NULL,
        home INTEGER NOT NULL,
        refusable INTEGER NOT NULL,
        seen INTEGER NOT NULL,
        needs TEXT NOT NULL
    ) STRICT""",
)
"""See `waits`. What is said of an earlier revision is no longer true, and is swept away some time."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    _first(),
    _JOURNALS_NAME,
    _WINDOWS,
    _RUNNERS_STOP,
    _BELONGS,
    _STAMP,
    _SINCE,
    _WAITS,
)
"""What makes version n + 1 out of version n, from nothing on. Steps that have been released never change."""

VERSION: Final = len(MIGRATIONS)
TABLES: Final = frozenset(
    {
        "status",
        "task",
        "other_id",
        "runner",
        "invocation",
        "value",
        "journal",
        "stand",
        "fire",
        "permit",
        "bucket",
        "tally",
        "app",
        "stamp",
        "wait",
    }
)
