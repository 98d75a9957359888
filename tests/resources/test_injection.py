"""A parameter that asks for a resource is given it, and is no argument of the call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
from helpers import assert_at_rest

from pynenc_async import (
    DistributedInvocation,
    Pynenc,
    Resource,
    ResourceError,
    ResourceScope,
    TaskDefinitionError,
    inject,
)

app = Pynenc(app_id="resources")


class Database:
    def __init__(self, name):
        self.name = name


@app.resource
async def database() -> AsyncIterator[Database]:
    """The database."""
    yield Database("real")


@app.resource
async def session(db: Annotated[Database, database]) -> AsyncIterator[str]:
    yield f"session of {db.name}"


@app.task
async def by_default(n: int, db: Database = inject(database)) -> str:
    return f"{n} {db.name}"


@app.task
async def by_annotation(n: int, db: Annotated[Database, database], *, s: Annotated[str, session] = inject()) -> str:
    return f"{n} {db.name} {s}"


@app.task
def in_thread(n: int, *rest: int, db: Database = inject(database), **more: int) -> str:
    return f"{n} {rest} {more} {db.name}"


@app.task
async def streamed(n: int, s: str = inject(session)) -> AsyncIterator[str]:
    for _ in range(n):
        yield s


attempts = []


@app.task(max_retries=2, workflow=True)
async def flaky(n, db=inject(database)):
    attempts.append(db)
    if len(attempts) < 3:
        raise LookupError
    return await by_default(n, db=Database("passed on"))


async def test_all_kinds_of_bodies_are_given_it():
    assert await by_default(1) == "1 real"
    assert await by_annotation(2) == "2 real session of real"
    assert await in_thread(3, 4, 5, x=6) == "3 (4, 5) {'x': 6} real"
    assert [item async for item in streamed(2).stream()] == ["session of real"] * 2
    await assert_at_rest(app)


async def test_it_is_no_argument():
    invocation = by_annotation(1)
    assert invocation.arguments.kwargs == {"n": 1}
    assert invocation.serialized_arguments == {"n": "1"}
    assert invocation.call_id == by_annotation(n=1).call_id == by_annotation(1, Database("fake")).call_id
    text = invocation.to_json()
    assert "real" not in text
    await invocation
    restored = DistributedInvocation.from_json(app, text)
    assert restored.arguments.kwargs == {"n": 1}


async def test_what_is_passed_is_used_and_nothing_is_opened_for_it():
    fake = Database("fake")
    assert await by_default(1, fake) == "1 fake"
    assert await by_default(n=1, db=fake) == "1 fake"
    assert await by_annotation(1, db=fake) == "1 fake session of real"
    assert await by_annotation(1, s="mine") == "1 real mine"
    assert await in_thread(1, db=fake) == "1 () {} fake"
    assert await by_default.parallelize([(1,), (2, fake), by_default.args(3, db=fake), {"n": 4, "db": fake}]) == [
        "1 real", "2 fake", "3 fake", "4 fake",
    ]  # fmt: skip


async def test_wrong_calls_raise_as_ever():
    for wrong in (by_default, lambda: by_default(1, 2, 3), lambda: by_default(1, x=2)):
        with pytest.raises(TypeError, match="by_default"):
            wrong()


async def test_it_survives_other_options_retries_and_workflows():
    attempts.clear()
    assert await flaky.with_options(priority=3)(1) == "1 passed on"
    assert len({id(one) for one in attempts}) == 3


async def test_a_context_manager_is_a_resource_too():
    own = Pynenc()

    @own.resource(scope="app")
    @asynccontextmanager
    async def made():
        yield 5

    @own.task
    async def work(value: int = inject(made)):
        return value

    async with own:
        assert await work() == 5
    async with made.open() as value:
        assert value == 5


def test_what_a_resource_says_of_itself():
    assert isinstance(database, Resource)
    assert repr(database) == f"<Resource {__name__}.database per invocation>"
    assert (database.scope, session.dependencies) == (ResourceScope.INVOCATION, {"db": database})
    assert database.__doc__ == "The database."
    assert repr(inject(database)) == f"inject({__name__}.database)"


def test_a_synchronous_app_opens_for_each_attempt():
    own, log = Pynenc("sync://"), []

    @own.resource(scope="app")
    async def shared():
        log.append("open")
        yield len(log)
        log.append("close")

    @own.task
    def plain(value: int = inject(shared)):
        return value

    @own.task
    async def coroutine(value: int = inject(shared)):
        return value

    assert [plain().result, coroutine().result, plain(7).result] == [1, 3, 7]
    assert log == ["open", "close"] * 2


# -- what is refused where it is defined -------------------------------------------------------------------------------


def refused(match):
    return pytest.raises(TaskDefinitionError, match=match)


def test_injected_parameters_come_last_or_by_name():
    with refused("'n' stands behind"):

        @app.task
        async def before(db=inject(database), n=1): ...

    with refused("'rest' stands behind"):

        @app.task
        async def before_rest(db=inject(database), *rest): ...

    with refused("'db' cannot be injected"):

        @app.task
        async def positional(db=inject(database), /): ...

    with refused("'dbs' cannot be injected"):

        @app.task
        async def many(*dbs: Annotated[Database, database]): ...

    with refused("neither"):

        @app.task
        async def unnamed(db: Database = inject()): ...


def test_a_resource_of_another_app_is_refused():
    other = Pynenc()
    with refused("another app"):

        @other.task
        async def work(db=inject(database)): ...

    with pytest.raises(ResourceError, match="another app"):

        @other.resource
        async def pool(db=inject(database)):
            yield db


def test_what_is_no_generator_is_refused():
    for wrong in (lambda: 1, Database("x"), test_wrong_calls_raise_as_ever):
        with pytest.raises(ResourceError, match="one yield"):
            app.resource(wrong)


def test_what_outlives_its_dependency_is_refused():
    with pytest.raises(ResourceError, match=r"pool.*lives as long as the app.*'db'"):

        @app.resource(scope="app")
        async def pool(db=inject(database)):
            yield db


def test_circles_are_refused():
    """Each of a circle would have to be defined before the other; a name that is not there yet names no resource."""
    with pytest.raises(ResourceError, match=r"'chicken'.*circle"):
        app.resource(egg)
    with pytest.raises(ResourceError, match=r"'chicken'.*circle"):
        app.resource(chicken)
    with pytest.raises(ResourceError, match="'n' asks for no resource"):

        @app.resource
        async def numbered(n: int):
            yield n


async def egg(chicken: "Annotated[int, chicken_resource]"):  # noqa: F821
    yield 1


async def chicken(chicken: "Annotated[int, chicken]"):
    yield 1
