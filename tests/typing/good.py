"""What a user writes, as the type checkers see it. `tests/test_typing.py` runs them; nothing here is executed."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, assert_type

from pynenc_async import (
    Arguments,
    BaseInvocation,
    CallNext,
    CancelOutcome,
    Condition,
    DistributedInvocation,
    DistributedInvocationGroup,
    Fire,
    HistoryEntry,
    InvocationStatus,
    InvocationTimeoutError,
    Misfire,
    Occurrence,
    Overlap,
    Pass,
    Pynenc,
    Resource,
    RetryError,
    RunsIn,
    Schedule,
    Task,
    TaskOptions,
    Trigger,
    TriggerEvent,
    current_fire,
    current_invocation,
    emitted,
    failed,
    inject,
    reached,
    returned,
    succeeded,
)

app = Pynenc("memory://", app_id="typed", max_concurrency=10)


@app.task
async def add(a: int, b: int = 2) -> int:
    return a + b


@app.task(name="shop.again", aliases=("shop.retried",), max_retries=3, retry_for=(ValueError, OSError), priority=1)
async def with_retries(name: str, *, loud: bool = False) -> str:
    if loud:
        raise RetryError("again", after=1.5)
    return name


@app.task
def in_thread(data: bytes) -> list[int]:
    return list(data)


@app.task(detached=True)
def nothing() -> None:
    return None


@app.task
async def count(n: int) -> AsyncIterator[int]:
    for i in range(n):
        yield i


@app.task(stream_buffer=5)
async def words(*names: str, **options: int) -> AsyncGenerator[str, None]:
    for name in names:
        yield name * options.get("times", 1)


async def plain(a: int) -> float:
    return a / 2


halved = app.task(plain)


class Greeter:
    async def __call__(self, name: str, *, loud: bool = False) -> str:
        return name.upper() if loud else name


greeted = app.task(Greeter())


@app.task(priority=2)
@app.every(60, args=(3,))
async def counted_again(n: int) -> AsyncIterator[int]:
    yield n


async def calls() -> None:
    assert_type(await add(1, 2), int)
    assert_type(await add(1), int)
    assert_type(await add(a=1, b=2), int)
    assert_type(await with_retries("x", loud=True), str)
    assert_type(await in_thread(b"abc"), list[int])
    await nothing()
    assert_type(await halved(3), float)
    assert_type(await greeted("x", loud=True), str)
    assert_type(await counted_again(n=3), int)
    assert_type(await (await add.submit(1, b=2)), int)
    assert_type(await add.with_options(max_retries=2)(1), int)
    assert_type(await add.with_options(runs_in="process", max_crashes=2)(1), int)
    assert_type(await add.with_options(runs_in=RunsIn.LOOP)(1), int)
    assert_type(add(1).result, int)
    assert_type(add(1).blocking_result(2.0), int)


async def handle() -> None:
    invocation = add(1)
    assert_type(invocation.status, InvocationStatus)
    assert_type(invocation.invocation_id, str)
    assert_type(invocation.call_id, str)
    assert_type(invocation.to_json(), str)
    assert_type(invocation.serialized_arguments, dict[str, str])
    assert_type(invocation.arguments, Arguments)
    assert_type(invocation.num_retries, int)
    assert_type(invocation.parent_invocation_id, str | None)
    assert_type(invocation.history, tuple[HistoryEntry, ...])
    assert_type(invocation.exception(), BaseException | None)
    assert_type(await invocation.wait(1.0), bool)
    assert_type(await invocation.wait(), bool)
    assert_type(await invocation.cancel("reason"), CancelOutcome)
    assert_type(invocation.status.is_final(), bool)
    awaitable: Awaitable[int] = invocation
    assert_type(await awaitable, int)
    base: BaseInvocation[..., int] = invocation
    assert_type(base.result, int)


async def groups() -> None:
    group = add.parallelize([(1, 2), {"a": 1}, add.args(3, b=4)])
    assert_type(await group, list[int])
    assert_type([result async for result in group], list[int])
    assert_type([result async for result in group.in_order()], list[int])
    assert_type([result async for result in group.results], list[int])
    assert_type(list(group.results), list[int])
    assert_type([one.result async for one in group.as_completed()], list[int])
    assert_type([one.result for one in group], list[int])
    assert_type([one.result for one in group.invocations], list[int])
    assert_type(await group.cancel(), list[CancelOutcome])
    assert_type(len(group), int)
    async with in_thread.parallelize(((b"a",) for _ in range(3)), window=2) as windowed:
        async for numbers in windowed:
            assert_type(numbers, list[int])

    async def source() -> AsyncIterator[tuple[int, int]]:
        yield 1, 2

    assert_type(await add.parallelize(source()), list[int])
    assert_type(await add.parallelize(add.args(n) for n in range(3)), list[int])


@app.direct_task
async def double(number: int) -> int:
    return 2 * number


@app.direct_task(max_retries=3)
def shout(text: str, *, times: int = 1) -> str:
    return text.upper() * times


async def direct_calls() -> None:
    assert_type(await double(1), int)
    assert_type(shout("a", times=2), str)


@app.middleware
async def timed(invocation: DistributedInvocation[..., Any], call_next: CallNext) -> object:
    assert_type(invocation.num_retries, int)
    return await call_next()


@app.middleware(tasks=[add, "a.task.id"], required=True)
async def for_some(_invocation: BaseInvocation[..., Any], call_next: CallNext) -> Any:
    return call_next.answer(None)


@app.middleware(tasks=lambda task: task.options.priority > 0)
async def for_urgent(_invocation: object, call_next: CallNext) -> Any:
    return await call_next()


class Database:
    name = "db"


@app.resource
async def database() -> AsyncIterator[Database]:
    yield Database()


@app.resource(scope="app")
@asynccontextmanager
async def pool() -> AsyncGenerator[int, None]:
    yield 5


@app.resource
async def session(db: Database = inject(database)) -> AsyncIterator[str]:
    yield db.name


@app.task
async def report(user: str, db: Database = inject(database), *, s: Annotated[str, session] = inject()) -> str:
    return f"{user} {db.name} {s}"


async def surrounded() -> None:
    assert_type(database, Resource[Database])
    assert_type(pool, Resource[int])
    assert_type(await report("ann"), str)
    assert_type(await report("ann", db=Database(), s="mine"), str)
    async with database.open() as db:
        assert_type(db, Database)


@app.cron("*/5 * * * *", tz="Europe/Berlin", misfire="all", overlap="queue", max_retries=3, args=("a",))
async def cleaned(place: str) -> int:
    return len(place)


@app.task(timeout=5)
@app.every(timedelta(minutes=5), jitter=timedelta(seconds=9), start=datetime(2025, 1, 1, tzinfo=UTC), name="often")
def counted() -> float:
    return 1.5


@app.every(5, misfire=Misfire.SKIP, overlap=Overlap.ALLOW, kwargs={"n": 3})
@app.task
async def streamed(n: int) -> AsyncIterator[str]:
    yield "a" * n


async def schedules() -> None:
    assert_type(await cleaned("b"), int)
    assert_type(await counted(), float)
    assert_type([item async for item in streamed(1).stream()], list[str])
    assert_type(await app.every(5, args=add.args(1, b=2))(add)(1), int)
    schedule = app.schedules["often"]
    assert_type(schedule, Schedule)
    assert_type(schedule.next_fire, datetime | None)
    assert_type(schedule.upcoming(3), list[datetime])
    schedule.pause()
    fire = current_fire()
    assert_type(fire, Fire | None)
    if fire is not None:
        assert_type(fire.at, datetime)


async def streams() -> None:
    assert_type([item async for item in count(3).stream()], list[int])
    assert_type([item async for item in words("a", "b", times=2).stream(from_start=False)], list[str])


@app.on(succeeded(add), arguments=lambda event: (event.result,))
@app.on(failed(add, (ValueError, OSError)) | failed(in_thread, KeyError), arguments=Pass.VALUES)
@app.task(priority=1)
async def triggered(value: object) -> str:
    return str(value)


def order_of(occurrence: Occurrence) -> str:
    return str(occurrence.payload)


def arguments_of(event: TriggerEvent) -> dict[str, object]:
    return {"value": event[add].result}


async def triggers() -> None:
    assert_type(await triggered(1), str)
    condition: Condition = (returned(add, 5) | returned(add, lambda sum_: sum_ > 5)) & emitted("x")
    condition = condition & reached("some.task", InvocationStatus.RUNNING).where(lambda one: one.arguments["a"])
    by_key = app.on(condition, name="n", arguments=arguments_of, by=order_of, within=5, max_keys=3, max_chain=None)
    assert_type(await by_key(halved)(1), float)
    app.on(emitted("x"), arguments={"a": 1})(add)
    app.on(emitted("x"), name="same arguments", arguments=add.args(1))(add)
    assert_type(app.triggers, dict[str, Trigger])
    [fired] = app.emit("x", object())
    assert_type(fired.status, InvocationStatus)
    app.emit("x")


def takes_a_task(task: Task[[str], int]) -> DistributedInvocation[[str], int]:
    return task("x")


def takes_any_task(task: Task[..., int]) -> DistributedInvocationGroup[..., int]:
    return task.parallelize([()])


def members() -> None:
    assert_type(add.task_id, str)
    assert_type(add.options, TaskOptions)
    takes_any_task(add)
    assert_type(app.get_invocation("x").status, InvocationStatus)
    _ = current_invocation()


async def errors() -> None:
    try:
        await add(1)
    except TimeoutError as error:
        if isinstance(error, InvocationTimeoutError):
            assert_type(error.invocation_id, str)


async def main() -> str:
    async with app as entered:
        assert_type(entered, Pynenc)
    return "done"


def run() -> None:
    assert_type(app.run(main), str)
    assert_type(app.run(main()), str)
