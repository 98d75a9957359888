"""What is stored is for its owner alone, and what a stranger's file says leads nowhere."""

import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest
from sqlite_tools import NOW, TASK, new, opened, temporary_directory, whole_life

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes, links and pipes of POSIX")


@pytest.fixture
def directory():
    with temporary_directory() as directory:
        yield Path(directory)


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(directory):
    return {one.name.split("-runner-")[-1]: stat.S_IMODE(one.stat().st_mode) for one in directory.iterdir()}


async def test_nothing_is_for_others_whatever_the_umask(directory, umask):
    async with opened(directory / "jobs.db") as store:
        await store.commit(whole_life("ada-1", arguments=b'"hunter2"'))
        await store.backup(directory / "copy.db")
        names = {"jobs.db", "jobs.db-wal", "jobs.db-shm", "copy.db", store._opened.lease.name}
        assert modes(directory) == dict.fromkeys(names, 0o600)
    async with opened(directory / "copy.db"):
        assert set(modes(directory).values()) == {0o600}


async def test_who_may_use_the_file_may_see_who_lives(directory):
    async with opened(directory / "jobs.db"):
        pass
    (directory / "jobs.db").chmod(0o660)
    async with opened(directory / "jobs.db"):
        assert len(list(directory.glob("*-runner-*"))) == 1
        assert {stat.S_IMODE(one.stat().st_mode) for one in directory.iterdir()} == {0o660}


@pytest.mark.parametrize("kind", ["file", "link", "pipe"])
@pytest.mark.parametrize("name", ["/../victim", "../victim", "0123456789abcdef", "", None, "7", "a\0b"], ids=repr)
async def test_the_name_of_a_lease_in_a_strangers_file_is_no_part_of_a_path(directory, name, kind):
    async with opened(directory / "jobs.db", "bob") as store:
        await store.commit([new("bob-1")])
    connection = sqlite3.connect(directory / "jobs.db", isolation_level=None)
    connection.execute("UPDATE runner SET state = 0, lease = ?, port = 99999999, token = x'00'", (name,))
    connection.close()
    (directory / "jobs.db-runner-").mkdir()
    (directory / "victim").write_bytes(b"precious")
    lease = directory / "jobs.db-runner-0123456789abcdef"
    if kind == "link":
        lease.symlink_to(directory / "victim")
    elif kind == "pipe":
        os.mkfifo(lease)
    else:
        lease.write_bytes(b"x" * 1000)
    async with opened(directory / "jobs.db", "ada") as store:
        await store.recover([TASK], now=NOW)
        assert await store.commit(whole_life("ada-1")) == [None] * 3
    assert (directory / "victim").read_bytes() == b"precious"
