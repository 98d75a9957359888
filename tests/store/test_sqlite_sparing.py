"""What a living workflow needs is spared, at no cost for those who forget, and in files of earlier versions as well."""

import sqlite3

import pytest
from sqlite_tools import NOW, end, new, opened, start, temporary_directory, whole_life

from pynenc_async.store.sqlite import connecting, purging, schema, sparing
from pynenc_async.store.values import JournalChange, Query, Retention


@pytest.fixture
def path():
    with temporary_directory() as directory:
        yield f"{directory}/jobs.db"


async def lives_on(store, names):
    """Let a workflow be under way that has asked for all these."""
    entries = tuple(b"%d" % number for number in range(len(names)))
    journal = JournalChange(invocation_id="ada-1", index=0, entries=entries, names=tuple(names))
    await store.commit([new("ada-1"), start("ada-1"), journal])


@pytest.mark.slow
async def test_what_is_spared_is_met_once_and_is_in_no_later_purges_way(path):
    names = [f"ada-{number}" for number in range(2, 402)]
    async with opened(path) as store:
        await lives_on(store, names)
        for number, name in enumerate(names):
            await store.commit([new(name), start(name), end(name, at=NOW + number)])
        work = []

        async def purge(count):
            work.clear()
            connection = store._opened.session.connection
            connection.set_progress_handler(lambda: work.append(1), 10)  # called after so many instructions of SQLite
            forgotten = await store.purge(Retention(count=count), now=NOW)
            connection.set_progress_handler(None, 0)
            return forgotten

        assert await purge(0) == 0
        at_first = len(work)
        await store.commit(whole_life("ada-1000"))
        assert await purge(0) == 1
        assert len(work) < at_first / 4
        page = await store.find(Query(ended_from=NOW, limit=1_000, newest_first=False))
        assert [row.invocation_id for row in page.invocations] == names
        await store.commit([end("ada-1", at=NOW + 1_000)])
        assert await purge(1) == 400
        assert not await store.check()


@pytest.mark.parametrize("question", [purging._OLDEST, sparing._NAMERS, sparing._LET_GO])
async def test_what_a_purge_asks_is_answered_from_an_index(path, question):
    async with opened(path) as store:
        values = ("[]",) if "json_each" in question else (NOW, 10)
        plan = store._opened.session.connection.execute(f"EXPLAIN QUERY PLAN {question}", values).fetchall()
        scans = [line for *_, line in plan if line.startswith("SCAN") and "json_each" not in line]
        assert not scans, plan
        assert any("INDEX" in line or "PRIMARY KEY" in line for *_, line in plan)


async def test_what_the_journals_of_an_earlier_version_name_is_spared(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connecting.migrate(connection, schema.MIGRATIONS[:1])
    base = 7 << schema.NUMBER_BITS
    connection.execute("INSERT INTO task VALUES (1, 'tests.work')")
    connection.execute("INSERT INTO other_id VALUES (3, 'theirs')")
    connection.execute("INSERT INTO runner (key, runner_id, state) VALUES (7, 'old', 1), (8, 'old', 2)")
    row = (
        "INSERT INTO invocation (id, task, home, status, revision, attempt, retries, max_crashes, priority, registered_at, "
        "ended_at, taken, options, history, arguments) VALUES (?, 1, 7, ?, 1, 1, 0, 3, 0, 1.0, ?, 1, x'', x'', x'7b7d')"
    )
    connection.executemany(
        row, [(base | 1, 7, None), *((key, 13, 2.0) for key in (base | 12, base | 13, base | 14, 3))]
    )
    connection.execute("UPDATE tally SET ended = 4 WHERE status = 13")
    entries = [
        b'{"index":0,"kind":"call","task_id":"tests.work","invocation_id":"old-12"}',
        b'{"index":1,"kind":"random","value":0.5}',
        b"\xff no JSON at all",
        b'{"index":3,"kind":"call","invocation_id":"theirs"}',
        b'{"index":4,"kind":"call","invocation_id":"nobody-1"}',
        b'{"index":5,"kind":"call","invocation_id":"old-14"}',
    ]
    connection.executemany(
        "INSERT INTO journal (invocation, position, entry) VALUES (?, ?, ?)",
        [(base | 1, position, entry) for position, entry in enumerate(entries)],
    )
    connection.close()
    async with opened(path) as store:
        assert await store.purge(Retention(count=0), now=NOW) == 1
        page = await store.find(Query())
        assert {row.invocation_id for row in page.invocations} == {"old-1", "old-12", "old-14", "theirs"}
        assert await store.journal("old-1") == entries
