"""Whatever one of many raises, the others are served: those told to stop, news, duties towards the store, its jobs."""

import asyncio
import threading

import pytest
from durable_world import World
from helpers import S, assert_at_rest
from test_durable_workflows import Shop, interrupted

from pynenc_async import Pynenc, StoreError
from pynenc_async.record import Record
from pynenc_async.scheduler.agenda import Agenda
from pynenc_async.scheduler.backlog import Backlog
from pynenc_async.scheduler.grace import Grace
from pynenc_async.store.sqlite import SqliteStore
from pynenc_async.store.sqlite.worker import Worker
from pynenc_async.testing import VirtualLoop


def logged(caplog, words):
    return sum(words in record.getMessage() for record in caplog.records)


def refuse_first(serve):
    """Return what raises at its first call, and serves from then on."""
    calls = []

    def served(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise LookupError("the first")
        return serve(*arguments)

    return served


async def test_news_that_cannot_be_told_hold_up_no_others(caplog):
    told = []
    backlog = Backlog(refuse_first(told.append))
    for news in range(3):
        backlog.put(news)
    backlog.work_off()
    assert told == [1, 2]
    assert logged(caplog, "telling what has happened failed") == 1


@pytest.mark.virtual
async def test_one_that_cannot_be_abandoned_holds_up_no_others(caplog):
    app, loop = Pynenc(), asyncio.get_running_loop()

    @app.task(cancel_grace=1)
    async def work(n: int) -> None:
        await asyncio.Event().wait()

    records = {n: Record(work, (n,), n, None, None, 0.0) for n in range(4)}
    overdue = []
    agenda = Agenda(lambda _when, _kind, call: call.make(), lambda *_: True)
    agenda.bind(loop.time, loop.call_later)
    grace = Grace(agenda, records.get, refuse_first(lambda record: overdue.append(record._number)))
    for numbers in ((0, 1), (2, 3)):
        told = [records[number] for number in numbers]
        for record in told:
            record.need_more().told_at = agenda.now()
        grace.begin(told, agenda.now())
        await asyncio.sleep(2)
    assert overdue == [1, 2, 3]
    assert logged(caplog, "did not stop failed") == 1


async def test_an_attendant_that_is_cancelled_alone_begins_anew():
    world = World()
    apps = [world.app(), world.app()]

    async def wait(name: str) -> str:
        await gate.wait()
        return name

    gate = asyncio.Event()
    tasks = [app.task(wait) for app in apps]
    async with apps[0], apps[1]:
        for task in asyncio.all_tasks():
            if task.get_name() == "pynenc-attendant":
                task.cancel()
        invocation = tasks[0]("done")
        await invocation.accepted()
        (found,) = (await apps[1].find(task=tasks[1])).invocations
        gate.set()
        assert await found == "done"
        for app in apps:
            await assert_at_rest(app)


def test_a_journal_that_cannot_be_read_fails_its_own_workflow_alone():
    world, shop = World(), Shop()
    interrupted(world, shop, until=lambda _: shop.effects["charge"] == 1)

    def before(name, _changes):
        if name == "journal":
            raise LookupError("no journal today")

    async def main():
        async with world.app(before=before) as app:
            order, charge, _ = shop.make(app)
            page = await app.find(task=order)
            with pytest.raises(Exception, match="no journal today"):
                await page.invocations[0]
            assert await charge("a", "b") == "paid a b"

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    assert [row.status for row in world.rows() if row.task_id.endswith("order")] == [S.FAILED]


async def test_a_job_that_breaks_a_thread_of_the_store_is_answered_and_the_next_is_served():
    worker = Worker("breaks", refuse_first(lambda jobs: [(job, job.work, None) for job in jobs]), most=1)
    worker.start()
    with pytest.raises(StoreError, match="LookupError: the first"):
        await worker.ask(1)
    assert await worker.ask(2) == 2
    worker.stop()


async def test_a_bell_that_raises_is_rung_again(tmp_path, caplog):
    rung = threading.Event()
    ada, bob = SqliteStore(str(tmp_path / "jobs.db")), SqliteStore(str(tmp_path / "jobs.db"))
    ada.listen(refuse_first(rung.set))
    await ada.open("ada")
    await bob.open("bob")
    while not rung.is_set():  # several rings in a moment are one
        await bob.announce_stop()
    assert ada.alive
    await bob.close()
    await ada.close()
    assert logged(caplog, "telling that something may have changed") == 1
