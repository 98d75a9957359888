"""`task.blocking_submit`: a submission for a thread that may block, as that of a `def` endpoint."""

import asyncio

import pytest

from pynenc_async import AppNotStartedError, DirectCallError, Pynenc


def an_app(url: str, **options):
    app = Pynenc(url, **options)
    gate = asyncio.Event()

    @app.task
    async def work(x: int) -> int:
        return x

    @app.task
    async def hold() -> None:
        await gate.wait()

    return app, work, hold, gate


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/jobs.db"])
async def test_it_returns_what_the_store_holds(tmp_path, url):
    app, work, _, _ = an_app(url.format(tmp_path))
    async with app:
        invocation = await asyncio.to_thread(work.blocking_submit, 3)
        assert await invocation == 3


async def test_it_waits_for_room():
    app, work, hold, gate = an_app("memory://", max_concurrency=1, max_queued=1)
    async with app:
        held = hold()
        await asyncio.sleep(0)
        waiting = work(1)
        asked = asyncio.ensure_future(asyncio.to_thread(work.blocking_submit, 2))
        await asyncio.to_thread(int)  # whatever the thread has said is heard by now
        assert not asked.done()
        gate.set()
        assert [await (await asked), await waiting] == [2, 1]
        await held


async def test_a_body_in_a_thread_gives_its_slot_away_meanwhile():
    app, work, _, _ = an_app("memory://", max_concurrency=1, max_queued=1)

    @app.task
    def submit_two() -> list[int]:
        return [work.blocking_submit(1).result, work.blocking_submit(2).result]

    async with app:
        assert await submit_two() == [1, 2]


async def test_its_invocation_is_a_child_of_the_body():
    app, work, _, _ = an_app("memory://")

    @app.task
    def submit_one() -> str | None:
        return work.blocking_submit(1).parent_invocation_id

    async with app:
        parent = submit_one()
        assert await parent == parent.invocation_id


async def test_it_is_refused_in_an_event_loop_and_nothing_is_submitted():
    app, work, _, _ = an_app("memory://")
    async with app:
        with pytest.raises(DirectCallError, match=r"await task\.submit"):
            work.blocking_submit(1)
        assert not app.statistics().by_status


async def test_wrong_arguments_are_refused_before_any_waiting():
    app, work, _, _ = an_app("memory://")
    async with app:
        with pytest.raises(TypeError):
            await asyncio.to_thread(work.blocking_submit, 1, 2)


def test_without_a_running_app_it_says_so():
    _, work, _, _ = an_app("memory://")
    with pytest.raises(AppNotStartedError):
        work.blocking_submit(1)


def test_in_sync_mode_it_is_a_call():
    _, work, _, _ = an_app("sync://")
    assert work.blocking_submit(1).result == 1
