"""Few changes are committed at once, in the loop's thread, and only where nothing can hold it up."""

import asyncio
import math
import sqlite3
from contextlib import closing

import pytest
from sqlite_tools import asked, end, new, opened, start, temporary_directory

from pynenc_async.store.sqlite import Durability, SqliteOptions, at_once
from pynenc_async.store.values import RefusalKind


@pytest.mark.parametrize("durability", list(Durability))
async def test_few_changes_are_committed_at_once_unless_that_waits_for_the_disk(durability, monkeypatch):
    monkeypatch.setattr(at_once, "_SLOW_SECONDS", math.inf)  # how quick this machine is, is not asked
    with temporary_directory() as directory:
        async with opened(SqliteOptions(path=f"{directory}/jobs.db", durability=durability)) as store:
            done_at_once = []
            for number in range(1, 101):
                commit = await asked(store, [new(f"ada-{number}")])
                done_at_once.append(commit.done())
                assert await commit == [None]
            assert set(done_at_once[1:]) == {durability is Durability.NORMAL}, "the first may find nothing prepared"
            many = await asked(store, [new(f"ada-{number}") for number in range(200, 300)])
            assert not many.done()
            assert await many == [None] * 100


async def test_a_lock_of_somebody_else_is_not_waited_for_in_the_loop():
    with temporary_directory() as directory:
        path = f"{directory}/jobs.db"
        async with opened(path) as store:
            await store.commit([new("ada-1")])
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                commit = await asked(store, [new("ada-2")])
                for _ in range(10):
                    await asyncio.sleep(0)
                    assert not commit.done()
                other.execute("ROLLBACK")
            assert await commit == [None]
            assert store.peek("ada-2").revision == 1


async def test_what_is_not_as_planned_is_told_as_ever():
    with temporary_directory() as directory:
        async with opened(f"{directory}/jobs.db") as store:
            await store.commit([new("ada-1"), start("ada-1")])
            refusals = await store.commit([start("ada-1"), end("ada-1"), start("ada-9", revision=1)])
            assert [refusal and refusal.kind for refusal in refusals] == [RefusalKind.STALE, None, RefusalKind.UNKNOWN]
            assert store.peek("ada-1").ended_at is not None


async def test_few_changes_do_not_overtake_many():
    with temporary_directory() as directory:
        async with opened(f"{directory}/jobs.db") as store:
            for first in range(1, 2_000, 100):
                names = [f"ada-{number}" for number in range(first, first + 100)]
                many = await asked(store, list(map(new, names)))
                assert await store.commit([start(names[-1])]) == [None]
                assert await many == [None] * 100
