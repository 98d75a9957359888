"""The seeded order of one turn of the loop.

asyncio runs what is ready first in, first out, and programs come to depend on it by accident. What is promised is less:
callbacks given to `call_soon` run in that order among themselves. Nothing says which of two ready tasks steps first,
nor which of two threads is heard first. So the queue of a turn is taken apart by *source*: every task is one, and so is
every thread that called `call_soon_threadsafe`. The places that sources hold in the queue are dealt out anew; what
comes from one source stays in order; everything else (transports, timers, plain callbacks) stays exactly where it was.
"""

import asyncio
import math
import random
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from typing import TypeAlias

from pynenc_async.testing.internals import callback_of, task_stepped_by

Source: TypeAlias = asyncio.Task[object] | threading.Thread | float
"""A task, a numbered piece of work in a thread, a thread whose work has no number."""


class _WorkHere(threading.local):
    number: float = math.inf


_HERE = _WorkHere()


def deliver_as(number: int) -> None:
    """Mark what this thread delivers from now on as the results of the piece of work with this number."""
    _HERE.number = number


class Delivery:
    """A callback that another thread gave to the loop, marked with that thread."""

    def __init__(self, callback: Callable[..., object]) -> None:
        self.callback = callback
        self.thread = threading.current_thread()  # not its ident, which the next thread may inherit
        self.number = _HERE.number
        self.source: Source = self.thread if self.number == math.inf else self.number

    def __call__(self, *args: object) -> object:
        """Do what the thread asked for."""
        return self.callback(*args)

    def __repr__(self) -> str:
        return f"<{self.callback!r} from {self.thread.name}>"


def shuffle(ready: deque[asyncio.Handle], rng: random.Random) -> None:
    """Reorder the queue in place; called in the thread of the loop, between two turns."""
    # Taken out and put back at the left: another thread may append at the right meanwhile, and must not be lost.
    handles = [ready.popleft() for _ in range(len(ready))]
    handles.sort(key=_number_of)  # stable: what no thread delivered keeps its order, in front
    ready.extendleft(reversed(_dealt_out(handles, rng)))


def _dealt_out(handles: list[asyncio.Handle], rng: random.Random) -> list[asyncio.Handle]:
    by_source: defaultdict[Source, deque[asyncio.Handle]] = defaultdict(deque)
    places: list[int] = []
    order: list[Source] = []
    for place, handle in enumerate(handles):
        source = _source_of(handle)
        if source is not None:
            by_source[source].append(handle)
            places.append(place)
            order.append(source)
    rng.shuffle(order)
    dealt = list(handles)
    for place, source in zip(places, order, strict=True):
        dealt[place] = by_source[source].popleft()
    return dealt


def _number_of(handle: asyncio.Handle) -> tuple[bool, float]:
    callback = callback_of(handle)
    return (True, callback.number) if isinstance(callback, Delivery) else (False, 0)


def _source_of(handle: asyncio.Handle) -> Source | None:
    callback = callback_of(handle)
    return callback.source if isinstance(callback, Delivery) else task_stepped_by(callback)
