"""An error that would end an iteration or a generator never looks like the end of what is read: see PEP 479."""

import asyncio
from collections.abc import Mapping
from operator import attrgetter

import pytest
from helpers import assert_at_rest

from pynenc_async import DistributedInvocation, Pynenc, inject
from pynenc_async.store.memory import MemoryHub, MemoryStore

KINDS = (StopIteration, StopAsyncIteration, GeneratorExit)
kinds = pytest.mark.parametrize("kind", KINDS)
END = object()
RESULT = attrgetter("result")


def new_app(where, tmp_path):
    if where == "sqlite":
        return Pynenc(f"sqlite:///{tmp_path}/jobs.db")
    if where == "store":
        hub = MemoryHub()
        return Pynenc(store=lambda: MemoryStore(hub))
    return Pynenc()


def failing(app, kind, **options):
    """Three members are made of it, the second of which raises `kind`."""

    @app.task(**options)
    def member(n: int) -> int:
        if n == 1:
            raise kind("why")
        return n

    return member


def shown(error, kind):
    """Say whether an error is a `RuntimeError` from one of `kind`, which Python may have wrapped once more."""
    assert type(error) is RuntimeError
    cause = error.__cause__
    while type(cause) is RuntimeError:
        cause = cause.__cause__
    assert type(cause) is kind
    return "failed"


async def steps(iterator, kind, most=10):
    seen = []
    while len(seen) < most:
        try:
            seen.append(await anext(iterator))
        except StopAsyncIteration:
            return seen
        except BaseException as error:
            seen.append(shown(error, kind))
    return seen


def plain_steps(iterator, kind):
    seen = []
    while len(seen) < 10:
        try:
            value = next(iterator, END)
        except BaseException as error:
            value = shown(error, kind)
        if value is END:
            break
        seen.append(value)
    return seen


def elements():
    return [(0,), (1,), (2,)]


async def async_elements():
    for one in elements():
        yield one


SOURCES = {"list": elements, "iterator": lambda: iter(elements()), "async iterator": async_elements}
ASYNC_READERS = {
    "async for": aiter,
    "in order": lambda group: group.in_order(),
    "results": lambda group: aiter(group.results),
}


@kinds
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reader", ASYNC_READERS)
async def test_a_member_does_not_end_the_iteration_of_its_group(kind, source, reader):
    app = Pynenc()
    group = failing(app, kind).parallelize(SOURCES[source](), window=None if source == "list" else 2)
    assert sorted(map(str, await steps(ASYNC_READERS[reader](group), kind))) == ["0", "2", "failed"]
    await assert_at_rest(app)


@kinds
@pytest.mark.parametrize("where", ["store", "sqlite"])
async def test_nor_where_a_store_keeps_it(kind, where, tmp_path):
    async with new_app(where, tmp_path) as app:
        group = failing(app, kind).parallelize(elements())
        assert sorted(map(str, await steps(aiter(group), kind))) == ["0", "2", "failed"]


@kinds
async def test_nor_with_a_progress_bar(kind):
    pytest.importorskip("rich")
    group = failing(Pynenc(), kind).parallelize(elements())
    assert sorted(map(str, await steps(group.progress(), kind))) == ["0", "2", "failed"]


@kinds
@pytest.mark.parametrize("source", SOURCES)
async def test_nor_where_a_thread_reads_it(kind, source):
    app = Pynenc()
    member = failing(app, kind)

    @app.task
    def reader() -> list[object]:
        group = member.parallelize(SOURCES[source](), window=None if source == "list" else 2)
        return plain_steps(iter(group.results), kind)

    assert await reader() == [0, "failed", 2]


@kinds
@pytest.mark.parametrize("source", ["list", "iterator"])
def test_nor_in_sync_mode_with_a_plain_loop(kind, source):
    group = failing(Pynenc("sync://"), kind).parallelize(SOURCES[source]())
    assert plain_steps(iter(group.results), kind) == [0, "failed", 2]


@kinds
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reader", ASYNC_READERS)
async def test_nor_in_sync_mode_in_a_loop(kind, source, reader):
    group = failing(Pynenc("sync://"), kind).parallelize(SOURCES[source]())
    assert await steps(ASYNC_READERS[reader](group), kind) == [0, "failed", 2]


@kinds
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("url", ["memory://", "sync://"])
async def test_awaiting_a_group_is_awaiting_its_member(kind, source, url):
    group = failing(Pynenc(url), kind).parallelize(SOURCES[source]())
    with pytest.raises(RuntimeError if kind is StopIteration else kind):
        await group


# -- the result --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["memory", "store", "sqlite"])
async def test_a_result_that_is_stop_iteration_ends_no_map(where, tmp_path):
    async with new_app(where, tmp_path) as app:
        members = list(map(failing(app, StopIteration), range(3)))
        for member in members:
            await member.wait()
        results = map(RESULT, members)
        assert plain_steps(results, StopIteration) == [0, "failed", 2]
        assert type(members[1].exception()) is StopIteration
        with pytest.raises(RuntimeError) as awaited:
            await members[1]
        assert awaited.value.__cause__ is members[1].exception()


def test_nor_in_sync_mode():
    member = failing(Pynenc("sync://"), StopIteration)
    assert plain_steps(map(RESULT, map(member, range(3))), StopIteration) == [0, "failed", 2]


async def test_nor_where_it_was_read_from_json():
    app, other = Pynenc(), Pynenc()
    invocation = failing(app, StopIteration)(1)
    await invocation.wait()
    failing(other, StopIteration)
    restored = DistributedInvocation.from_json(other, invocation.to_json())
    assert plain_steps(map(RESULT, [restored]), StopIteration) == ["failed"]


# -- streams -----------------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("url", ["memory://", "sync://"])
async def test_a_body_does_not_end_its_stream(kind, url):
    @Pynenc(url).task
    async def items():
        yield 1
        raise kind("why")

    assert await steps(items().stream(), kind, most=2) == [1, "failed"]


@kinds
def test_nor_in_sync_mode_with_a_plain_loop_over_it(kind):
    @Pynenc("sync://").task
    async def items():
        yield 1
        raise kind("why")

    iterator = iter(items().stream())
    assert next(iterator) == 1
    with pytest.raises(RuntimeError) as caught:
        next(iterator)
    assert shown(caught.value, kind)


@kinds
async def test_nor_does_a_middleware_around_it(kind):
    app = Pynenc()

    @app.middleware(required=True)
    async def refuse(invocation, call_next):
        await call_next()
        raise kind("why")

    @app.task
    async def items():
        yield 1

    assert await steps(items().stream(), kind, most=2) == [1, "failed"]


# -- what a group is made of -------------------------------------------------------------------------------------------


class Source:
    """Gives an element, then raises."""

    def __init__(self, kind):
        self.kind = kind
        self.elements = iter([(0,)])

    def step(self):
        for element in self.elements:
            return element
        raise self.kind("why")


class PlainSource(Source):
    def __iter__(self):
        return self

    def __next__(self):
        return self.step()


class AsyncSource(Source):
    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        return self.step()


class Refusing(Mapping):
    """Raises as it is bound to the parameters of the function."""

    def __init__(self, kind):
        self.kind = kind

    def __getitem__(self, name):
        raise self.kind("why")

    def __iter__(self):
        return iter(["n"])

    def __len__(self):
        return 1


async def refusing_elements(kind):
    yield (0,)
    yield Refusing(kind)


REFUSING = {
    "plain source": PlainSource,
    "async source": AsyncSource,
    "plain element": lambda kind: iter([(0,), Refusing(kind)]),
    "async element": refusing_elements,
}
BROKEN = [
    (place, kind)
    for place in REFUSING
    for kind in (*KINDS, asyncio.CancelledError)
    if (place, kind)
    not in {("plain source", StopIteration), ("async source", StopAsyncIteration)}  # which are their ends
]


@pytest.mark.parametrize("url", ["memory://", "sync://"])
@pytest.mark.parametrize(("place", "kind"), BROKEN)
async def test_what_a_source_raises_is_not_its_end(place, kind, url):
    if url == "sync://" and kind is asyncio.CancelledError and place != "plain source":
        pytest.skip("there the reader pulls the source itself, and is cancelled as in any loop over it")
    app = Pynenc(url)

    @app.task
    async def member(n: int) -> int:
        return n

    assert await steps(aiter(member.parallelize(REFUSING[place](kind), window=2)), kind) == [0, "failed"]


@pytest.mark.parametrize(("place", "kind"), BROKEN)
async def test_nor_where_a_body_in_a_thread_reads(place, kind):
    app = Pynenc()

    @app.task
    async def member(n: int) -> int:
        return n

    @app.task
    def reader() -> list[object]:
        return plain_steps(iter(member.parallelize(REFUSING[place](kind), window=2).results), kind)

    assert await reader() == [0, "failed"]


# -- what a body awaits ------------------------------------------------------------------------------------------------


async def leave(kind):
    await asyncio.sleep(0)
    raise kind("why")


@pytest.mark.parametrize("kind", [StopAsyncIteration, GeneratorExit])
@pytest.mark.parametrize("then", ["returns", "goes on", "raises", "lets it through"])
async def test_a_body_sees_what_a_task_that_it_awaits_has_raised(kind, then):
    async def body():
        try:
            await asyncio.ensure_future(leave(kind))
        except kind:
            if then == "lets it through":
                raise
            if then == "raises":
                raise LookupError from None
            if then == "goes on":
                await asyncio.sleep(0)
            return "caught"

    app = Pynenc()
    plain, invocation = asyncio.ensure_future(body()), app.task(body)()
    await asyncio.wait([plain])
    await invocation.wait()
    assert type(invocation.exception()) is type(plain.exception())
    if then in ("returns", "goes on"):
        assert invocation.result == plain.result() == "caught"
    await assert_at_rest(app)


async def test_a_resource_that_leaves_a_generator_by_its_own_exit_is_no_end_of_the_loop(caplog):
    app = Pynenc()

    @app.resource(scope="app")
    async def opens():
        raise GeneratorExit("why")
        yield

    @app.resource(scope="app")
    async def closes():
        yield 1
        raise GeneratorExit("why")

    @app.task
    async def first(value=inject(opens)):
        raise AssertionError(value)

    @app.task
    async def second(value=inject(closes)):
        return value

    async with app:
        with pytest.raises(GeneratorExit):
            await first()
        assert await second() == 1
    assert "closes failed to close" in caplog.text
