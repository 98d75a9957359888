"""A web service whose work is invocations: it asks other servers for the line with which they greet, as SSH or SMTP do.

Run it with `python -m pynenc_async.examples.service --port 8000`; http://127.0.0.1:8000/docs shows every endpoint.
"""

import argparse
import asyncio
import dataclasses
import logging
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.responses import StreamingResponse

from pynenc_async import CancelOutcome, InvocationStatus, Pynenc
from pynenc_async.examples.service_http import accepted, answer_errors, described, ndjson, summary

app = Pynenc(app_id="greetings")


# -- the work ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Server:
    """Where to connect to."""

    host: str
    port: int


@dataclasses.dataclass(frozen=True)
class Greeting:
    """What a server said."""

    server: Server
    text: str


@app.task
def resolve(host: str) -> list[str]:
    """Look a name up. The resolver blocks, and so this is a `def` task: it runs in a thread."""
    return sorted({str(address[0]) for *_, address in socket.getaddrinfo(host, None)})


@app.task
async def ask(server: Server) -> Greeting:
    """Wait for the first line that the server sends, however long that takes."""
    async with connection(server) as lines:
        text = (await lines.readline()).decode(errors="replace").strip()
    ask.logger.info("%s:%d says %r", server.host, server.port, text)
    return Greeting(server, text)


@app.task
async def listen(server: Server) -> AsyncGenerator[str, None]:
    """Yield every line that the server sends."""
    async with connection(server) as lines:
        async for line in lines:
            yield line.decode(errors="replace").strip()


@asynccontextmanager
async def connection(server: Server) -> AsyncGenerator[asyncio.StreamReader, None]:
    """Connect to the first address of the server."""
    address, *_ = await resolve(server.host)
    reader, writer = await asyncio.open_connection(address, server.port)
    try:
        yield reader
    finally:
        writer.close()


# -- the service -------------------------------------------------------------------------------------------------------

web = FastAPI(title="Greetings", lifespan=app.lifespan)
answer_errors(web)


@web.get("/addresses/{host}")
def get_addresses(host: str) -> list[str]:
    """Submit and wait in a `def` handler, which FastAPI runs in a thread."""
    return resolve(host).blocking_result(timeout=10)


@web.get("/greetings")
async def get_greeting(host: str, port: int) -> Greeting:
    """Submit and await in an `async def` handler. The work goes on when the client hangs up."""
    return await ask(Server(host, port))


@web.post("/greetings", status_code=202)
async def post_greeting(server: Server, response: Response) -> dict[str, Any]:
    """Answer 202 as soon as the invocation is accepted; the client comes back for the result."""
    return accepted(await ask.submit(server), response)


@web.post("/greetings/batch")
async def post_batch(servers: list[Server]) -> StreamingResponse:
    """Stream the outcomes of a group, as its members end."""

    async def outcomes() -> AsyncIterator[Any]:
        async for invocation in group.as_completed():
            error = invocation.exception()
            yield invocation.result if error is None else {**invocation.arguments.kwargs, **described(error)}

    group = ask.parallelize([(server,) for server in servers])
    return ndjson(outcomes())


@web.post("/listeners", status_code=202)
async def post_listener(server: Server, response: Response) -> dict[str, Any]:
    """Start to listen; any number of clients can read along at `/invocations/{id}/lines`."""
    return accepted(await listen.submit(server), response)


@web.get("/invocations")
async def get_invocations(status: InvocationStatus | None = None) -> list[dict[str, Any]]:
    """List what is known, or what has this status."""
    return [summary(invocation) for invocation in app.invocations(status=status)]


@web.get("/invocations/{invocation_id}")
async def get_invocation(invocation_id: str) -> dict[str, Any]:
    """Tell the whole story of an invocation."""
    invocation = app.get_invocation(invocation_id)
    history = [{"status": step.status, "at": step.at, "reason": step.reason} for step in invocation.history]
    return {**summary(invocation), "parent": invocation.parent_invocation_id, "history": history}


@web.get("/invocations/{invocation_id}/result")
async def get_result(invocation_id: str, response: Response, wait: Annotated[float, Query(ge=0, le=60)] = 0) -> Any:
    """Return the result; 202 where it has not come within `wait` seconds."""
    invocation = app.get_invocation(invocation_id)
    if await invocation.wait(wait):
        return invocation.result
    return accepted(invocation, response)


@web.get("/invocations/{invocation_id}/lines")
async def get_lines(invocation_id: str) -> StreamingResponse:
    """Stream what a listener hears, from its first line on."""
    invocation = app.get_invocation(invocation_id)
    if invocation.task.task_id != listen.task_id:
        raise HTTPException(409, f"{invocation_id} is not a listener")
    return ndjson(invocation.stream())


@web.delete("/invocations/{invocation_id}")
async def delete_invocation(invocation_id: str, reason: str = "") -> dict[str, CancelOutcome]:
    """Cancel, and answer when the work has really ended."""
    return {"outcome": await app.get_invocation(invocation_id).cancel(reason)}


def main() -> None:
    """Serve on loopback until SIGINT or SIGTERM; what runs by then is finished first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 for any free port (default: %(default)s)")
    port = parser.parse_args().port
    logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):  # uvicorn repeats the signal at its end, to exit by it
        uvicorn.run(web, host="127.0.0.1", port=port, timeout_graceful_shutdown=10)  # for requests; then the app drains


if __name__ == "__main__":
    main()
