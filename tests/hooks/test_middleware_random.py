"""Whatever middleware is stacked, sound or broken: outcomes, disabling and calls are those of a model in ten lines."""

import asyncio
from contextlib import suppress

import pytest
from helpers import assert_at_rest, assert_lawful, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynenc_async import MiddlewareError, Pynenc, RefusedError
from pynenc_async.testing import run


class BodyError(Exception):
    pass


class TranslatedError(Exception):
    pass


async def passes(call_next):
    return await call_next()


async def measures(call_next):
    with suppress(BodyError, TranslatedError):
        await call_next()


async def wraps(call_next):
    return ("wrapped", await call_next())


async def answers(call_next):
    return "answer"


async def answers_none(call_next):
    return call_next.answer(None)


async def replaces_failures(call_next):
    try:
        return await call_next()
    except Exception:
        return "instead"


async def translates(call_next):
    try:
        return await call_next()
    except Exception as error:
        raise TranslatedError from error


async def refuses(call_next):
    raise RefusedError


async def breaks_before(call_next):
    raise AttributeError


async def breaks_after(call_next):
    with suppress(Exception):
        await call_next()
    raise AttributeError


async def forgets(call_next):
    return None


async def calls_twice(call_next):
    with suppress(Exception):
        await call_next()
    with suppress(MiddlewareError):
        await call_next()
    return "twice"


SOUND = [passes, measures, wraps, answers, answers_none, replaces_failures, translates, refuses]
BROKEN = [breaks_before, breaks_after, forgets, calls_twice]


CERTAIN = {answers: "answer", answers_none: None, refuses: RefusedError}


def expected(stack, fails, broken):
    """What an attempt gives (a value, or the class of an error), after marking what has proved to be broken."""
    if not stack:
        return BodyError if fails else "value"
    position, kind = stack[0]
    if kind in CERTAIN:
        return CERTAIN[kind]
    inner = expected(stack[1:], fails, broken)
    failed = isinstance(inner, type)
    if kind in BROKEN:
        broken.add(position)
    elif kind is wraps and not failed:
        return ("wrapped", inner)
    elif kind is replaces_failures and failed:
        return "instead"
    elif kind is translates and failed:
        return TranslatedError
    return inner


class World:
    def __init__(self, kinds, where, suspends):
        self.app = Pynenc(max_concurrency=2, max_threads=1)
        self.standing = dict(enumerate(kinds))
        self.runs = 0
        for position, kind in self.standing.items():
            self.app.middleware(self.middleware(position, kind, suspends))

        def thread(fails):
            self.runs += 1
            if fails:
                raise BodyError
            return "value"

        async def coroutine(fails):
            if suspends:
                await asyncio.sleep(0)
            return thread(fails)

        self.task = self.app.task({"thread": thread, "loop": coroutine}[where])

    def middleware(self, position, kind, suspends):
        async def layer(invocation, call_next):
            if suspends and position % 2:
                await asyncio.sleep(0.1)
            return await kind(call_next)

        return layer

    async def check(self, fails):
        broken = set()
        wanted = expected(list(self.standing.items()), fails, broken)
        before = self.runs
        invocation = self.task(fails)
        await invocation.wait()
        error = invocation.exception()
        assert (type(error) if error is not None else invocation.result) == wanted
        for position in broken:
            del self.standing[position]
        assert len(self.app._surroundings._layers) == len(self.standing)
        assert self.runs - before <= 1
        assert_lawful(invocation)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(
    kinds=st.lists(st.sampled_from(SOUND + BROKEN), max_size=6),
    where=st.sampled_from(["loop", "thread"]),
    suspends=st.booleans(),
    fails=st.lists(st.booleans(), min_size=1, max_size=4),
)
def test_any_stack_does_what_the_model_says(kinds, where, suspends, fails):
    async def main():
        world = World(kinds, where, suspends)
        for one in fails:
            await world.check(one)
        await assert_at_rest(world.app)
        await world.app.shutdown()

    run(main())
