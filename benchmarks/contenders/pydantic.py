"""pydantic, with a model of the same fields."""

from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel

from benchmarks.cases import Workload
from benchmarks.contenders import Contender, Step
from benchmarks.records import documents, texts


class Model(BaseModel):
    """`records.Record` as a pydantic model."""

    version: int
    invocation_id: str
    task_id: str
    arguments: dict[str, Any]
    parent_invocation_id: str | None
    status: str
    num_retries: int
    registered_at: float
    started_at: float | None
    ended_at: float | None
    runner_id: str | None
    result: Any


@asynccontextmanager
async def _encode(n: int, /) -> AsyncIterator[Step]:
    models = [Model.model_validate(document) for document in documents(n)]

    async def run() -> Sized:
        return [model.model_dump_json() for model in models]

    yield run


@asynccontextmanager
async def _decode(n: int, /) -> AsyncIterator[Step]:
    written = texts(n)

    async def run() -> Sized:
        return [Model.model_validate_json(text) for text in written]

    yield run


CONTENDER = Contender(
    label="pydantic",
    distribution="pydantic",
    scenarios={Workload.ENCODE: _encode, Workload.DECODE: _decode},
)
