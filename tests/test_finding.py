"""`app.find` and `app.invocations`: statuses and tasks by name, texts as they are, pages that are never empty for nothing."""

from contextlib import asynccontextmanager

import pytest
from helpers import S

from pynenc_async import Pynenc


@asynccontextmanager
async def shop(url):
    """An app with two invocations that succeeded, and one that failed."""
    async with Pynenc(url) as app:

        @app.task
        async def bill(text):
            if text == "fail":
                raise ValueError("no such order")
            return text

        @app.task
        async def ship(text):
            return len(text)

        for invocation in (bill("a"), bill("fail"), ship("b")):
            await invocation.wait()
            invocation.exception()
        yield app, bill, ship


@pytest.fixture(params=["memory://", "sqlite", "sync://"])
def url(request, tmp_path):
    return f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else request.param


async def texts(app, **conditions):
    return [one.arguments.values[0] for one in (await app.find(newest_first=False, **conditions)).invocations]


@pytest.mark.parametrize("status", ["failed", "FAILED", S.FAILED, ["failed"], {S.FAILED, "cancelled"}])
async def test_a_status_is_a_member_or_its_name(url, status):
    async with shop(url) as (app, _, _):
        assert await texts(app, status=status) == ["fail"]
        assert [one.status for one in app.invocations(status=status)] in ([S.FAILED], [])


async def test_invocations_takes_the_name_of_a_status():
    async with shop("memory://") as (app, bill, _):
        assert [one.arguments.values[0] for one in app.invocations(status="failed")] == ["fail"]
        assert len(app.invocations(status=["failed", "success"], task="bill")) == 2
        assert len(app.invocations(task=bill.task_id)) == 2


@pytest.mark.parametrize("status", ["faild", ["success", "faild"]])
async def test_a_misspelt_status_is_an_error_that_names_the_right_one(url, status):
    async with shop(url) as (app, _, _):
        with pytest.raises(ValueError, match="status='faild' is no status; did you mean 'failed'"):
            await app.find(status=status)
        with pytest.raises(ValueError, match="did you mean 'failed'"):
            app.invocations(status=status)


@pytest.mark.parametrize("status", [3, [None], object()])
async def test_what_is_no_status_at_all_is_an_error(url, status):
    async with shop(url) as (app, _, _):
        with pytest.raises(ValueError, match="is no status"):
            await app.find(status=status)


async def test_a_task_is_itself_or_its_id_or_its_name(url):
    async with shop(url) as (app, bill, _):
        for task in (bill, bill.task_id, "bill", bill.with_options(priority=3)):
            assert await texts(app, task=task) == ["a", "fail"]
        assert await texts(app, task="ship") == ["b"]


async def test_a_misspelt_task_is_an_error_that_names_the_right_one(url):
    async with shop(url) as (app, _, _):
        with pytest.raises(ValueError, match="task='bil' is no task of this app; did you mean 'bill'"):
            await app.find(task="bil")
        with pytest.raises(ValueError, match="did you mean 'bill'"):
            app.invocations(task="bil")


async def test_a_name_that_several_tasks_have_is_an_error_that_names_them(url):
    async with shop(url) as (app, bill, _):

        class Other:
            @staticmethod
            async def bill(): ...

        other = app.task(Other.bill)
        with pytest.raises(ValueError, match=r"may be each of .*; give the whole id") as caught:
            await app.find(task="bill")
        assert bill.task_id in str(caught.value)
        assert other.task_id in str(caught.value)


@pytest.mark.parametrize(
    "text", ['say "hi"', "C:\\temp", "one\ntwo", "tab\there", "it's", "100%", "a_b", "Grüße", "日本", "\x01", "</b>"]
)
async def test_a_text_is_found_as_it_is(url, text):
    async with Pynenc(url) as app:

        @app.task
        async def note(text):
            return None

        await note(f"before {text} after")
        await note("something else")
        assert await texts(app, text=text) == [f"before {text} after"]
        assert await texts(app, text=text.upper()) == [f"before {text} after"]
        assert await texts(app, text=f"{text} never written") == []


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
async def test_pages_hold_everything_once_and_the_last_says_so(url, limit, newest_first):
    async with shop(url) as (app, _, _):
        found, after = [], None
        while True:
            page = await app.find(limit=limit, after=after, newest_first=newest_first)
            assert page.invocations
            found += [one.arguments.values[0] for one in page.invocations]
            after = page.next
            if after is None:
                break
        assert found == (["b", "fail", "a"] if newest_first else ["a", "fail", "b"])


async def test_an_empty_page_is_the_last(url):
    async with shop(url) as (app, _, _):
        page = await app.find(status="cancelled")
        assert (page.invocations, page.next) == ((), None)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "10", True, None])
async def test_a_limit_that_is_no_number_of_one_or_more_is_an_error(url, limit):
    async with shop(url) as (app, _, _):
        with pytest.raises(ValueError, match="limit must be an integer of 1 or more"):
            await app.find(limit=limit)


async def test_a_page_goes_on_though_what_it_ended_with_was_forgotten():
    app = Pynenc(retain_count=3)

    @app.task
    async def work(number): ...

    for number in range(6):
        await work(number)
    first = await app.find(limit=1, newest_first=False)
    await work(6)
    rest = await app.find(after=first.next, newest_first=False)
    assert [one.arguments.values[0] for one in rest.invocations] == [4, 5, 6]
