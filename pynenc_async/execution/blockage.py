"""Who blocks an event loop, read from the stack of its thread: no body pays for being found.

A carrier that steps a body has a frame on that stack, and the record in it. So the innermost carrier's frame names the
invocation, and what lies inside of it is what the body does. Everything here is called in another thread, while the one
that is looked at goes on.
"""

import asyncio
import sys
from asyncio import AbstractEventLoop
from traceback import StackSummary
from types import FrameType
from typing import Any, Final

import msgspec

from pynenc_async.context import CURRENT
from pynenc_async.execution.stepping import Stepper
from pynenc_async.execution.tracebacks import is_our_module, module_of
from pynenc_async.record import Record

_CARRIERS: Final = frozenset({Stepper.begin.__code__, Stepper._continue.__code__})
_DEBUGGERS: Final = frozenset({"bdb", "pdb", "ipdb", "pudb", "pydevd", "_pydevd_bundle", "_pydev_bundle", "debugpy"})
_LOOPS: Final = frozenset({"asyncio", "uvloop"})


class Sighting(msgspec.Struct, frozen=True):
    """What a thread was found at."""

    record: Record | None
    """The invocation whose body, or what surrounds it, runs; None: none does."""
    spawned: bool
    """Whether it is a Task that the body has started."""
    stack: str
    """The stack, outermost first, without the frames of this package; from the body on, if there is one."""
    in_debugger: bool


def look(frame: FrameType, loop: AbstractEventLoop) -> Sighting:
    """Say what the thread of `loop` is at, given its innermost frame."""
    frames: list[FrameType] = []
    step: FrameType | None = frame
    while step is not None and step.f_code not in _CARRIERS:
        frames.append(step)
        step = step.f_back
    record = None if step is None else _record_in(step)
    spawned = False
    if record is None:
        record = _record_of_task(loop)
        spawned = record is not None
    return Sighting(record, spawned, _format(frames), _is_debugged(frames))


def bodies_below(body: Record) -> list[Record]:
    """Return whose bodies wait on the stack for that of `body`, which runs the loop itself here: the nearest first."""
    found = list[Record]()
    step: FrameType | None = sys._getframe(1)
    while step is not None:
        record = _record_in(step) if step.f_code in _CARRIERS else None
        if record is not None:
            found.append(record)
        step = step.f_back
    return found[found.index(body) + 1 :] if body in found else []


def _record_in(carrier: FrameType) -> Record | None:
    """Return the record that a carrier steps in this frame."""
    found: Any = carrier.f_locals
    record: Record | None = found.get("record")
    if isinstance(found, dict):
        found.clear()  # up to Python 3.12 it is a copy that the frame keeps: the record would live as long as a traceback
    return record


def _record_of_task(loop: AbstractEventLoop) -> Record | None:
    """Return the invocation that has started the current Task, as far as Python tells: from 3.12 on."""
    get_context: Any = getattr(asyncio.current_task(loop), "get_context", None)
    return None if get_context is None else get_context().get(CURRENT)


def _format(frames: list[FrameType]) -> str:
    shown = [(one, one.f_lineno) for one in reversed(frames) if not is_our_module(module_of(one))]
    return "".join(StackSummary.extract(iter(shown)).format())


def _is_debugged(frames: list[FrameType]) -> bool:
    """Whether a debugger holds the thread up. One that only runs the program stands outside of the loop's own frames."""
    for one in frames:
        package = module_of(one).partition(".")[0]
        if package in _DEBUGGERS:
            return True
        if package in _LOOPS:
            return False
    return False
