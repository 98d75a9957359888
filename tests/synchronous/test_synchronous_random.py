"""Sync mode: random programs, read from many threads and loops at once, come to an end."""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import S, assert_lawful

from pynenc_async import InvocationNotFinalError, RetryError

MEMBERS = 20
READERS = 6


class Program:
    """Invocations that wait for earlier ones, in every way there is; what each body does is drawn when it runs."""

    def __init__(self, app, seed):
        self.random = random.Random(seed)
        self.starts = [0] * MEMBERS
        self.lock = threading.Lock()
        tasks = [app.task(max_retries=1)(self.in_loop), app.task(max_retries=1)(self.in_thread)]
        self.invocations = []
        for number in range(MEMBERS):
            self.invocations.append(self.random.choice(tasks)(number))

    def begin(self, number):
        with self.lock:
            self.starts[number] += 1
        if self.random.random() < 0.1:
            raise RetryError
        return self.random.sample(self.invocations[:number], min(number, 2))

    async def in_loop(self, number):
        for other in self.begin(number):
            await self.random.choice([other.wait, other.cancel, self.pass_by])()
            await self.await_all([other])

    async def pass_by(self):
        await asyncio.sleep(0)

    def in_thread(self, number):
        self.read(self.begin(number))

    def read(self, invocations):
        for invocation in invocations:
            try:
                invocation.exception()
            except InvocationNotFinalError:
                pass  # it would have had to wait for what it holds up

    def reader(self):
        sample = self.random.sample(self.invocations, MEMBERS // 2)
        if self.random.random() < 0.5:
            self.read(sample)
        else:
            asyncio.run(self.await_all(sample))

    async def await_all(self, invocations):
        await asyncio.gather(*map(asyncio.ensure_future, invocations), return_exceptions=True)


@pytest.mark.parametrize("seed", range(20))
def test_every_body_that_began_ends_having_run_once_for_each_attempt(app, seed):
    program = Program(app, seed)
    with ThreadPoolExecutor(READERS) as pool:
        for future in [pool.submit(program.reader) for _ in range(READERS)]:
            future.result()
    for number, invocation in enumerate(program.invocations):
        assert_lawful(invocation)
        assert invocation.status is S.REGISTERED or invocation.status.is_final()
        assert program.starts[number] == sum(entry.status is S.RUNNING for entry in invocation.history)
