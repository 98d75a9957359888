"""Waits in the file: swept away when they are over, and known to files of earlier versions."""

import sqlite3

import pytest
from sqlite_tools import NOW, S, end, new, opened, start

from pynenc_async.store.sqlite import connecting, schema, waits
from pynenc_async.store.values import Awaited, Need, Retention, Transition, WaitChange


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


def wait(name, *others, revision=3):
    return WaitChange(invocation_id=name, revision=revision, needs=tuple((Awaited(other),) for other in others))


def step(name, status, revision):
    return Transition(invocation_id=name, revision=revision, steps=((status, NOW, 1, ""),))


def rows(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT count(*) FROM wait").fetchone()[0]
    finally:
        connection.close()


async def test_a_purge_sweeps_away_what_is_over_and_nothing_else(path):
    names = [f"ada-{number}" for number in range(1, 6)]
    async with opened(path) as store:
        await store.commit([change for name in names for change in (new(name), start(name))])
        await store.commit([wait(name, "ada-1") for name in names])
        await store.commit([end("ada-3"), step("ada-4", S.PAUSED, 3), step("ada-5", S.PAUSED, 3)])
        await store.commit([wait("ada-5", "ada-1", revision=4)])
        assert rows(path) == 5
        await store.purge(Retention(), now=NOW)
        assert rows(path) == 3
        assert {one.invocation_id for one in await store.waits(names)} == {"ada-1", "ada-2", "ada-5"}


async def test_a_wait_is_answered_from_the_keys_of_the_tables_alone(path):
    async with opened(path) as store:
        for question in (waits._STANDINGS, waits._HOLDERS):
            plan = store._opened.session.connection.execute(f"EXPLAIN QUERY PLAN {question}", ("[]",)).fetchall()
            assert not [line for *_, line in plan if line.startswith("SCAN") and "json_each" not in line], plan


async def test_a_file_of_the_version_before_takes_waits_when_it_has_been_opened(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connecting.migrate(connection, schema.MIGRATIONS[: schema.MIGRATIONS.index(schema._WAITS)])
    connection.close()
    async with opened(path) as store:
        await store.commit([new("ada-1"), start("ada-1"), new("ada-2"), start("ada-2")])
        await store.commit([wait("ada-1", "ada-2"), wait("ada-2", "ada-1")])
        found = {one.invocation_id: one.needs for one in await store.waits(["ada-1"])}
        assert found == {"ada-1": (Need(("ada-2",)),), "ada-2": (Need(("ada-1",)),)}
