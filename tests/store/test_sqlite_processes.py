"""Several processes on one file: real ones, that are killed, stopped, forked, and locked out."""

import asyncio
import os
import signal
import sqlite3
import time
from itertools import count
from pathlib import Path

import pytest
from helpers import leases_beside
from sqlite_tools import NOW, PATIENCE, TASK, Process, asked, end, new, opened, run_python, start, temporary_directory

from pynenc_async.errors import StoreError
from pynenc_async.status import InvocationStatus as S
from pynenc_async.store.sqlite import SqliteOptions, SqliteStore, lease
from pynenc_async.store.values import CancelRequest, Permit, Query, Recovery, Refusal, RefusalKind

STALE = [Refusal(RefusalKind.STALE)]

RUNNER = """
async def main():
    store = SqliteStore(sys.argv[1])
    await store.open(sys.argv[2], lease_seconds=float(sys.argv[3]))
    rung = asyncio.Event()
    loop = asyncio.get_running_loop()
    store.listen(lambda: loop.call_soon_threadsafe(rung.set))
    await store.commit([new(f"{sys.argv[2]}-1"), start(f"{sys.argv[2]}-1"), new(f"{sys.argv[2]}-2")])
    say("ready")
    while True:
        match await asyncio.to_thread(sys.stdin.readline):
            case "end\\n":
                say((await store.commit([end(f"{sys.argv[2]}-1")]))[0], store.alive)
            case "rung\\n":
                say(await asyncio.wait_for(rung.wait(), PATIENCE) and "rung")
            case "block\\n":
                say("blocking")
                sys.stdin.readline()
            case "close\\n":
                await store.close()
                say("closed")
            case "cancel\\n":
                say(await store.commit([CancelRequest(invocation_id="ada-1", reason="please")]))
asyncio.run(main())
"""


@pytest.fixture
def path():
    with temporary_directory() as directory:
        yield f"{directory}/jobs.db"


async def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.02)
    return found


async def renewed(path, process, times=2):
    """Wait until the process has renewed its lease, and has done so again."""
    moments = set()

    async def look():
        moments.update(until for pid, until in leases_beside(Path(path)) if pid == process.popen.pid)
        return len(moments) > times

    await until(look)


async def recovered(store):
    found = await store.recover([TASK], now=NOW)
    return found if found.runners else None


@pytest.mark.slow
def test_what_a_killed_process_had_is_taken_over_at_once_however_long_its_lease_is(path):
    async def main():
        async with opened(path) as store:
            with Process(RUNNER, path, "bob", 600) as bob:
                assert bob.read() == "ready"
                assert await store.recover([TASK], now=NOW) == Recovery(), "the living are left alone"
                bob.kill()
                found = await until(lambda: recovered(store))
            assert (found.runners, found.adopted, found.interrupted) == (("bob",), 2, 1)
            claimed = await store.claim([TASK], 10, now=NOW)
            assert [row.invocation_id for row in claimed] == ["bob-1", "bob-2"]
            assert [step.status for step in store.history("bob-1")][-2:] == [S.RUNNING_RECOVERY, S.REROUTED]
            assert not await store.check()
        assert not list(Path(path).parent.glob("*runner*"))

    asyncio.run(main())


def test_who_opened_the_file_by_a_link_is_alive_for_all_others(path):
    async def main():
        link = Path(path).parent / "elsewhere" / "link.db"
        link.parent.mkdir()
        link.symlink_to(path)
        async with opened(path) as ada, opened(link, "bob") as bob:
            await ada.commit([new("ada-1"), start("ada-1")])
            assert await bob.recover([TASK], now=NOW) == Recovery()
            assert await ada.recover([TASK], now=NOW) == Recovery()
        assert list(link.parent.iterdir()) == [link]

    asyncio.run(main())


def test_a_process_that_changes_its_directory_sees_the_living_all_the_same(path, monkeypatch):
    async def main():
        monkeypatch.chdir(Path(path).parent)
        early = SqliteStore("jobs.db")
        async with opened("jobs.db") as ada, opened("jobs.db", "bob") as bob:
            monkeypatch.chdir("/")
            await ada.commit([new("ada-1"), start("ada-1")])
            assert await bob.recover([TASK], now=NOW) == Recovery()
            await early.open("eve")
            assert early.peek("ada-1").status is S.RUNNING
            await early.close()
        assert list(Path(path).parent.iterdir()) == [Path(path)]

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_nothing_is_written_to_a_file_that_is_not_where_it_was_until_it_is_back(path, replaced):
    async def main():
        aside = f"{path}-aside"

        async def is_refused():
            try:
                await store.commit([new(f"ada-{next(numbers)}")])
            except StoreError as error:
                assert "removed, renamed or replaced" in str(error)  # noqa: PT017  whether it comes is the question
                return True
            return False

        async def is_taken():
            return not await is_refused()

        numbers = count(1)
        async with opened(path, lease_seconds=0.3) as store:
            Path(path).rename(aside)
            if replaced:
                Path(path).write_bytes(Path(aside).read_bytes())
            await until(is_refused)
            Path(aside).replace(path)
            await until(is_taken)
            Path(path).rename(aside)
            await until(is_refused)
        Path(aside).rename(path)
        async with opened(path) as store:
            assert not await store.check()

    asyncio.run(main())


@pytest.mark.skipif(lease.fcntl is None, reason="files are not locked here")
def test_who_looks_at_the_lease_of_the_dead_hides_its_death_from_nobody(path):
    left = Path(f"{path}-runner-bob")
    left.write_bytes(lease._CONTENT.pack(time.monotonic() + 600, 600.0, lease._boot(), 1))
    with left.open("rb") as looking:
        assert lease._lock(looking.fileno(), alone=False)
        assert lease.is_dead(path, "bob")
        lease.tidy(path, "bob")
        assert not left.exists()


@pytest.mark.slow
def test_a_start_in_vain_wakes_nobody(path):
    async def main():
        permits = (Permit("lane", 1),)
        async with opened(path) as ada, opened(path, "bob") as bob:
            await bob.commit([new("bob-1"), start("bob-1", permits=permits)])
            await ada.commit([new("ada-1")])
            rings = []
            bob.listen(lambda: rings.append(1))

            async def all_is_heard():
                rings.clear()
                await asyncio.sleep(1.5)  # longer than from one tick to the next
                return not rings

            await until(all_is_heard)
            before = ada.statistics()["transactions"]
            for _ in range(5):
                [refusal] = await ada.commit([start("ada-1", permits=permits)])
                assert refusal.kind is RefusalKind.LIMIT
                assert await ada.claim([TASK], 10, now=NOW) == []
                assert await ada.recover([TASK], now=NOW) == Recovery()
            assert ada.statistics()["transactions"] == before
            await asyncio.sleep(0.3)
            assert not rings
            await ada.commit([new("ada-2")])
            await until(lambda: asyncio.sleep(0, rings))

    asyncio.run(main())


def test_the_death_of_a_process_rings(path):
    async def main():
        rung = asyncio.Event()
        async with opened(path, lease_seconds=0.3) as store:
            loop = asyncio.get_running_loop()
            with Process(RUNNER, path, "bob", 600) as bob:
                assert bob.read() == "ready"
                bob.kill()
                store.listen(lambda: loop.call_soon_threadsafe(rung.set))
                for _ in range(5):  # what it has committed before it died may ring, too, but not so often
                    await asyncio.wait_for(rung.wait(), PATIENCE)
                    rung.clear()

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [True, False])
def test_who_dies_or_leaves_is_noticed_once_and_soon_however_long_its_lease_is(path, is_killed):
    async def main():
        async with opened(path, lease_seconds=600) as store:
            rung = asyncio.Event()
            loop = asyncio.get_running_loop()
            store.listen(lambda: loop.call_soon_threadsafe(rung.set))

            async def noticed():
                await asyncio.wait_for(rung.wait(), PATIENCE)
                rung.clear()
                return store.notices_death()

            with Process(RUNNER, path, "bob", 600) as bob:
                assert bob.read() == "ready"
                await asyncio.wait_for(rung.wait(), PATIENCE)  # its beginning
                assert not store.notices_death()
                if is_killed:
                    bob.kill()
                else:
                    bob.say("close")
                while not await noticed():
                    pass
                assert (await until(lambda: recovered(store))).runners == ("bob",)

    asyncio.run(main())


@pytest.mark.slow
def test_a_stopped_process_is_dead_when_its_lease_has_run_out_and_knows_it_when_it_goes_on(path):
    async def main():
        async with opened(path) as store:
            with Process(RUNNER, path, "bob", 0.6) as bob:
                assert bob.read() == "ready"
                bob.signal(signal.SIGSTOP)
                found = await until(lambda: recovered(store))
                assert (found.runners, found.adopted) == (("bob",), 2)
                bob.signal(signal.SIGCONT)
                bob.say("end")
                assert bob.read() == f"{STALE[0]} False"
                assert store.peek("bob-1").status is S.REROUTED

    asyncio.run(main())


@pytest.mark.slow
def test_a_blocked_event_loop_is_not_death(path):
    async def main():
        async with opened(path) as store:
            with Process(RUNNER, path, "bob", 60) as bob:
                assert bob.read() == "ready"
                bob.say("block")
                assert bob.read() == "blocking"
                await renewed(path, bob)
                assert not (await store.recover([TASK], now=NOW)).runners
                bob.say("go on")
                bob.say("end")
                assert bob.read() == "None True"

    asyncio.run(main())


@pytest.mark.slow
def test_a_busy_writer_is_not_death(path):
    """A transaction that others wait for keeps nobody from renewing a lease."""

    async def main():
        async with opened(path) as store:
            with Process(RUNNER, path, "bob", 60) as bob:
                assert bob.read() == "ready"
                other = sqlite3.connect(path, isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                bob.say("end")
                await renewed(path, bob)
                other.execute("COMMIT")
                other.close()
                assert not (await store.recover([TASK], now=NOW)).runners
                assert bob.read() == "None True"

    asyncio.run(main())


@pytest.mark.slow
def test_a_commit_rings_in_other_processes(path):
    async def main():
        async with opened(path, lease_seconds=600) as store:
            with Process(RUNNER, path, "bob", 600) as bob:
                assert bob.read() == "ready"
                bob.say("rung")
                await store.commit([new("ada-1")])
                assert bob.read() == "rung"
                bob.say("cancel")
                assert bob.read() == "[None]"
                (request,) = await store.cancel_requests()
                assert request == CancelRequest(invocation_id="ada-1", reason="please")

    asyncio.run(main())


@pytest.mark.slow
def test_four_processes_write_at_once_and_nothing_is_lost(path):
    code = """
    async def main():
        store = SqliteStore(sys.argv[1])
        await store.open(sys.argv[2])
        name = sys.argv[2]
        for number in range(1, 101):
            assert await store.commit([new(f"{name}-{number}"), start(f"{name}-{number}")]) == [None, None]
            assert await store.commit([end(f"{name}-{number}")]) == [None]
        await store.close()
        say("done")
    asyncio.run(main())
    """
    processes = [Process(code, path, name) for name in ("ada", "bob", "cyd", "dan")]
    for process in processes:
        with process:
            assert process.read() == "done"

    async def main():
        async with opened(path, "eve") as store:
            assert await store.counts() == {"success": 400}
            assert not await store.check()
            assert (await store.recover([TASK], now=NOW)).runners == ()

    asyncio.run(main())


def test_two_stores_in_one_process_are_two_runners(path):
    async def main():
        async with opened(path, "ada") as ada, opened(path, "bob") as bob:
            await ada.commit([new("ada-1"), start("ada-1")])
            assert (await bob.recover([TASK], now=NOW)).runners == ()
            assert await bob.commit([end("ada-1")]) == STALE
            assert await ada.commit([end("ada-1")]) == [None]
            await ada.close()
            assert bob.peek("ada-1").status is S.SUCCESS
            assert await bob.commit([new("bob-1")]) == [None]

    asyncio.run(main())


@pytest.mark.slow
def test_a_file_that_others_lock_is_waited_for_and_then_named(path):
    async def main():
        async with opened(SqliteOptions(path=path, busy_timeout=0.3)) as store, opened(path, "bob") as patient:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"another process .* more than 0.3 s .* nothing was changed") as error:
                await store.commit([new("ada-1"), new("ada-2")])
            assert error.value.temporary
            assert store.peek("ada-1") is None, "who only reads does not wait"
            waiting = await asked(patient, [new("bob-1"), new("bob-2")])
            assert not waiting.done()
            other.execute("COMMIT")
            other.close()
            assert await waiting == [None, None]

    asyncio.run(main())


def test_a_clock_that_jumps_kills_nobody(path, monkeypatch):
    async def main():
        async with opened(path, "ada") as ada, opened(path, "bob", lease_seconds=600) as bob:
            wall = time.time
            for jump in (3600.0, -3600.0):
                monkeypatch.setattr(time, "time", lambda jump=jump: wall() + jump)
                for _ in range(2):
                    assert (await ada.recover([TASK], now=time.time())).runners == ()
                    bob._opened.lease.renew()
            assert bob.alive

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_told_to_open_its_own_and_leaves_the_parents_alone(path):
    out = run_python(
        """
        import gc, warnings
        warnings.simplefilter("ignore")
        from pynenc_async.errors import StoreError
        async def main():
            store = SqliteStore(sys.argv[1])
            await store.open("ada", lease_seconds=600)
            await store.commit([new("ada-1")])
            child = os.fork()
            if child == 0:
                try:
                    store.peek("ada-1")
                except StoreError as error:
                    say(error)
                try:
                    await store.commit([])
                except StoreError as error:
                    say(error)
                say("child", store.alive)
                await store.close()
                del store
                gc.collect()
                os._exit(0)  # asyncio does not survive an orderly end of both
            os.waitpid(child, 0)
            leases = [name for name in os.listdir(os.path.dirname(sys.argv[1])) if "runner" in name]
            say("parent", store.alive, len(leases), await store.commit([new("ada-2")]))
            other = SqliteStore(sys.argv[1])
            await other.open("bob")
            say("others see", (await other.recover([TASK], now=NOW)).runners)
            await other.close()
            await store.close()
        asyncio.run(main())
        """,
        path,
    )
    lines = out.splitlines()
    assert all("opened before this process was forked; open the app after the fork" in line for line in lines[:2])
    assert lines[2:] == ["child False", "parent True 1 [None]", "others see ()"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_that_lives_on_does_not_keep_its_dead_parent_alive(path):
    async def main():
        async with opened(path) as store:
            code = """
            import warnings
            warnings.simplefilter("ignore")
            async def main():
                store = SqliteStore(sys.argv[1])
                await store.open("bob", lease_seconds=600)
                await store.commit([new("bob-1")])
                child = os.fork()
                if child == 0:
                    time.sleep(600)
                    os._exit(0)
                say(child)
                await asyncio.sleep(600)
            asyncio.run(main())
            """
            with Process(code, path) as parent:
                child = int(parent.read())
                try:
                    parent.kill()
                    assert (await until(lambda: recovered(store))).adopted == 1
                finally:
                    os.kill(child, signal.SIGKILL)

    asyncio.run(main())


@pytest.mark.slow
def test_what_a_full_disk_stops_goes_on_when_there_is_room(path):
    """A limit on the size of files stands for a small disk: SQLite cannot tell the difference."""
    out = run_python(
        """
        import resource, signal
        from pynenc_async.errors import StoreError
        from pynenc_async.store.sqlite.checkpoints import Checkpointer
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        brought_in, bring_in = [], Checkpointer._bring_in
        def noted(self):
            try:
                return bring_in(self)
            finally:
                brought_in.append("as much as there was room for")
        Checkpointer._bring_in = noted
        async def main():
            store = SqliteStore(sys.argv[1])
            await store.open("ada")
            assert await store.commit([new("ada-1"), start("ada-1")]) == [None, None]
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
            done, in_vain = 1, 0
            while in_vain < 5:  # at first it is the log that is full: it is brought in, and goes on
                before = len(brought_in)
                changes = [new(f"ada-{done + 1}", arguments=os.urandom(3000)), start(f"ada-{done + 1}")]
                try:
                    assert await store.commit(changes) == [None, None]
                except StoreError as error:
                    said = error.temporary, "Make room on the disk" in str(error), "nothing was changed" in str(error)
                    in_vain += 1
                    async with asyncio.timeout(PATIENCE):
                        while len(brought_in) == before:
                            await asyncio.sleep(0.001)
                else:
                    done, in_vain = done + 1, 0
            say(*said)
            assert store.peek(f"ada-{done + 1}") is None
            assert len((await store.find(Query(limit=10_000))).invocations) == done
            for _ in range(3):
                try:
                    await store.commit([new(f"ada-{done + 1}", arguments=os.urandom(9000))])
                    say("there was room")
                except StoreError as error:
                    assert error.temporary
            assert store.alive
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert await store.commit([end("ada-1"), new(f"ada-{done + 1}")]) == [None, None]
            say(await store.check(), done > 10)
            await store.close()
        asyncio.run(main())
        """,
        path,
    )
    assert out.splitlines() == ["True True True", "[] True"]


async def test_what_is_asked_before_and_after_says_what_to_do():
    with temporary_directory() as directory:
        store = SqliteStore(f"{directory}/jobs.db")
        for ask in (lambda: store.peek("ada-1"), lambda: store.history("ada-1"), lambda: store.standing("k", now=NOW)):
            with pytest.raises(StoreError, match=r"has not been opened; await open\(\) first"):
                ask()
        assert not store.alive
        await store.close()
        await store.open("ada")
        with pytest.raises(StoreError, match="opened twice"):
            await store.open("ada")
        await store.close()
        await store.close()
        with pytest.raises(StoreError, match="has been closed; open another SqliteStore"):
            await store.find(Query())
