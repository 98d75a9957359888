"""What has ended is kept for so long, up to so many, and up to so much: and then it is freed, though nobody looks."""

import asyncio
import gc
import weakref
from dataclasses import dataclass

import msgspec
import pytest
from helpers import assert_at_rest

from pynenc_async import Pynenc
from pynenc_async.store.sizes import estimate
from pynenc_async.testing import VirtualLoop

MB = 1024 * 1024


class Big:
    """Something of which it can be seen whether it is there."""


def kept(app):
    return len(app._dispatcher.store)


@pytest.mark.virtual
async def test_a_result_is_freed_when_its_time_is_over_though_nobody_looks():
    app = Pynenc(retain_seconds=60)

    @app.task
    async def work():
        return Big()

    seen = weakref.ref(await work())
    await asyncio.sleep(59)
    gc.collect()
    assert seen() is not None
    await asyncio.sleep(2)
    gc.collect()
    assert seen() is None
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_what_a_failed_body_held_is_freed_when_its_time_is_over():
    app, seen = Pynenc(retain_seconds=60), []

    @app.task
    async def work():
        big = Big()
        seen.append(weakref.ref(big))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await work()
    await asyncio.sleep(61)
    gc.collect()
    assert seen[0]() is None
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_each_is_freed_at_its_own_time():
    app = Pynenc(retain_seconds=60)

    @app.task
    async def work(): ...

    for _ in range(100):
        await work()
        await asyncio.sleep(1)
    assert 59 <= kept(app) <= 61
    await asyncio.sleep(30)
    assert 29 <= kept(app) <= 31
    await asyncio.sleep(1_000)
    assert kept(app) == 0
    await work()
    assert kept(app) == 1
    await asyncio.sleep(61)
    assert kept(app) == 0
    await assert_at_rest(app)


@pytest.mark.virtual
async def test_an_app_at_rest_sets_no_timer():
    app = Pynenc(retain_seconds=60)

    @app.task
    async def work(): ...

    await work()
    await asyncio.sleep(61)
    loop = asyncio.get_running_loop()
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []


def test_in_the_next_loop_the_timer_is_set_anew():
    app = Pynenc(retain_seconds=60)

    @app.task
    async def work(): ...

    async def first():
        await work()

    async def second():
        await work()
        await asyncio.sleep(61)
        return kept(app)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(first())
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(second()) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda: b"x" * MB, id="bytes"),
        pytest.param(lambda: ["x" * (MB // 100)] * 50 + ["y" * (MB // 100)] * 50, id="list"),
        pytest.param(lambda: {"rows": [bytes(MB // 20) for _ in range(20)]}, id="dict"),
        pytest.param(lambda: Row(bytes(MB)), id="dataclass"),
        pytest.param(lambda: Struct(bytes(MB)), id="struct"),
    ],
)
async def test_results_take_no_more_than_so_many_bytes(value):
    app = Pynenc(retain_bytes=100 * MB)

    @app.task
    async def work():
        return value()

    for _ in range(300):
        await work()
    size = estimate(value())
    assert size > MB // 2
    assert 50 <= kept(app) <= 100 * MB // size + 64
    await assert_at_rest(app)


@dataclass
class Row:
    data: bytes


class Struct(msgspec.Struct):
    data: bytes


async def test_without_a_bound_in_bytes_all_that_is_not_too_many_is_kept():
    app = Pynenc(retain_bytes=None)

    @app.task
    async def work():
        return bytes(MB)

    for _ in range(100):
        await work()
    assert kept(app) == 100


class Unmeasurable:
    def __sizeof__(self):
        raise SystemExit


async def test_a_value_that_refuses_to_be_measured_harms_nobody():
    app = Pynenc(retain_bytes=MB)

    @app.task
    async def work():
        return Unmeasurable()

    for _ in range(200):
        await work()
    assert kept(app) == 200
    await assert_at_rest(app)


def test_a_large_container_is_measured_by_a_few_of_its_parts():
    assert estimate([1.5] * 1_000_000) == pytest.approx(32 * MB, rel=0.2)
    assert estimate(None) == 0
    assert estimate([]) < 100
