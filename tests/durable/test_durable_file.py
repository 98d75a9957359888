"""The same code on a file: `Pynenc("sqlite:///jobs.db")`."""

import asyncio
import dataclasses
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from helpers import S, statuses

from pynenc_async import InvocationNotFoundError, Pynenc, PynencError, StoreError


@dataclasses.dataclass
class Order:
    item: str
    due: datetime


def make(path, **options):
    app = Pynenc(f"sqlite:///{path}", **options)

    @app.task
    async def double(order: Order, count: int = 2) -> Order:
        return Order(order.item * count, order.due)

    @app.task
    def in_thread(x: int) -> int:
        return x + 1

    @app.task
    async def fail(text: str) -> None:
        raise ValueError(text)

    @app.task
    async def tree(depth: int) -> int:
        return 1 if depth == 0 else sum([await tree(depth - 1), await tree(depth - 1)])

    return app, double, in_thread, fail, tree


async def test_arguments_and_results_come_back_as_they_are_annotated(tmp_path):
    order = Order("ab", datetime(2026, 1, 2, tzinfo=UTC))
    app, double, *_ = make(tmp_path / "jobs.db")
    async with app:
        handle = double(order)
        assert await handle == Order("abab", order.due)
    again, *_ = make(tmp_path / "jobs.db")
    async with again:
        found = again.get_invocation(handle.invocation_id)
        assert await found == Order("abab", order.due)
        assert found.arguments.kwargs == {"order": order, "count": 2}
        assert statuses(found) == [S.REGISTERED, S.PENDING, S.RUNNING, S.SUCCESS]
        with pytest.raises(InvocationNotFoundError):
            again.get_invocation("nobody-1")


async def test_failures_come_back_as_themselves(tmp_path):
    app, _, _, fail, _ = make(tmp_path / "jobs.db")
    async with app:
        handle = fail("boom")
        with pytest.raises(ValueError, match="boom"):
            await handle
    again, *_ = make(tmp_path / "jobs.db")
    async with again:
        with pytest.raises(ValueError, match="boom"):
            await again.get_invocation(handle.invocation_id)


async def test_bodies_in_threads_groups_and_trees(tmp_path):
    app, _, in_thread, _, tree = make(tmp_path / "jobs.db", max_concurrency=3)
    async with app:
        assert await in_thread(1) == 2
        assert await in_thread.parallelize([(x,) for x in range(50)]) == list(range(1, 51))
        assert await tree(4) == 16


@pytest.mark.slow
async def test_more_than_the_window_is_run_all_the_same_and_in_order(tmp_path):
    app = Pynenc(f"sqlite:///{tmp_path / 'jobs.db'}", store_window=10, max_concurrency=1)
    order = []

    @app.task
    async def note(x: int) -> int:
        order.append(x)
        return x

    async with app:
        handles = [note(x) for x in range(200)]
        urgent = note.with_options(priority=9)(-1)
        assert [await handle for handle in handles] == list(range(200))
        await urgent
    assert [x for x in order if x >= 0] == list(range(200))
    assert order.index(-1) < 60


async def test_invocations_are_found_by_what_is_known_of_them(tmp_path):
    app, _, in_thread, fail, _ = make(tmp_path / "jobs.db")
    async with app:
        handles = in_thread.parallelize([(x,) for x in range(7)])
        await handles
        first = handles.invocations[0].history[0].at - timedelta(seconds=1)
        with pytest.raises(ValueError, match="needle"):
            await fail("needle")
        page = await app.find(task=in_thread, limit=5)
        rest = await app.find(task=in_thread, limit=5, after=page.next)
        found = [handle.arguments.kwargs["x"] for handle in (*page.invocations, *rest.invocations)]
        assert found == [6, 5, 4, 3, 2, 1, 0]
        assert rest.next is None
        assert [handle.task.task_id for handle in (await app.find(text="NEEDLE")).invocations] == [fail.task_id]
        assert len((await app.find(status=S.FAILED, registered=(first, None))).invocations) == 1
        assert not (await app.find(registered=(None, first))).invocations


@pytest.mark.virtual
async def test_what_has_ended_long_ago_is_forgotten(tmp_path):
    app, _, in_thread, *_ = make(tmp_path / "jobs.db", store_retain_count=3, lease_seconds=0.1)
    async with app:
        await in_thread.parallelize([(x,) for x in range(20)])
        await asyncio.sleep(1)
        assert [handle.arguments.kwargs["x"] for handle in (await app.find()).invocations] == [19, 18, 17]


async def test_a_backup_is_a_store(tmp_path):
    app, _, in_thread, *_ = make(tmp_path / "jobs.db")
    async with app:
        handle = in_thread(1)
        await handle
        await app.backup(tmp_path / "copy.db")
    copy, *_ = make(tmp_path / "copy.db")
    async with copy:
        assert await copy.get_invocation(handle.invocation_id) == 2


async def test_an_app_in_memory_has_no_backup(tmp_path):
    app = Pynenc()
    async with app:
        with pytest.raises(PynencError, match="memory"):
            await app.backup(tmp_path / "copy.db")


async def test_a_file_of_something_else_is_refused_and_not_touched(tmp_path):
    path = tmp_path / "theirs.db"
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE theirs (x)")
    theirs.commit()
    theirs.close()
    before = path.read_bytes()
    app, *_ = make(path)
    with pytest.raises(StoreError, match=r"theirs\.db"):
        await app.start()
    assert path.read_bytes() == before


async def test_two_apps_of_one_process_share_a_file(tmp_path):
    one, _, in_thread, *_ = make(tmp_path / "jobs.db")
    other, *_ = make(tmp_path / "jobs.db")
    async with one, other:
        handle = in_thread.with_options(delay=0.05)(1)
        await handle.accepted()
        assert await other.get_invocation(handle.invocation_id) == 2
