"""The files beside the database are a part of it: what is done to them is noticed, told, and costs as little as can be."""

import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
from sqlite_tools import NOW, new, opened, run_python, temporary_directory, whole_life

from pynenc_async.errors import StoreError
from pynenc_async.store.sqlite import SqliteStore, checkpoints
from pynenc_async.store.values import Retention

TICK = 0.05
"""Seconds between two looks, with the shortest of leases."""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="what is open cannot be removed there")


@pytest.fixture
def path():
    with temporary_directory() as directory:
        yield f"{directory}/jobs.db"


def replace(path):
    shutil.copy(path, f"{path}.other")
    Path(f"{path}.other").replace(path)


def rename(path):
    Path(path).rename(f"{path}-x")


def cut_off(path):
    with Path(path).open("r+b") as file:
        file.truncate(0)


def overwrite(path, name="copy.db"):
    Path(path).write_bytes(Path(path).with_name(name).read_bytes())


def overwrite_with_rubbish(path):
    Path(path).write_bytes(b"rubbish " * 10_000)


LOSSES = {
    "the log is removed": ("-wal", os.unlink, "jobs.db-wal, .* was removed or renamed while it was open"),
    "the log is renamed": ("-wal", rename, "jobs.db-wal, .* was removed or renamed while it was open"),
    "the log is replaced": ("-wal", replace, "jobs.db-wal, .* was replaced while it was open"),
    "the log is cut off": ("-wal", cut_off, "jobs.db-wal, .* was cut off while it was open"),
    "the index is removed": ("-shm", os.unlink, "jobs.db-shm, .* was removed or renamed while it was open"),
    "the index is replaced": ("-shm", replace, "jobs.db-shm, .* was replaced while it was open"),
    "the file is removed": ("", os.unlink, "the file was removed, renamed or replaced while it was open"),
    "the file is replaced": ("", replace, "the file was removed, renamed or replaced while it was open"),
    "a backup is written over it": ("", overwrite, "the file was overwritten while it was open"),
    "rubbish is written over it": ("", overwrite_with_rubbish, "the file was overwritten while it was open"),
}
HARMLESS = [
    "the log is removed",
    "the log is renamed",
    "the index is removed",
    "the index is replaced",
]


async def lose(store, path, loss):
    """Do it to an open store, and go on until it says so; return what it says, and what it has accepted."""
    suffix, do, match = LOSSES[loss]
    accepted = [f"ada-{number}" for number in range(1, 51)]
    for name in accepted:
        await store.commit(whole_life(name))
    await store.backup(str(Path(path).with_name("copy.db")))
    do(path + suffix)
    with pytest.raises(StoreError, match=match) as caught:
        await commit_for_ever(store, accepted)
    return caught.value, accepted


async def commit_for_ever(store, accepted):
    while True:
        name = f"ada-{len(accepted) + 1}"
        await store.commit([new(name)])
        accepted.append(name)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
async def test_what_is_done_to_the_files_of_an_open_store_is_told_and_what_to_do(path, loss):
    async with opened(path, lease_seconds=3 * TICK) as store:
        error, _ = await lose(store, path, loss)
        assert not error.temporary
        assert path in str(error)
        assert "nothing is written any more" in str(error)
        assert "Stop all that use it" in str(error)


@pytest.mark.parametrize("loss", HARMLESS)
async def test_what_was_accepted_before_it_was_noticed_is_there_afterwards(path, loss):
    async with opened(path, lease_seconds=3 * TICK) as store:
        _, accepted = await lose(store, path, loss)
    async with opened(path, "bob") as store:
        assert {row.invocation_id for row in await store.load(accepted)} == set(accepted)
        assert not await store.check()


@pytest.mark.parametrize("loss", ["a backup is written over it", "the log is replaced"])
async def test_who_notices_it_writes_nothing_over_what_is_there_now(path, loss):
    async with opened(path, lease_seconds=3 * TICK) as store:
        await lose(store, path, loss)
        there = Path(path).read_bytes()
    assert Path(path).read_bytes() == there


async def test_a_log_that_was_put_back_is_gone_on_with(path):
    async with opened(path, lease_seconds=3 * TICK) as store:
        _, accepted = await lose(store, path, "the log is renamed")
        Path(f"{path}-wal-x").rename(f"{path}-wal")
        name = f"ada-{len(accepted) + 1}"
        while True:
            try:
                await store.commit([new(name)])
                break
            except StoreError as error:
                assert "jobs.db-wal" in str(error)  # noqa: PT017  until the next look
        assert len(await store.load([*accepted, name])) == len(accepted) + 1


# -- what is no harm -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_sqlite_does_to_its_files_alarms_nobody(path, monkeypatch):
    monkeypatch.setattr(checkpoints, "_PAGES", 20)
    monkeypatch.setattr(checkpoints, "_MANY_FRAMES", 100)
    async with opened(path, lease_seconds=3 * TICK) as store, opened(path, "bob", lease_seconds=3 * TICK):
        for number in range(1, 301):
            await store.commit(whole_life(f"ada-{number}", arguments=os.urandom(3_000)))
            if number % 20 == 0:
                others = sqlite3.connect(path)
                others.execute("SELECT count(*) FROM invocation").fetchall()
                others.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if number % 40 else 'RESTART'})").fetchall()
                others.close()
                async with opened(path, f"r{number}"):
                    await store.purge(Retention(count=10, bytes=100_000), now=NOW)
        assert not await store.check()


CLOSES = """
import sqlite3
connection = sqlite3.connect(sys.argv[1])
say(connection.execute("SELECT count(*) FROM invocation").fetchone()[0])
connection.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="locks of an open file description are to be had there")
async def test_a_copy_made_by_other_code_of_this_process_leaves_the_logs_where_they_are(path):
    """By the rules of POSIX, who closes a file gives up all locks that his process has on it."""
    async with opened(path) as store:
        await store.commit(whole_life("ada-1"))
        for suffix in ("", "-wal", "-shm"):
            Path(path + suffix).read_bytes()
        run_python(CLOSES, path)
        assert Path(f"{path}-wal").exists()
        assert Path(f"{path}-shm").exists()
        await store.commit(whole_life("ada-2"))
        assert run_python(CLOSES, path) == "2\n"
    assert list(Path(path).parent.iterdir()) == [Path(path)]


@pytest.mark.slow
async def test_two_stores_of_one_process_on_one_file_let_go_of_it_one_after_the_other(path):
    first, second = SqliteStore(path), SqliteStore(path)
    await first.open("ada")
    await second.open("bob")
    await first.close()
    await second.commit(whole_life("bob-1"))
    run_python(CLOSES, path)
    assert Path(f"{path}-wal").exists()
    await second.close()
    assert list(Path(path).parent.iterdir()) == [Path(path)]
