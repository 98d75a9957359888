"""A full disk, a locked file, damage, other versions, a clock that jumps, a fork."""

import asyncio
import contextlib
import resource
import signal
import sqlite3

import pytest
from helpers import slow
from judge import PATIENCE, judge, pause

from pynenc_async import StoreError
from pynenc_async.store.sqlite import SqliteStore

pytestmark = pytest.mark.timeout(3 * PATIENCE)
SMALL_DISK = 256 * 1024


async def opens(path):
    store = SqliteStore(path)
    await store.open("looker0000", lease_seconds=5)
    await store.close()


@pytest.mark.slow
def test_while_the_disk_is_full_what_is_new_is_refused_and_all_goes_on_when_there_is_room(scene):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    victim = scene.start("--submit", 600, "--seconds", 0, "--insist", preexec_fn=small_files)
    scene.wait_for(3, "refused", by=victim)
    assert victim.poll() is None, scene.log(victim)
    resource.prlimit(victim.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert victim.wait(PATIENCE) == 0, scene.log(victim)
    figures = asyncio.run(judge(scene))
    assert figures["accepted"] == 600
    assert figures["crashed"] == 0


@pytest.mark.slow
def test_a_file_that_another_process_holds_locked_is_waited_for(scene):
    scene.finish("--submit", 3)
    holder = sqlite3.connect(scene.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    victim = scene.start("--submit", 5)
    pause(1)
    holder.execute("COMMIT")
    holder.close()
    assert victim.wait(PATIENCE) == 0, scene.log(victim)
    asyncio.run(judge(scene))


@pytest.mark.slow
def test_a_file_that_stays_locked_is_reported_in_words(scene):
    scene.finish("--submit", 3)
    holder = sqlite3.connect(scene.database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    victim = scene.start("--submit", 5, "--busy-timeout", 0.2)
    victim.wait(PATIENCE)
    holder.execute("COMMIT")
    holder.close()
    assert victim.returncode != 0
    assert "StoreError" in scene.log(victim)
    assert "lock" in scene.log(victim)


@pytest.mark.parametrize("damage", ["truncated", slow("header"), slow("emptied")])
def test_a_damaged_file_is_refused_and_left_as_it_is(scene, damage):
    scene.finish("--submit", 20)
    data = bytearray(scene.database.read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    elif damage == "header":
        data[:16] = b"not a database!!"
    else:
        data = bytearray(4096)
    scene.database.write_bytes(data)
    for name in ("-wal", "-shm"):
        scene.database.with_name(scene.database.name + name).unlink(missing_ok=True)
    with pytest.raises(StoreError, match=r"jobs\.db"):
        asyncio.run(opens(scene.database))
    assert scene.database.read_bytes() == bytes(data)


@pytest.mark.slow
def test_a_file_of_a_newer_version_is_refused(scene):
    scene.finish("--submit", 3)
    newer = sqlite3.connect(scene.database)
    newer.execute("PRAGMA user_version = 9999")
    newer.commit()
    newer.close()
    with pytest.raises(StoreError, match="newer"):
        asyncio.run(opens(scene.database))


@pytest.mark.slow
def test_a_flipped_bit_is_refused_or_leaves_the_rest_readable_and_never_gives_an_empty_store(scene):
    scene.finish("--submit", 40)
    whole = scene.database.read_bytes()
    for offset in range(4096, len(whole), len(whole) // 12):
        data = bytearray(whole)
        data[offset] ^= 0x40
        scene.database.write_bytes(data)
        for name in ("-wal", "-shm"):
            scene.database.with_name(scene.database.name + name).unlink(missing_ok=True)
        with contextlib.suppress(StoreError):
            asyncio.run(opens(scene.database))
        assert scene.database.stat().st_size >= len(whole)


@pytest.mark.slow
def test_a_fork_after_the_start_must_open_its_own(scene):
    program = f"""
import asyncio, os
from pynenc_async import Pynenc, StoreError, AppNotStartedError
app = Pynenc("sqlite:///{scene.database}")
@app.task
async def work(x: int) -> int:
    return x
async def main():
    async with app:
        await work(1)
        pid = os.fork()
        if pid == 0:
            try:
                app._dispatcher._session.store.peek("x-1")
            except StoreError as error:
                os._exit(7 if "fork" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert await work(2) == 2
asyncio.run(main())
"""
    done = scene.run(program)
    assert done.returncode == 0, done.stderr
    asyncio.run(judge(scene))


@pytest.mark.slow
@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_by_an_hour_kills_nobody(scene, hours):
    program = f"""
import asyncio, time
real, jumped = time.time, [0]
time.time = lambda: real() + jumped[0]
from pynenc_async import Pynenc
app = Pynenc("sqlite:///{scene.database}?lease=60")
@app.task
async def work(x: int) -> int:
    await asyncio.sleep(1.2)
    return x
async def main():
    async with app:
        first = work(1)
        await first.accepted()
        await asyncio.sleep(0.2)
        jumped[0] = {hours} * 3600
        assert await first == 1
        assert await work(2) == 2
        assert [step.status for step in first.history] == ["registered", "pending", "running", "success"]
asyncio.run(main())
"""
    done = scene.run(program)
    assert done.returncode == 0, done.stderr
