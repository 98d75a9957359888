"""Each operation costs as much for each item, however many there are."""

import asyncio

import pytest
from work import growth_of

from pynenc_async import Pynenc, Rate, RetryError, emitted, report_progress, workflow

LINEAR = 5.4
"""For four times as many items. It leaves room for the logarithm of a heap, and none for a list that is searched each time."""


def operation(scenario):
    OPERATIONS.append(scenario)
    return scenario


OPERATIONS = []


@pytest.mark.slow
@pytest.mark.parametrize("scenario", OPERATIONS, ids=lambda one: one.__name__)
def test_four_times_as_many_cost_four_times_as_much(scenario):
    assert growth_of(scenario) < LINEAR


def tasks(**options):
    """An app, a task that ends at once, and one that never does by itself."""
    app = Pynenc(**options)

    @app.task
    async def quick(number=0):
        return number

    @app.task
    async def endless(number=0):
        await asyncio.Event().wait()

    return app, quick, endless


# -- calls and waits ---------------------------------------------------------------------------------------------------


@operation
async def awaited_one_by_one(n, counter):
    async with tasks()[0] as app:
        quick = app.task(no_op)
        with counter.counting():
            for _ in range(n):
                await quick()


async def no_op(*_):
    return None


async def suspends(*_):
    await asyncio.sleep(0)


@operation
async def gathered(n, counter):
    app, quick, _ = tasks()
    async with app:
        with counter.counting():
            await asyncio.gather(*[quick(number) for number in range(n)])


@operation
async def gathered_in_a_body(n, counter):
    app, _, _ = tasks()
    leaf = app.task(suspends)

    @app.task
    async def root():
        await asyncio.gather(*[leaf(number) for number in range(n)])

    async with app:
        with counter.counting():
            await root()


@operation
async def waiters_that_give_up(n, counter):
    app, _, endless = tasks()
    async with app:
        one = endless()
        waiters = [asyncio.ensure_future(one.wait()) for _ in range(n)]
        await asyncio.sleep(0)
        with counter.counting():
            for waiter in reversed(waiters):
                waiter.cancel()
            await asyncio.gather(*waiters, return_exceptions=True)
        await one.cancel()


@operation
async def waits_with_a_timeout(n, counter):
    app, _, endless = tasks()
    async with app:
        one = endless()
        with counter.counting():
            for _ in range(n):
                await one.wait(timeout=1)
        await one.cancel()


@operation
async def a_chain_of_calls(n, counter):
    app = Pynenc(max_concurrency=None)

    @app.task
    async def link(number):
        return await link(number + 1) if number < n else number

    async with app:
        with counter.counting():
            await link(0)


@operation
async def a_chain_over_data(n, counter):
    app = Pynenc(max_concurrency=None)

    @app.task
    async def link(name, rows, number):
        return await link(name, [*rows[1:], number], number + 1) if number < n else number

    async with app:
        with counter.counting():
            await link("x", [{"row": one} for one in range(50)], 0)


@operation
async def a_chain_that_is_awaited_late(n, counter):
    app = Pynenc(max_concurrency=None)

    @app.task
    async def link(number):
        if number < n:
            later = link(number + 1)
            for _ in range(n - number):
                await asyncio.sleep(1)
            await later

    async with app:
        root = link(0)
        await asyncio.sleep(0)
        with counter.counting():
            await asyncio.sleep(0)
        await root.cancel()


# -- groups ------------------------------------------------------------------------------------------------------------


def group_of(read, **options):
    async def scenario(n, counter):
        app, quick, _ = tasks()
        async with app:
            with counter.counting():
                await read(quick.parallelize([(number,) for number in range(n)], **options))

    return scenario


@operation
async def a_group_awaited(n, counter):
    await group_of(wait_for)(n, counter)


async def wait_for(awaitable):
    return await awaitable


async def read_all(items):
    async for _ in items:
        pass


@operation
async def a_group_as_it_completes(n, counter):
    await group_of(lambda group: read_all(group.as_completed()))(n, counter)


@operation
async def a_group_in_order(n, counter):
    await group_of(lambda group: read_all(group.in_order()))(n, counter)


@operation
async def a_group_with_a_window(n, counter):
    await group_of(read_all, window=20)(n, counter)


@operation
async def a_group_read_in_a_body(n, counter):
    app, _, _ = tasks()
    leaf = app.task(suspends)

    @app.task
    async def root():
        async for _ in leaf.parallelize([(number,) for number in range(n)]):
            pass

    async with app:
        with counter.counting():
            await root()


@operation
async def reads_of_a_group_that_are_broken_off(n, counter):
    app, _, endless = tasks()
    async with app:
        group = endless.parallelize([(number,) for number in range(3)])
        with counter.counting():
            for _ in range(n):
                try:
                    async with asyncio.timeout(1):
                        await anext(aiter(group))
                except TimeoutError:
                    pass
        await group.cancel()


# -- cancelling --------------------------------------------------------------------------------------------------------


@operation
async def cancelled_one_by_one(n, counter):
    app, _, endless = tasks(max_concurrency=None)
    async with app:
        several = [endless(number) for number in range(n)]
        await asyncio.sleep(0)
        with counter.counting():
            for one in several:
                await one.cancel()


@operation
async def cancelled_while_queued(n, counter):
    app, _, endless = tasks(max_concurrency=1)
    async with app:
        several = [endless(number) for number in range(n)]
        with counter.counting():
            for one in reversed(several):
                one.cancel()


@operation
async def a_tree_cancelled(n, counter):
    app, _, endless = tasks(max_concurrency=None)

    @app.task
    async def root():
        await asyncio.gather(*[endless(number) for number in range(n)])

    async with app:
        one = root()
        await asyncio.sleep(1)
        with counter.counting():
            await one.cancel()


# -- policies ----------------------------------------------------------------------------------------------------------


@operation
async def levels_of_priority(n, counter):
    app, quick, _ = tasks(max_concurrency=1)
    async with app:
        with counter.counting():
            for one in [quick.with_options(priority=level)(level) for level in range(n)]:
                await one.wait()


@operation
async def options_at_each_call(n, counter):
    app, quick, _ = tasks()
    async with app:
        with counter.counting():
            for number in range(n):
                await quick.with_options(priority=number % 3)(number)


@operation
async def keys_of_a_limit(n, counter):
    app = Pynenc()
    limited = app.task(running_concurrency="arguments", running_limit=1)(suspends_for_a_key)
    async with app:
        with counter.counting():
            await asyncio.gather(*[limited(number // 2) for number in range(n)])


async def suspends_for_a_key(key):
    await asyncio.sleep(0)


@operation
async def one_line_of_a_limit(n, counter):
    app = Pynenc()
    limited = app.task(running_concurrency="task", running_limit=2)(suspends_for_a_key)
    async with app:
        with counter.counting():
            await asyncio.gather(*[limited(number) for number in range(n)])


@operation
async def keys_under_two_totals(n, counter):
    app = Pynenc()
    job = app.task(running_concurrency="keys", key_arguments="key", running_limit=1, running_total=3)(
        suspends_for_a_key
    )
    other = job.with_options(running_total=2)
    async with app:
        with counter.counting():
            for one in [(job, other)[number % 2](number // 2) for number in range(n)]:
                await one.wait()


@operation
async def bodies_that_wait_for_limits_whose_holders_wait(n, counter):
    app = Pynenc(max_concurrency=None)
    inner = app.task(running_concurrency="task", running_limit=2)(suspends_for_a_key)

    @app.task(running_concurrency="task", running_limit=n)
    async def outer(number):
        await inner(number)

    @app.task
    async def body(number):
        await outer(number)

    async with app:
        with counter.counting():
            await body.parallelize([(number,) for number in range(2 * n)])


@operation
async def starts_under_a_rate(n, counter):
    app = Pynenc()
    limited = app.task(rate_limit=Rate(10, per=1))(suspends_for_a_key)
    async with app:
        with counter.counting():
            await asyncio.gather(*[limited(number) for number in range(n)])


@operation
async def delayed(n, counter):
    app, quick, _ = tasks()
    later = quick.with_options(delay=60)
    async with app:
        with counter.counting():
            await asyncio.gather(*[later(number) for number in range(n)])


@operation
async def retried(n, counter):
    app, attempts = Pynenc(), {}

    @app.task(max_retries=1)
    async def flaky(number):
        attempts[number] = attempts.get(number, 0) + 1
        if attempts[number] == 1:
            raise RetryError

    async with app:
        with counter.counting():
            await asyncio.gather(*[flaky(number) for number in range(n)])


@operation
async def one_retried_many_times(n, counter):
    app = Pynenc()

    @app.task(max_retries=n)
    async def flaky():
        raise RetryError

    async with app:
        invocation = flaky()
        with counter.counting():
            await invocation.wait()
        invocation.exception()


@operation
async def timeouts_that_are_not_reached(n, counter):
    app = Pynenc()
    limited = app.task(timeout=60, deadline=600)(suspends)
    async with app:
        with counter.counting():
            await asyncio.gather(*[limited(number) for number in range(n)])


@operation
async def distinct_unique_calls(n, counter):
    app = Pynenc()
    unique = app.task(registration_concurrency="arguments")(suspends_for_a_key)
    async with app:
        with counter.counting():
            await asyncio.gather(*[unique(number) for number in range(n)])


@operation
async def duplicates_of_one_call(n, counter):
    app = Pynenc(max_concurrency=1)
    unique = app.task(registration_concurrency="arguments")(suspends_for_a_key)
    async with app:
        with counter.counting():
            await asyncio.gather(*[unique(1) for _ in range(n)])


@operation
async def submissions_that_wait_for_room(n, counter):
    app, quick, _ = tasks(max_queued=2, max_concurrency=1)
    async with app:
        with counter.counting():
            await asyncio.gather(*[quick.submit(number) for number in range(n)])


@operation
async def submissions_that_give_up(n, counter):
    app, _, endless = tasks(max_queued=1, max_concurrency=1)
    async with app:
        running = endless()
        await asyncio.sleep(0)
        queued = endless()
        waiting = [asyncio.ensure_future(endless.submit(number)) for number in range(n)]
        await asyncio.sleep(0)
        with counter.counting():
            for one in reversed(waiting):
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        await queued.cancel()
        await running.cancel()


# -- streams, progress, observers --------------------------------------------------------------------------------------


@operation
async def items_of_a_stream(n, counter):
    app = Pynenc()

    @app.task
    async def numbers():
        for number in range(n):
            yield number

    async with app:
        with counter.counting():
            await read_all(numbers().stream())


@operation
async def watchers_that_leave(n, counter):
    app, _, endless = tasks()
    async with app:
        one = endless()
        watchers = [asyncio.ensure_future(read_all(one.updates())) for _ in range(n)]
        await asyncio.sleep(0)
        with counter.counting():
            for watcher in reversed(watchers):
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        await one.cancel()


@operation
async def reports_of_progress(n, counter):
    app = Pynenc()

    @app.task
    async def work():
        for number in range(n):
            report_progress(number, n)
            await asyncio.sleep(0)

    async with app:
        with counter.counting():
            await work()


@operation
async def observers_that_come_and_go(n, counter):
    app, _, _ = tasks()
    async with app:
        with counter.counting():
            observations = [app.observe(print) for _ in range(n)]
            for observation in reversed(observations):
                observation.close()


@operation
async def transitions_that_are_observed(n, counter):
    app, quick, _ = tasks()
    async with app:
        with app.observe(no_op_observer), counter.counting():
            await asyncio.gather(*[quick(number) for number in range(n)])


def no_op_observer(_):
    return None


# -- finding -----------------------------------------------------------------------------------------------------------


@operation
async def invocations_by_id(n, counter):
    app, quick, _ = tasks()
    async with app:
        several = [quick(number) for number in range(n)]
        await asyncio.gather(*several)
        with counter.counting():
            for one in several:
                app.get_invocation(one.invocation_id)


@operation
async def all_pages_of_find(n, counter):
    app, quick, _ = tasks()
    async with app:
        await quick.parallelize([(number,) for number in range(n)])
        with counter.counting():
            after, pages = None, 0
            while pages == 0 or after is not None:
                page = await app.find(limit=10, after=after)
                after, pages = page.next, pages + 1


# -- workflows, triggers -----------------------------------------------------------------------------------------------


@operation
async def steps_of_a_workflow(n, counter):
    app, quick, _ = tasks()

    @app.task(workflow=True)
    async def flow():
        for number in range(n):
            await quick(number)
            workflow.random()

    async with app:
        with counter.counting():
            await flow()


@operation
async def events_that_fire_a_trigger(n, counter):
    app = Pynenc()

    @app.on(emitted("news"), arguments=lambda event: (event.last.payload,))
    @app.task
    async def react(payload): ...

    async with app:
        with counter.counting():
            for number in range(n):
                app.emit("news", number)
            await app.drain()
