"""Who opens a store: no log and no index of another file is met, and none that others still have is made anew."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from sqlite_tools import Process, opened, run_python, temporary_directory

from pynenc_async.errors import StoreError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="what is open cannot be removed there")


@pytest.fixture
def path():
    with temporary_directory() as directory:
        yield f"{directory}/jobs.db"


async def counts(path):
    async with opened(path, "bob") as store:
        assert not await store.check()
        return await store.counts()


# -- while others live ---------------------------------------------------------------------------------------------------

LIVES = """
async def main():
    async with opened(sys.argv[1]) as store:
        for number in range(1, 51):
            await store.commit(whole_life(f"ada-{number}"))
        say("lives")
        input()
asyncio.run(main())
"""


def replace(path):
    shutil.copy(path, f"{path}.other")
    Path(f"{path}.other").replace(path)


ACTS = ["removed", "replaced", "removed with all leases"]


@pytest.mark.slow
@pytest.mark.parametrize(("act", "suffix"), [("replaced", ""), *((act, s) for act in ACTS for s in ("-wal", "-shm"))])
async def test_nobody_opens_a_store_of_which_a_living_process_has_other_files(path, suffix, act):
    with Process(LIVES, path) as living:
        assert living.read() == "lives"
        living.signal(signal.SIGSTOP)  # it notices nothing
        (replace if act == "replaced" else os.unlink)(path + suffix)
        if act == "removed with all leases":
            for lease in Path(path).parent.glob("jobs.db-runner-*"):
                lease.unlink()
        what = f"jobs.db{suffix}, .* was" if suffix else "the file was"
        with pytest.raises(StoreError, match=f"{what} .* while it was open: .*process.* has it so.*End it first"):
            await counts(path)
        living.signal(signal.SIGCONT)
        living.say("end")
        living.popen.wait()
    if suffix:
        assert await counts(path) == {"success": 50}, "nothing was lost"


# -- after a crash -------------------------------------------------------------------------------------------------------

CRASHES = """
import sqlite3
from pynenc_async.store.sqlite import checkpoints
async def main():
    checkpoints._PAGES = 40
    store = SqliteStore("jobs.db")
    await store.open("ada")
    for number in range(1, 101):
        await store.commit(whole_life(f"ada-{number}", arguments=b"x" * 500))
    sqlite3.connect("jobs.db").backup(sqlite3.connect("other.db"))
    await store.backup("backup.db")
    for number in range(101, 101 + int(sys.argv[1])):
        await store.commit(whole_life(f"ada-{number}", arguments=b"x" * 500))
    os._exit(0)
asyncio.run(main())
"""


@pytest.fixture(scope="module", params=[1, 900], ids=["at once", "later"])  # when the log has begun anew, many times
def crashed(request):
    with temporary_directory() as directory:
        run_python(CRASHES, request.param, cwd=directory)
        assert (Path(directory) / "jobs.db-wal").stat().st_size
        yield Path(directory), 100 + request.param


@pytest.fixture
def again(crashed, path):
    """The same files elsewhere, and how many invocations they hold."""
    directory, count = crashed
    for name in ("jobs.db", "jobs.db-wal", "backup.db", "other.db"):
        shutil.copy(directory / name, Path(path).with_name(name))
    return path, count


@pytest.mark.slow
async def test_a_file_that_crashed_is_opened_with_its_own_log_wherever_they_are(again):
    path, count = again
    assert await counts(path) == {"success": count}


async def test_an_index_that_was_removed_after_a_crash_is_made_anew(crashed, path):
    directory, count = crashed
    shutil.copytree(directory, Path(path).parent, dirs_exist_ok=True)
    Path(f"{path}-shm").unlink()
    assert await counts(path) == {"success": count}


async def assert_old_log_is_not_met(path):
    before = Path(path).read_bytes()
    with pytest.raises(StoreError, match=r"jobs\.db-wal.*move jobs\.db-wal away"):
        await counts(path)
    assert Path(path).read_bytes() == before
    Path(f"{path}-wal").unlink()
    assert await counts(path) == {"success": 100}


async def test_a_backup_copied_over_a_file_that_crashed_does_not_meet_the_old_log(again):
    path, _ = again
    Path(path).write_bytes(Path(path).with_name("backup.db").read_bytes())
    await assert_old_log_is_not_met(path)


async def test_a_backup_moved_over_a_file_that_crashed_does_not_meet_the_old_log(again):
    path, _ = again
    Path(path).with_name("backup.db").replace(path)
    await assert_old_log_is_not_met(path)


@pytest.mark.parametrize(
    "crashed", [900], indirect=True
)  # it is known as another file when there was a checkpoint since
async def test_a_copy_of_another_tool_does_not_meet_the_old_log(again):
    path, _ = again
    Path(path).with_name("other.db").replace(path)
    await assert_old_log_is_not_met(path)
