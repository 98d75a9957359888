"""Whether the log beside a file is the log of that file.

**Theory of operation.** SQLite takes whatever `-wal` lies beside a file for changes to it. So the file is stamped: a random
value is written as everything is, into the log first, and with that into the file. Whoever reads the file alone finds a
stamp in it that is also read through the log. What is found there no more, for the file had a later one already, is the
stamp of another file: of an earlier state, or of a backup, which begins with a stamp of its own.

Stamps are made when a store is opened, before the log is brought in, and when it begins anew. A copy that other tools
have made has the stamp of its moment, and is known as another file once there is a later one. What VACUUM has made has
its pages in other places, and with a log of before makes no sense at all: that is for the other checks.
"""

import os
import sqlite3
from contextlib import closing
from typing import Final
from urllib.parse import quote

Stamps = list[tuple[int, bytes]]
"""With their numbers, the last one first."""

_READ: Final = "SELECT number, value FROM stamp ORDER BY number DESC"
_PRIMARY: Final = 0xFF
_NONSENSE: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""No such table, or no table at all."""
_SIZE: Final = 16
_LOOKS: Final = 3
"""So often in a row the file must have another's stamp: somebody may just be writing to the page that has it."""


def is_of_another_file(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the log that the connection reads does not belong to the file. In a transaction, as of one moment.

    False where nobody can tell: files of earlier versions have no stamp.
    """
    # Read first: as long as the transaction reads, nothing is brought into the file that it does not see.
    through_log = _read_through_log(connection)
    for _ in range(_LOOKS):
        in_file = _read_file(path)
        if not in_file or in_file[0] in through_log:
            return False
    return True


def renew(connection: sqlite3.Connection, path: str) -> None:
    """Make a stamp, and forget those that are older than the one in the file. Outside of a transaction."""
    in_file = _read_file(path)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if in_file and in_file[0] in connection.execute(_READ).fetchall():
            connection.execute("DELETE FROM stamp WHERE number < ?", (in_file[0][0],))
        connection.execute("INSERT INTO stamp (value) VALUES (?)", (os.urandom(_SIZE),))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def begin(connection: sqlite3.Connection) -> None:
    """Stamp a copy as a file of its own."""
    connection.execute("UPDATE stamp SET value = randomblob(?)", (_SIZE,))


def _read_through_log(connection: sqlite3.Connection) -> Stamps:
    """Return the stamps; none where the file, which alone can be read, makes no sense with the log."""
    try:
        return connection.execute(_READ).fetchall()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & _PRIMARY in _NONSENSE:
            return []
        raise


def _read_file(path: str) -> Stamps:
    """Return the stamps in the file itself, without its log; none where it cannot be read so: half of a log may be in it.

    SQLite is asked all the same, which knows not to close a file on which this process has locks.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(os.fsencode(path))}?immutable=1", uri=True)) as connection:
            return connection.execute(_READ).fetchall()
    except sqlite3.Error:
        return []
