"""When an event loop ends, threads wait for nothing in it any more, and nothing begins there that would be cut off."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from importlib.util import find_spec

import pytest
from helpers import S, statuses

from pynenc_async import InvocationCancelledError, InvocationError, InvocationNotFinalError, Pynenc
from pynenc_async.invocation import thread_wait
from pynenc_async.store.memory import MemoryHub, MemoryStore

PATIENCE = 30.0


def close_without_a_word(main):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False
    loop.close()


def run_on_uvloop(main):
    import uvloop  # noqa: PLC0415  # an extra

    uvloop.run(main())


WAYS = [
    pytest.param(lambda main: asyncio.run(main()), id="asyncio.run"),
    pytest.param(run_on_uvloop, id="uvloop", marks=pytest.mark.skipif(not find_spec("uvloop"), reason="no uvloop")),
    pytest.param(close_without_a_word, id="closed"),
]
ENDS = pytest.mark.parametrize("run", WAYS)
IN_ORDER = pytest.mark.parametrize("run", WAYS[:2])


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    """Of a loop that is closed without a word, a thread notices when it looks."""
    monkeypatch.setattr(thread_wait, "LOOK_SECONDS", 0.02)


@pytest.fixture(params=["memory", "store"])
def app(request):
    hub = MemoryHub()
    store = {} if request.param == "memory" else {"store": lambda: MemoryStore(hub)}
    return Pynenc(max_concurrency=2, max_threads=2, **store)


def until(condition):
    """Wait in a coroutine for what a thread does."""

    async def look():
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.001)

    return look()


class Waiting(threading.Thread):
    """A thread that waits for something, and keeps what it was told."""

    def __init__(self, wait):
        super().__init__(daemon=True)
        self._wait = wait
        self.has_begun = False
        self.told = None

    def run(self):
        self.has_begun = True
        try:
            self.told = self._wait()
        except BaseException as error:
            self.told = error

    def until_told(self):
        self.join(PATIENCE)
        assert not self.is_alive(), "it waits for ever"
        return self.told


# -- threads -----------------------------------------------------------------------------------------------------------


@ENDS
@pytest.mark.parametrize("of", ["running", "queued", "delayed"])
@pytest.mark.parametrize("what", ["result", "exception", "timeout", "group"])
def test_a_thread_that_waits_is_told(app, run, what, of):
    @app.task
    async def endless(i=0):
        await asyncio.Event().wait()

    ways = {
        "result": lambda task: task().result,
        "exception": lambda task: task().exception(),
        "timeout": lambda task: task().blocking_result(3_600),
        "group": lambda task: next(iter(task.parallelize(((i,) for i in range(3)), window=2).results)),
    }
    waiting = []

    async def main():
        await app.start()
        task = endless.with_options(delay=3_600) if of == "delayed" else endless
        if of == "queued":
            running = [endless(), endless()]
            await until(lambda: all(handle.status is S.RUNNING for handle in running))
        waiting.append(Waiting(lambda: ways[what](task)))
        waiting[0].start()
        await until(lambda: waiting[0].has_begun)
        await asyncio.sleep(0.05)

    run(main)
    told = waiting[0].until_told()
    if isinstance(told, InvocationCancelledError):
        assert of == "running"  # and was cancelled, as everything that runs in a loop that ends in order
    else:
        assert isinstance(told, InvocationNotFinalError)


@IN_ORDER
def test_a_loop_that_waits_for_its_threads_comes_to_its_end(app, run):
    told = []

    @app.task
    async def endless():
        await asyncio.Event().wait()

    def wait_for(handle):
        try:
            return handle.result
        except InvocationError as error:
            told.append(error)

    async def main():
        await app.start()
        asyncio.get_running_loop().run_in_executor(None, wait_for, endless())
        await asyncio.sleep(0.05)

    ending = Waiting(lambda: run(main))
    ending.start()
    ending.until_told()
    assert len(told) == 1


@ENDS
def test_a_body_in_a_thread_that_waits_is_told(app, run):
    told, done = [], threading.Event()

    @app.task
    async def endless():
        await asyncio.Event().wait()

    @app.task
    def work():
        try:
            return endless().result
        except BaseException as error:
            told.append(error)
            raise
        finally:
            done.set()

    async def main():
        await app.start()
        handle = work()
        await until(lambda: handle.status is S.PAUSED)

    run(main)
    assert done.wait(PATIENCE), "it waits for ever"
    assert isinstance(told[0], InvocationError | asyncio.CancelledError)


@IN_ORDER
def test_what_has_ended_can_be_read_while_the_loop_ends(app, run):
    release, read = threading.Event(), []

    @app.task
    async def job(i: int) -> int:
        return i

    def wait_for(handle):
        release.wait(PATIENCE)
        read.append(handle.result)

    async def main():
        await app.start()
        handle = job(5)
        await handle
        asyncio.get_running_loop().run_in_executor(None, wait_for, handle)
        asyncio.get_running_loop().call_soon(release.set)

    run(main)
    assert read == [5]


@pytest.mark.slow
def test_a_program_ends_whose_thread_waits_in_a_loop_that_was_left_alone(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import asyncio, threading
        from pynenc_async import InvocationNotFinalError, Pynenc

        app = Pynenc()

        @app.task
        async def endless():
            await asyncio.Event().wait()

        def wait(handle):
            try:
                handle.result
            except InvocationNotFinalError as error:
                print("told:", error)

        async def main():
            threading.Thread(target=wait, args=(endless(),)).start()
            await asyncio.sleep(0.1)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        """)
    )
    command = [sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603
    assert "told:" in done.stdout, done.stderr


# -- the queue ---------------------------------------------------------------------------------------------------------


class Loops:
    """In which loop each body began."""

    def __init__(self):
        self.now = 0
        self.began = []

    def begin(self, name):
        self.began.append((name, self.now))


@pytest.mark.slow
@IN_ORDER
@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_what_is_queued_waits_for_the_next_loop_while_others_clean_up(run, seconds):
    app, loops, handles = Pynenc(max_concurrency=1), Loops(), []

    @app.task
    async def job(i: int) -> int:
        loops.begin(i)
        if i == 0:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(seconds / 2)
        return i

    async def bystander():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(seconds)
            handles.append(job(10))  # also what is called now
            await asyncio.sleep(0)

    async def first():
        handles.extend(job(i) for i in range(3))
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        asyncio.create_task(bystander())  # noqa: RUF006
        await until(lambda: loops.began)

    async def second():
        loops.now = 1
        await app.start()
        assert [await handle for handle in handles[1:]] == [1, 2, 10]
        await app.shutdown()

    run(first)
    assert [handle.status for handle in handles] == [S.CANCELLED, *3 * [S.REGISTERED]]
    run(second)
    assert loops.began == [(0, 0), (1, 1), (2, 1), (10, 1)]


@IN_ORDER
def test_what_waits_for_a_thread_waits_for_the_next_loop(run):
    app, loops, handles = Pynenc(max_threads=1), Loops(), []
    gate = threading.Event()

    @app.task
    def job(i: int) -> int:
        loops.begin(i)
        if i == 0:
            gate.wait(PATIENCE)
        return i

    async def first():
        app._dispatcher.threads.ahead = 2  # as it is where bodies are short
        handles.extend(job(i) for i in range(4))
        await until(lambda: loops.began)

    async def second():
        loops.now = 1
        gate.set()
        await app.start()
        assert [await handle for handle in handles[1:]] == [1, 2, 3]
        await app.shutdown()

    run(first)
    assert all(handle.status is S.REGISTERED or statuses(handle)[-1] is S.REROUTED for handle in handles[1:])
    run(second)
    assert loops.began == [(0, 0), (1, 1), (2, 1), (3, 1)]


async def test_one_body_that_others_have_cancelled_is_no_end_of_the_loop():
    app = Pynenc(max_concurrency=1)
    tasks = []

    @app.task
    async def job(i: int) -> int:
        if i == 0:
            tasks.append(asyncio.current_task())
            await asyncio.Event().wait()
        return i

    async with app:
        handles = [job(i) for i in range(3)]
        await until(lambda: tasks)
        tasks[0].cancel()
        assert [await handle for handle in handles[1:]] == [1, 2]
        assert await handles[0].wait(0)


async def test_an_app_goes_on_after_everything_was_cancelled_in_a_loop_that_goes_on():
    app = Pynenc(max_concurrency=1)
    begun = []

    @app.task
    async def job(i: int) -> int:
        begun.append(i)
        if i == 0:
            await asyncio.Event().wait()
        return i

    async def whole():
        handles = [job(i) for i in range(3)]
        await until(lambda: begun)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return handles

    handles = await whole()
    assert [await handle for handle in handles[1:]] == [1, 2]
    await app.shutdown()
