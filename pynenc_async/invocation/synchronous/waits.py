"""Who waits for whom: bodies for invocations, and threads for them, too.

A body that waits is PAUSED, and the ring of waiters that it might close is refused, as everywhere. Inline bodies need a
second look: a `def` body that waits inside an event loop holds up its thread, and with it every body that runs there. So
the search for what can never end follows two kinds of edges: a body to what it awaits, and a run, through the thread that
it needs, to what that thread is blocked for.
"""

import threading
from asyncio.events import _get_running_loop
from collections.abc import Generator
from contextlib import contextmanager
from itertools import chain

from pynenc_async.context import CURRENT
from pynenc_async.errors import InvocationNotFinalError
from pynenc_async.invocation.synchronous.record import SynchronousRecord
from pynenc_async.invocation.waiting import Wait


def body_here() -> SynchronousRecord | None:
    """Return the inline invocation whose body runs here, if it is still under way."""
    record = CURRENT.get()
    return record if isinstance(record, SynchronousRecord) and record._ended_at is None else None


@contextmanager
def waiting(target: SynchronousRecord, *, detect_cycles: bool = True) -> Generator[None]:
    """Keep the body that waits here for `target`, if it is one, PAUSED meanwhile.

    Raises `CycleDetectedError` when the wait would close a ring.
    """
    body = body_here()
    if body is None or target._ended_at is not None:
        yield
        return
    wait = Wait(body, (target,))
    body._pause(wait, detect_cycles=detect_cycles)
    try:
        yield
    finally:
        body._resume(wait)


@contextmanager
def blocking(target: SynchronousRecord) -> Generator[None]:
    """Note that this thread does nothing until `target` has ended; raise `InvocationNotFinalError` if that is never."""
    desk, thread_id = target._desk, threading.get_ident()
    with desk.lock:
        refuse_standstill(target, blocks=True)
        desk.blocked[thread_id] = target
    try:
        yield
    finally:
        del desk.blocked[thread_id]


def refuse_standstill(target: SynchronousRecord, *, blocks: bool) -> None:
    """Raise `InvocationNotFinalError` when `target` needs what this wait holds up: this thread, or the body here.

    A wait that blocks holds up its whole thread, one that does not all but the running loop.
    """
    loop_here, thread_here, body = _get_running_loop(), threading.get_ident(), body_here()
    with target._desk.lock:
        for record, through_thread in _needs(target):
            run = record._driver
            ours = run is not None and run.thread_id == thread_here and (blocks or run.loop is not loop_here)
            # Without a thread in between it is a ring of bodies, and whether that is refused is the task's to say.
            if ours or (through_thread and record is body):
                raise _standstill(target)


def _needs(target: SynchronousRecord) -> Generator[tuple[SynchronousRecord, bool]]:
    """Yield what has to go on before `target` can end, and whether that is so because a thread is blocked."""
    stack, seen = [(target, False)], set[tuple[int, bool]]()
    while stack:
        record, through_thread = stack.pop()
        if (id(record), through_thread) in seen or record._ended_at is not None:
            continue
        seen.add((id(record), through_thread))
        yield record, through_thread
        if record._driver is not None and record._driver.thread_id in target._desk.blocked:
            stack.append((target._desk.blocked[record._driver.thread_id], True))
        waits = {} if record._more is None else record._more.blocked_on or {}
        nearer = chain.from_iterable(waits.values())
        stack += [(one, through_thread) for one in nearer if isinstance(one, SynchronousRecord)]


def _standstill(target: SynchronousRecord) -> InvocationNotFinalError:
    invocation_id = target._desk.format_id(target._number)
    return InvocationNotFinalError(
        invocation_id,
        f"invocation {invocation_id} is under way in a body or an event loop that cannot go on while this waits; "
        "await it where it runs",
    )
