"""The standard library's json, to and from plain dicts."""

import json
from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager

from benchmarks.cases import Workload
from benchmarks.contenders import Contender, Step
from benchmarks.records import documents, texts


@asynccontextmanager
async def _encode(n: int, /) -> AsyncIterator[Step]:
    records = documents(n)

    async def run() -> Sized:
        return [json.dumps(record) for record in records]

    yield run


@asynccontextmanager
async def _decode(n: int, /) -> AsyncIterator[Step]:
    written = texts(n)

    async def run() -> Sized:
        return [json.loads(text) for text in written]

    yield run


CONTENDER = Contender(label="stdlib json", scenarios={Workload.ENCODE: _encode, Workload.DECODE: _decode})
