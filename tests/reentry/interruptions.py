"""Code of the application that comes in the midst of the library, as a finalizer or the handler of a signal does.

CPython runs those where a function is entered and around calls of what is written in C; a profile function is called at
the same places. It is heard in one thread alone.
"""

import gc
import sys
from contextlib import contextmanager
from pathlib import Path

import pynenc_async

PACKAGE = str(Path(pynenc_async.__file__).parent)
TESTING = str(Path(PACKAGE, "testing"))
MOST = 60  # else what is called in the midst would be interrupted in its turn, and so on


@contextmanager
def interrupted(act, *, every=1, most=MOST):
    """Call `act` in the midst of the library, at every so many places, until that was `most` times."""
    places = times = 0
    before = sys.getprofile()

    def look(frame, event, _):
        nonlocal places, times
        file = frame.f_code.co_filename
        if event in {"return", "c_exception"} or not file.startswith(PACKAGE) or file.startswith(TESTING):
            return
        places += 1
        if places % every == 0 and times < most:
            times += 1
            sys.setprofile(None)
            try:
                act()
            finally:
                sys.setprofile(look)

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)


class BrokenOffError(Exception):
    """What the handler of a signal raises, wherever the program is."""


@contextmanager
def broken_off(place):
    """Raise in the midst of the library, at one place."""

    def raise_it():
        raise BrokenOffError

    gc.disable()  # else it may be the finalizer of something else that is broken off
    try:
        with interrupted(raise_it, every=place, most=1):
            yield
    finally:
        gc.enable()


class Finalized:
    """Calls `act` when the collector finds it, and is there again, so that it does so each time."""

    def __init__(self, act, times):
        self.itself, self.act, self.times = self, act, times

    def __del__(self):
        if self.times:
            self.act()
            Finalized(self.act, self.times - 1)


@contextmanager
def collected(act, times=MOST):
    """Call `act` from a finalizer, each time that the collector runs; it runs as often as it can."""
    thresholds = gc.get_threshold()
    Finalized(act, times)
    gc.set_threshold(1)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()
