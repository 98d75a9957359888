"""The raw msgspec Struct: what writing and reading the same document costs without any invocation. W7's baseline."""

from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager

import msgspec

from benchmarks.cases import Workload
from benchmarks.contenders import Contender, Step
from benchmarks.records import Record, documents, texts


@asynccontextmanager
async def _encode(n: int, /) -> AsyncIterator[Step]:
    records = [msgspec.convert(document, Record) for document in documents(n)]
    encode = msgspec.json.Encoder().encode

    async def run() -> Sized:
        return [encode(record) for record in records]

    yield run


@asynccontextmanager
async def _decode(n: int, /) -> AsyncIterator[Step]:
    written = texts(n)
    decode = msgspec.json.Decoder(Record).decode

    async def run() -> Sized:
        return [decode(text) for text in written]

    yield run


CONTENDER = Contender(
    label="raw msgspec Struct",
    distribution="msgspec",
    scenarios={Workload.ENCODE: _encode, Workload.DECODE: _decode},
)
