"""What the tests of sync mode share: an app, and the two ways to a result where no loop runs."""

import asyncio

import pytest

from pynenc_async import Pynenc


@pytest.fixture
def app():
    return Pynenc("sync://")


def read(invocation):
    return invocation.result


def await_in_new_loop(invocation):
    async def main():
        return await invocation

    return asyncio.run(main())


@pytest.fixture(params=[read, await_in_new_loop], ids=["read", "awaited"])
def obtain(request):
    return request.param
