"""A backup is whole, or is not there; it is put in nothing's place, and in nobody's way."""

import os
from pathlib import Path

import pytest
from sqlite_tools import new, opened, run_python, temporary_directory, whole_life

from pynenc_async.errors import StoreError


@pytest.fixture
def directory():
    with temporary_directory() as directory:
        yield Path(directory)


def names(directory):
    return sorted(one.name for one in directory.iterdir() if "-runner-" not in one.name)


OPEN = ["jobs.db", "jobs.db-shm", "jobs.db-wal"]


async def refused(directory, target, match):
    """Ask for a backup that is refused; return what it says."""
    async with opened(directory / "jobs.db") as store:
        await store.commit(whole_life("ada-1"))
        before = names(directory)
        with pytest.raises(StoreError, match=match) as caught:
            await store.backup(target)
        assert store.alive
        assert await store.commit([new("ada-2")]) == [None]
        assert await store.counts() == {"success": 1, "registered": 1}
        assert names(directory) == before
    return str(caught.value)


@pytest.mark.parametrize("kind", ["file", "directory", "link", "link to nothing", "the store itself"])
async def test_it_replaces_nothing(directory, kind):
    target, elsewhere = directory / "copy.db", directory / "elsewhere"
    if kind == "file":
        target.write_bytes(b"precious")
    elif kind == "directory":
        target.mkdir()
    elif kind == "link":
        elsewhere.write_bytes(b"precious")
        target.symlink_to(elsewhere)
    elif kind == "link to nothing":
        target.symlink_to(elsewhere)
    else:
        target = directory / "jobs.db"
    told = await refused(directory, target, "it exists; name a new file")
    assert str(target) in told
    assert not elsewhere.exists() or elsewhere.read_bytes() == b"precious"


@pytest.mark.parametrize("parent", ["missing", "plain"])
async def test_it_needs_a_directory_and_names_the_one_that_is_missing(directory, parent):
    (directory / "plain").write_bytes(b"a file")
    told = await refused(directory, directory / parent / "copy.db", "there is no directory .*; make it first")
    assert str(directory / parent / "copy.db") in told


@pytest.mark.parametrize("log", ["-wal", "-journal"])
async def test_it_is_not_put_beside_the_log_of_another_file(directory, log):
    (directory / f"copy.db{log}").write_bytes(b"x" * 5000)
    assert f"copy.db{log}" in await refused(directory, directory / "copy.db", "would be taken for changes to it")


async def test_a_name_that_is_too_long_is_named_as_the_backups(directory):
    told = await refused(directory, directory / ("c" * 250), "cannot back up to")
    assert "c" * 250 in told


FULL = """
import resource, signal
from pynenc_async.errors import StoreError

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with opened("jobs.db") as store:
        for number in range(1, 301):
            await store.commit(whole_life(f"ada-{number}", arguments=b"x" * 3000))
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))  # as where the other disk is full
        try:
            await store.backup("copy.db")
        except StoreError as error:
            say(error.temporary, "cannot back up to copy.db" in str(error), "goes on by itself" in str(error))
        say(sorted(name for name in os.listdir() if name.startswith("copy")))
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        await store.backup("copy.db")
    async with opened("copy.db") as copy:
        say(await copy.counts(), await copy.check())

asyncio.run(main())
"""


@pytest.mark.slow
def test_where_there_is_no_room_nothing_is_left_and_it_can_be_asked_for_again(directory):
    pytest.importorskip("resource")
    assert run_python(FULL, cwd=directory).splitlines() == ["True True False", "[]", "{'success': 300} []"]


async def test_what_is_left_beside_it_when_it_is_made_is_nothing(directory):
    async with opened(directory / "jobs.db") as store:
        await store.commit(whole_life("ada-1"))
        await store.backup(os.fspath(directory / "copy.db"))
        assert names(directory) == ["copy.db", *OPEN]


async def test_of_a_file_that_was_replaced_no_backup_is_made(directory):
    async with opened(directory / "jobs.db", lease_seconds=0.3) as store:
        await store.commit(whole_life("ada-1"))
        (directory / "jobs.db").rename(directory / "moved.db")
        (directory / "jobs.db").write_bytes(b"another one")
        while store._engine.session.loss is None:
            await store.counts()
        with pytest.raises(StoreError, match="removed, renamed or replaced"):
            await store.backup(directory / "copy.db")
        (directory / "moved.db").replace(directory / "jobs.db")


@pytest.mark.slow
@pytest.mark.parametrize("log", ["-wal", "-journal"])
def test_no_new_store_is_made_beside_the_log_of_another_file(directory, log):
    (directory / f"jobs.db{log}").write_bytes(b"x" * 5000)
    program = "async def main():\n    async with opened('jobs.db'): pass\nasyncio.run(main())"
    with pytest.raises(AssertionError, match=f"the file is missing, but jobs.db{log} with changes to it is there"):
        run_python(program, cwd=directory)
    assert names(directory) == [f"jobs.db{log}"]
