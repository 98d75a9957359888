"""How the service speaks HTTP: invocations as JSON, many results as lines of JSON, errors as statuses."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from pynenc_async import (
    AppNotStartedError,
    DistributedInvocation,
    InvocationCancelledError,
    InvocationNotFoundError,
    InvocationTimeoutError,
    QueueFullError,
)

HTTP_STATUS: Final[dict[type[Exception], int]] = {
    InvocationNotFoundError: 404,
    InvocationCancelledError: 409,
    InvocationTimeoutError: 504,
    OSError: 502,  # the other server cannot be found or reached
    AppNotStartedError: 503,  # this one is shutting down
    QueueFullError: 503,
}


def summary(invocation: DistributedInvocation[Any, Any]) -> dict[str, Any]:
    """Say what it is, and where it stands."""
    return {"id": invocation.invocation_id, "task": invocation.task.task_id, "status": invocation.status}


def accepted(invocation: DistributedInvocation[Any, Any], response: Response) -> dict[str, Any]:
    """Say that there is no result yet, and where it will be."""
    response.status_code = 202
    response.headers["Location"] = f"/invocations/{invocation.invocation_id}/result"
    return summary(invocation)


def described(error: BaseException) -> dict[str, Any]:
    """Say what went wrong."""
    return {"error": type(error).__name__, "message": str(error)}


def ndjson(items: AsyncIterable[Any]) -> StreamingResponse:
    """Answer with one line of JSON for each item, as it comes."""
    return StreamingResponse(_lines(items), media_type="application/x-ndjson")


async def _lines(items: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    try:
        async for item in items:
            yield msgspec.json.encode(item) + b"\n"
    except Exception as error:  # noqa: BLE001  the HTTP status was sent long ago: the error is the last line
        yield msgspec.json.encode(described(error)) + b"\n"


def answer_errors(web: FastAPI) -> None:
    """Answer with `HTTP_STATUS` where a handler raises."""
    for kind in HTTP_STATUS:
        web.add_exception_handler(kind, _to_response)


async def _to_response(_request: Request, error: Exception) -> Response:
    nearest = next(kind for kind in type(error).__mro__ if kind in HTTP_STATUS)
    return JSONResponse(described(error), HTTP_STATUS[nearest])
