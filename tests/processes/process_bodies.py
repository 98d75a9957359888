"""What the tests run in workers: a worker imports this module by its name."""

import asyncio
import ctypes
import dataclasses
import datetime as dt
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextvars import ContextVar
from pathlib import Path

from pynenc_async import Pynenc, RetryError, current_invocation, report_progress
from pynenc_async.execution.processes.messages import Returned

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")
app = Pynenc()


class BodyError(Exception):
    pass


@dataclasses.dataclass
class Order:
    number: int
    placed: dt.datetime


def nothing():
    pass


def add(a: int, b: int = 1) -> int:
    return a + b


def pid() -> int:
    return os.getpid()


async def pid_in_loop() -> int:
    await asyncio.sleep(0)
    return os.getpid()


def thread_id() -> int:
    return threading.get_ident()


def wait_for_a_request() -> int:
    turns = 0
    while not current_invocation().stop_requested:
        turns += 1
    return turns


def postpone(order: Order, by: dt.timedelta) -> Order:
    return Order(order.number + 1, order.placed + by)


def untyped(*values, **more):
    return [values, more]


def order_of(values: dict[str, int], **more: int) -> list[str]:
    return [*values, *more]


def tuples_in_a_list() -> list[list[int]]:
    return [(1,)]


async def tuples_one_by_one() -> AsyncIterator[list[int]]:
    yield (1,)


def describe_me(a: int) -> dict[str, object]:
    me = current_invocation()
    return {
        "invocation_id": me.invocation_id,
        "task_id": me.task.task_id,
        "a": me.arguments.kwargs["a"],
        "retries": me.num_retries,
        "stop": me.stop_requested,
        "request": REQUEST.get(),
        "main_thread": threading.current_thread() is threading.main_thread(),
    }


def fail(text: str) -> None:
    raise BodyError(text, 7) from KeyError("cause")


def raise_kind(name: str) -> None:
    kinds = (SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration(1), StopAsyncIteration())
    raise dict(zip(("exit", "interrupt", "generator", "iteration", "async iteration"), kinds, strict=True))[name]


def unencodable() -> object:
    return object()


def wrongly_annotated() -> int:
    return "text"  # type: ignore[return-value]


def fail_until(path: str, times: int) -> int:
    """Fail for so many times, counted in a file."""
    count = count_in(path)
    if count <= times:
        raise RetryError(after=60)
    return count


def count_in(path: str) -> int:
    with Path(path).open("a") as file:
        file.write("x")
    return Path(path).stat().st_size


def progress(steps: int) -> None:
    for step in range(steps + 1):
        report_progress(step, steps, f"step {step}")


def progress_then_wait(gate: str) -> None:
    report_progress(1, 2, "half")
    report_progress(3, 4, "more")
    pass_gate(gate)


def call_another(a: int) -> int:
    return in_app(a)


async def call_another_in_loop(a: int) -> int:
    return await in_app(a)


@app.task
def in_app(a: int) -> int:
    return a


async def count(n: int) -> AsyncIterator[int]:
    for number in range(n):
        yield number


async def count_and_tell(n: int, path: str) -> AsyncIterator[int]:
    for _ in range(n):
        yield count_in(path)


async def count_and_fail(n: int) -> AsyncIterator[int]:
    for number in range(n):
        yield number
    raise BodyError("after the items")


async def leave_a_task() -> None:
    asyncio.create_task(asyncio.sleep(3_600))  # noqa: RUF006  that is the point


def span(seconds: float) -> tuple[float, float]:
    """Take a while, and say from when to when, by the clock that all processes share."""
    began = time.monotonic()
    end = began + seconds
    while time.monotonic() < end:
        pass
    return began, time.monotonic()


def meet(gate: str, here: str) -> int:
    """Say who is here, and wait until the gate is opened."""
    Path(here).write_text(str(os.getpid()))
    pass_gate(gate)
    return os.getpid()


def pass_gate(gate: str) -> None:
    with Path(gate).open() as file:  # a named pipe: opened when the test opens it as well
        file.read()


def die(how: str, path: str = "", times: int = 1_000) -> int:
    """Kill this process, so many times, counted in a file; then return the count."""
    count = count_in(path) if path else 0
    if count > times:
        return count
    match how:
        case "exit":
            os._exit(3)
        case "segv":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "close":
            os.closerange(3, 100)
            time.sleep(60)
        case "fork":
            child = os.fork()
            if child:
                Path(f"{path}.child").write_text(str(child))
                os._exit(4)
            time.sleep(60)
    return 0


def eat_memory(limit: int) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return len(b"x" * (2 * limit))


def wait_for_ever(path: str, *, ignore: bool = False) -> None:
    """Say that it has begun, hang, and say that it was told to stop, if it may hear of it."""
    if ignore:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        Path(path).write_text(str(os.getpid()))
        while True:
            time.sleep(60)
    finally:
        Path(path).write_text(f"{os.getpid()} cleaned up")


async def wait_for_ever_in_loop(path: str) -> None:
    try:
        Path(path).write_text(str(os.getpid()))
        await asyncio.sleep(3_600)
    finally:
        Path(path).write_text(f"{os.getpid()} cleaned up")


def swallow(path: str) -> str:
    """Go on after being told to stop, from the moment at which that can be known to have begun."""
    try:
        Path(path).write_text(str(os.getpid()))
        time.sleep(60)
    except asyncio.CancelledError:
        pass
    return "finished"


def fork_and(how: str, path: str) -> int:
    """Fork off a child that ends in this way; return its exit code."""
    child = os.fork()
    if child:
        return 0 if how == "live on" else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return _be_a_child(how, path)


async def fork_in_the_loop_and(how: str, path: str) -> int:
    await asyncio.sleep(0)
    return fork_and(how, path)


async def fork_in_a_generator_and(how: str, path: str) -> AsyncIterator[int]:
    yield 1
    yield fork_and(how, path)


def _be_a_child(how: str, path: str) -> int:
    match how:
        case "exit at once":
            os._exit(7)
        case "exit":
            sys.exit(7)
        case "raise":
            raise BodyError("in the child", 0)
        case "report":
            for step in range(1_000):
                report_progress(1_000 + step)
            os._exit(7)
        case "live on":
            with Path(path).open() as gate:  # a named pipe: opened when the test opens it as well
                gate.read()
    return 5


def tell_of_others() -> None:
    """Report the end of a body that nobody has sent here."""
    current_invocation()._outbox.send(Returned(999, b"null", 0.0))
