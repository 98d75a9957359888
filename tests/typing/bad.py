"""What a user must not write. Every line marked `# wrong` is an error to both type checkers, and no other line is."""

from collections.abc import AsyncIterator

from pynenc_async import (
    DistributedInvocation,
    DistributedInvocationGroup,
    InvocationStatus,
    Pynenc,
    Task,
    TaskOptions,
    emitted,
    failed,
    inject,
    reached,
    returned,
    succeeded,
)

app = Pynenc(max_concurency=3)  # wrong: unknown option of the app
typed_app = Pynenc(max_concurrency="3")  # wrong: mistyped option of the app


@app.task
async def add(a: int, b: int = 2) -> int:
    return a + b


@app.task
def in_thread(*, name: str) -> str:
    return name


@app.task
async def count(n: int, /) -> AsyncIterator[int]:
    yield n


app.task(max_retry=3)  # wrong: unknown option
app.task(name=3)  # wrong: no name
app.task(max_retries="3")  # wrong: mistyped option
app.task(retry_for=ValueError("x"))  # wrong: an instance
app.task(runs_in=3)  # wrong: not a place
app.task(5)  # wrong: not a function
add.with_options(max_retry=3)  # wrong: unknown option
add.with_options(priority="high")  # wrong: mistyped option
TaskOptions(max_retry=3)  # wrong: unknown option


@app.resource
async def database() -> AsyncIterator[bytes]:
    yield b""


@app.task
async def given(n: int, db: bytes = inject(database)) -> int:
    return n + len(db)


@app.task
async def given_wrongly(n: int, db: str = inject(database)) -> int:  # wrong: the resource gives bytes
    return n + len(db)


def plain_middleware(invocation: object) -> int:
    return id(invocation)


app.middleware(plain_middleware)  # wrong: not async, and takes no call_next
app.middleware(tasks=5)  # wrong: no tasks
app.resource(scope="thread")  # wrong: unknown scope
app.resource(plain_middleware)  # wrong: not an async generator function
given("1")  # wrong: type
given(1, db="text")  # wrong: the resource gives bytes


@app.direct_task(max_retries=3)
async def double(number: int) -> int:
    return 2 * number


app.direct_task(max_retry=3)  # wrong: unknown option


app.cron(5)  # wrong: not an expression
app.cron("* * * * *", tz=1)  # wrong: no time zone
app.every("5")  # wrong: no interval
app.every(5, misfire="never")  # wrong: no such policy
app.every(5, overlap=True)  # wrong: mistyped option
app.every(5, max_retry=3)  # wrong: unknown option
app.every(5, args=[1])  # wrong: not a tuple
app.every(5)(5)  # wrong: not a function


@app.every(5)
async def ticked(number: int) -> int:
    return number


async def scheduled_calls() -> None:
    await ticked("1")  # wrong: type
    app.task(ticked)("1")  # wrong: type
    app.every(5)(add)("1")  # wrong: type
    text: str = await ticked(1)  # wrong: the result is an int
    app.schedules["x"].next_fire = None  # wrong: read-only
    _ = text


async def direct_calls() -> None:
    await double("1")  # wrong: type
    text: str = await double(1)  # wrong: the value is an int
    _ = text


async def calls() -> None:
    add()  # wrong: missing
    add("1")  # wrong: type
    add(1, 2, 3)  # wrong: too many
    add(1, c=3)  # wrong: unknown name
    in_thread("x")  # wrong: keyword-only
    count(n=1)  # wrong: positional-only
    add.args("1")  # wrong: type
    await add.submit("1")  # wrong: type
    text: str = await add(1)  # wrong: the result is an int
    result: str = add(1).result  # wrong: the result is an int
    add(1) + 1  # wrong: not awaited
    list(add(1))  # wrong: not iterable
    _ = text, result


async def groups() -> None:
    group = add.parallelize([(1,)])
    texts: list[str] = await group  # wrong: results are ints
    async for result in group:
        result.upper()  # wrong: an int
    add.parallelize([1, 2])  # wrong: not tuples
    add.parallelize(5)  # wrong: not iterable
    add.parallelize([(1,)], 5)  # wrong: keyword-only
    async for item in count(1).stream():
        item.upper()  # wrong: an int
    _ = texts


async def handles() -> None:
    invocation = add(1)
    invocation.result = 5  # wrong: read-only
    invocation.status = "success"  # wrong: read-only
    _ = invocation.results  # wrong: no such member
    await invocation.wait("1")  # wrong: type
    await invocation.cancel(5)  # wrong: type


def takes(task: Task[[str], int]) -> None:
    task(5)  # wrong: type


takes(add)  # wrong: other parameters


succeeded(5)  # wrong: no task
failed(add, "ValueError")  # wrong: no exception class
reached(add, 5)  # wrong: no status
reached(InvocationStatus.RUNNING)  # wrong: no task
returned(add, "text")  # wrong: it returns an int
returned(add, lambda value: value.upper())  # wrong: an int
emitted(5)  # wrong: no name
emitted("x") & "y"  # wrong: no condition
app.on("x")  # wrong: no condition
app.on(emitted("x"), argument=(1,))  # wrong: unknown option
app.on(emitted("x"), arguments=5)  # wrong: mistyped option
app.on(emitted("x"), arguments=lambda event: event.results)  # wrong: no such member
app.on(emitted("x"))(print)  # wrong: no task
app.emit(5)  # wrong: no name


class MyApp(Pynenc):  # wrong: final
    pass


class MyTask(Task[[int], int]):  # wrong: final
    pass


class MyInvocation(DistributedInvocation[[int], int]):  # wrong: final
    pass


class MyGroup(DistributedInvocationGroup[[int], int]):  # wrong: final
    pass
