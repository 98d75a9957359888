"""What keeps a file small, whole and copied; and what becomes of many commits at once."""

import asyncio
import os
import sqlite3
import threading

import pytest
from sqlite_tools import NOW, TASK, end, new, opened, start, temporary_directory, whole_life

from pynenc_async.errors import StoreError
from pynenc_async.status import InvocationStatus as S
from pynenc_async.store.sqlite import SqliteStore, checkpoints, recovery
from pynenc_async.store.sqlite.inspecting import size_of
from pynenc_async.store.values import Query, Retention

LARGE = b'"' + b"x" * 50_000 + b'"'


@pytest.fixture
def path():
    with temporary_directory() as directory:
        yield f"{directory}/jobs.db"


def rows(path, question):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


# -- many at once ------------------------------------------------------------------------------------------------------


async def test_commits_that_wait_share_a_transaction(path):
    async with opened(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # what all of them wait for
        before = store.statistics()
        asked = []

        async def commit(number):
            asked.append(number)
            return await store.commit([new(f"ada-{number}")])

        commits = [asyncio.ensure_future(commit(number)) for number in range(1, 501)]
        while len(asked) < len(commits):
            await asyncio.sleep(0)
        assert not any(commit.done() for commit in commits)
        other.execute("ROLLBACK")
        other.close()
        assert await asyncio.gather(*commits) == [[None]] * 500
        after = store.statistics()
        assert after["changes"] - before["changes"] == 500
        assert after["transactions"] - before["transactions"] <= 2, "that of the first, and that of all that came then"
        assert await store.counts() == {"registered": 500}


async def test_a_commit_that_cannot_be_made_fails_alone():
    with temporary_directory() as directory:
        async with opened(f"{directory}/jobs.db") as store:
            bad = new("ada-2", priority=1 << 70)  # more than SQLite can hold
            first, second, third = await asyncio.gather(
                store.commit([new("ada-1")]), store.commit([bad]), store.commit([new("ada-3")]), return_exceptions=True
            )
            assert (first, third) == ([None], [None])
            assert isinstance(second, StoreError)
            assert "nothing was changed" in str(second)
            assert await store.counts() == {"registered": 2}


@pytest.mark.slow
async def test_a_commit_of_more_than_one_statement_can_hold():
    with temporary_directory() as directory:
        async with opened(f"{directory}/jobs.db") as store:
            for count in (1, 2, 3, 5, 511, 512, 513, 2000):
                names = [f"r{count}-{number}" for number in range(1, count + 1)]
                assert await store.commit([new(name) for name in names]) == [None] * count
                assert await store.commit([start(name) for name in names]) == [None] * count
                assert await store.commit([end(name) for name in names]) == [None] * count
            assert await store.counts() == {"success": 1 + 2 + 3 + 5 + 511 + 512 + 513 + 2000}
            assert not await store.check()


async def test_who_is_cancelled_while_waiting_leaves_the_others_alone():
    with temporary_directory() as directory:
        async with opened(f"{directory}/jobs.db") as store:
            many = 20  # few would be committed at once, and nobody would wait
            batches = [[new(f"ada-{many * batch + number}") for number in range(1, many + 1)] for batch in range(100)]
            waiting = [asyncio.ensure_future(store.commit(batch)) for batch in batches]
            await asyncio.sleep(0)
            for one in waiting[::2]:
                one.cancel()
            done = await asyncio.gather(*waiting, return_exceptions=True)
            assert done[1::2] == [[None] * many] * 50
            assert all(isinstance(one, asyncio.CancelledError) for one in done[::2])
            assert (await store.counts())["registered"] >= 50 * many


# -- large values ------------------------------------------------------------------------------------------------------


async def test_large_values_are_kept_once_and_go_with_the_last_that_needs_them():
    with temporary_directory() as directory:
        path = f"{directory}/jobs.db"
        async with opened(path) as store:
            for number in (1, 2):
                name = f"ada-{number}"
                await store.commit([new(name, arguments=LARGE), start(name), end(name, result=LARGE, at=NOW + number)])
            await store.commit([new("ada-3", arguments=LARGE)])
            assert store.peek("ada-1").arguments == store.peek("ada-2").result == LARGE
            assert rows(path, "SELECT uses, length(data) FROM value") == [(5, len(LARGE))]
            page = await store.find(Query(text="XXXXX"))
            assert [row.arguments for row in page.invocations] == [LARGE] * 3
            assert await store.purge(Retention(count=0), now=NOW) == 2
            assert rows(path, "SELECT uses FROM value") == [(1,)]
            await store.commit([start("ada-3"), end("ada-3")])
            assert await store.purge(Retention(count=0), now=NOW) == 1
            assert rows(path, "SELECT * FROM value") == []
            assert not await store.check()


async def test_a_refused_change_leaves_no_large_value():
    with temporary_directory() as directory:
        path = f"{directory}/jobs.db"
        async with opened(path) as store:
            await store.commit([new("ada-1")])
            await store.commit([new("ada-1", arguments=LARGE), new("ada-2")])
            assert rows(path, "SELECT * FROM value") == []


# -- purging, the log, copies ------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_is_purged_gives_its_room_back():
    with temporary_directory() as directory:
        path = f"{directory}/jobs.db"
        async with opened(path) as store:
            for number in range(1, 301):
                await store.commit(whole_life(f"ada-{number}", arguments=os.urandom(8_000)))
            await store.commit([new("ada-301")])
            used = rows(path, "PRAGMA page_count")[0][0]
            assert await store.purge(Retention(bytes=1_000_000), now=NOW, limit=100_000) > 100
            assert rows(path, "PRAGMA page_count")[0][0] * 4096 <= 1_000_000 < used * 4096
            assert rows(path, "PRAGMA freelist_count")[0][0] == 0
            assert not await store.check()
        assert size_of(path) <= 1_000_000


@pytest.mark.slow
async def test_others_write_between_the_pieces_of_a_purge():
    with temporary_directory() as directory:
        async with opened(f"{directory}/jobs.db") as store:
            for first in range(1, 3001, 500):
                numbers = range(first, first + 500)
                await store.commit([change for number in numbers for change in whole_life(f"ada-{number}")])
            purge = asyncio.ensure_future(store.purge(Retention(count=0), now=NOW))
            written = 0
            while not purge.done():
                written += 1
                await store.commit([new(f"bob-{written}")])
                await asyncio.sleep(0)  # what is committed at once does not wait for the loop
            assert (await purge, await store.counts()) == (3000, {"registered": written})
            assert written > 1


@pytest.mark.soak  # how far checkpoints lag behind depends on what else the machine does
async def test_the_log_does_not_grow_without_bound_under_a_steady_load(monkeypatch):
    monkeypatch.setattr(checkpoints, "_PAGES", 50)
    monkeypatch.setattr(checkpoints, "_MANY_FRAMES", 300)
    with temporary_directory() as directory:
        path = f"{directory}/jobs.db"
        async with opened(path) as store:

            async def load(name):
                for number in range(1, 151):
                    await store.commit(whole_life(f"{name}-{number}", arguments=os.urandom(2000)))

            await asyncio.gather(*(load(f"r{number}") for number in range(8)))
            # In all, far more was written than the log ever held.
            assert size_of(f"{path}-wal") < 1500 * 4096
            assert await store.counts() == {"success": 1200}


@pytest.mark.slow
async def test_a_long_log_begins_anew_though_nothing_of_it_was_left_when_it_was_looked_at(monkeypatch):
    monkeypatch.setattr(checkpoints, "_PAGES", 100)
    monkeypatch.setattr(checkpoints, "_MANY_FRAMES", 50)
    with temporary_directory() as directory:
        async with opened(f"{directory}/jobs.db") as store:
            checkpointer = store._engine.checkpointer
            for number in range(1, 101):
                await store.commit(whole_life(f"ada-{number}"))
                if checkpointer.needs_help:
                    break
                await asyncio.to_thread(threading.Event().wait, 0.01)  # so that all is brought in before there is more
            assert checkpointer.needs_help
            await store.commit(whole_life("bob-1"))
            assert not checkpointer.needs_help


@pytest.mark.slow
async def test_a_backup_is_a_whole_store_made_while_all_goes_on():
    with temporary_directory() as directory:
        path, copy = f"{directory}/jobs.db", f"{directory}/copy.db"
        async with opened(path) as store:
            for number in range(1, 200):
                await store.commit(whole_life(f"ada-{number}", arguments=LARGE))
            await store.commit([new("ada-200"), start("ada-200")])
            backup = asyncio.ensure_future(store.backup(copy))
            written = 200
            while not backup.done():
                written += 1
                await store.commit([new(f"ada-{written}")])
                await asyncio.sleep(0)  # what is committed at once does not wait for the loop
            await backup
            with pytest.raises(StoreError, match="it exists; name a new file"):
                await store.backup(copy)
            async with opened(copy, "bob") as restored:
                assert not await restored.check()
                assert (await restored.counts())["success"] == 199
                found = await restored.recover([TASK], now=NOW)
                assert (found.runners, found.interrupted) == (("ada",), 1)
            assert store.alive
            assert (await store.counts())["running"] == 1, "the original does not know of it"


async def test_a_million_that_a_dead_runner_has_left_are_taken_over_piece_by_piece(monkeypatch):
    monkeypatch.setattr(recovery, "_PIECE", 10)  # of fifty, for a test
    monkeypatch.setattr(recovery, "_LEFT", recovery._LEFT.replace("LIMIT 5000", "LIMIT 10"))
    with temporary_directory() as directory:
        path = f"{directory}/jobs.db"
        async with opened(path, "ada") as heir:
            async with opened(path, "bob") as dying:
                names = [f"bob-{number}" for number in range(1, 51)]
                await dying.commit([new(name, max_crashes=1 + (name == "bob-7")) for name in names])
                await dying.commit([new("bob-51", task_id="tests.other")])
                await dying.commit([start(name) for name in names[:20]])
            found = await heir.recover([TASK], now=NOW)
            assert (found.runners, found.adopted, found.interrupted) == (("bob",), 31, 1)
            assert sorted(found.poisoned) == sorted(set(names[:20]) - {"bob-7"})
            assert found.parked == {"tests.other": 1}
            assert {row.home for row in await heir.load(names)} == {"ada"}
            assert (await heir.recover(["tests.other"], now=NOW)).adopted == 1
            assert (await heir.backlog([TASK, "tests.other"], now=NOW)).ready == {0: 32}


async def test_what_was_asked_in_one_loop_is_asked_in_the_next():
    with temporary_directory() as directory:
        store = SqliteStore(f"{directory}/jobs.db")

        await store.open("ada")
        await store.commit(whole_life("ada-1"))
        await asyncio.to_thread(asyncio.run, store.commit(whole_life("ada-2")))
        assert await store.counts() == {"success": 2}
        assert [step.status for step in store.history("ada-2")] == [S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]
        await store.close()
