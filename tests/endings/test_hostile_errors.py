"""Whatever an exception does when it is looked at or marked, its invocation ends with it, and lets go of all that it had."""

import asyncio

import pytest
from hostile_errors import HOSTILE

from pynenc_async import Pynenc, inject
from pynenc_async.status import InvocationStatus

S = InvocationStatus
each_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=vars(type)["__name__"].__get__(kind)) for kind in HOSTILE]
)


def coroutine_at_once(app, kind, **options):
    @app.task(**options)
    async def body():
        raise kind()

    return body


def coroutine_later(app, kind, **options):
    @app.task(**options)
    async def body():
        await asyncio.sleep(0)
        raise kind()

    return body


def thread(app, kind, **options):
    @app.task(**options)
    def body():
        raise kind()

    return body


def on_the_loop(app, kind, **options):
    return thread(app, kind, runs_in="loop", **options)


def stream(app, kind, **options):
    @app.task(**options)
    async def body():
        yield 1
        raise kind()

    return body


def within_middleware(app, kind, **options):
    task = coroutine_later(app, kind, **options)

    @app.middleware
    async def around(invocation, call_next):
        return await call_next()

    return task


def thread_within_middleware(app, kind, **options):
    task = thread(app, kind, **options)

    @app.middleware
    async def around(invocation, call_next):
        return await call_next()

    return task


def with_a_resource(app, kind, **options):
    @app.resource(scope="invocation")
    async def resource():
        yield 1

    @app.task(**options)
    async def body(given: int = inject(resource)):
        raise kind()

    return body


def through_a_child(app, kind, **options):
    child = coroutine_at_once(app, kind)

    @app.task(**options)
    async def parent():
        await child()

    return parent


def in_a_workflow(app, kind, **options):
    child = coroutine_at_once(app, kind)

    @app.task(workflow=True, **options)
    async def parent():
        await child()

    return parent


WAYS = (
    coroutine_at_once, coroutine_later, thread, on_the_loop, stream, within_middleware, thread_within_middleware,
    with_a_resource, through_a_child, in_a_workflow,
)  # fmt: skip


async def what_is_raised(awaitable):
    try:
        await awaitable
    except BaseException as error:
        return type(error)


def what_is_read(invocation):
    try:
        return invocation.result
    except BaseException as error:
        return type(error)


@pytest.mark.parametrize("max_retries", [0, 1])
@pytest.mark.parametrize("way", WAYS)
async def test_the_invocation_fails_with_it_and_its_slot_is_free(new_app, way, max_retries):
    for kind in HOSTILE:
        app = new_app(max_concurrency=1)

        @app.task
        async def other():
            return "ok"

        task = way(app, kind, max_retries=max_retries)
        async with app:
            invocation = task()
            assert await what_is_raised(invocation) is kind
            assert (invocation.status, invocation.num_retries) == (
                S.FAILED,
                max_retries if issubclass(kind, Exception) else 0,
            )
            assert await other() == "ok"
            assert app.statistics().living == 0


@each_kind
async def test_a_group_raises_it_and_ends(new_app, kind):
    app = new_app()
    async with app:
        group = coroutine_later(app, kind).parallelize([(), ()])
        assert await what_is_raised(group) is kind
        assert [type(member.exception()) async for member in group.as_completed()] == [kind, kind]


@each_kind
async def test_who_reads_a_stream_gets_its_items_and_then_the_error(new_app, kind):
    app = new_app()
    async with app:
        items = stream(app, kind)().stream()
        assert await anext(items) == 1
        assert await what_is_raised(anext(items)) is kind


@each_kind
@pytest.mark.parametrize("way", [coroutine_at_once, coroutine_later, thread, within_middleware, with_a_resource])
@pytest.mark.parametrize("max_retries", [0, 1])
def test_so_does_an_inline_invocation(kind, way, max_retries):
    invocation = way(Pynenc("sync://"), kind, max_retries=max_retries)()
    assert what_is_read(invocation) is kind
    assert what_is_read(invocation) is kind
    assert (invocation.status, invocation.num_retries) == (S.FAILED, max_retries if issubclass(kind, Exception) else 0)


@each_kind
async def test_the_resources_around_the_body_are_closed_whatever_closing_them_raises(new_app, kind):
    app, closed = new_app(), []

    def resource(number):
        async def resource():
            try:
                yield number
            finally:
                closed.append(number)
                raise kind

        return app.resource(scope="invocation")(resource)

    @app.task
    async def body(first: int = inject(resource(1)), second: int = inject(resource(2))):
        raise LookupError

    async with app:
        assert await what_is_raised(body()) is kind
    assert closed == [2, 1]


@each_kind
async def test_middleware_may_look_at_it_and_let_it_pass(new_app, kind):
    app, seen = new_app(), []
    body = coroutine_later(app, kind)

    @app.middleware
    async def outer(invocation, call_next):
        return await call_next()

    @app.middleware
    async def inner(invocation, call_next):
        try:
            return await call_next()
        except BaseException as error:
            seen.append(type(error))
            raise

    async with app:
        assert await what_is_raised(body()) is kind
        assert await what_is_raised(body()) is kind
    assert seen == [kind, kind]
