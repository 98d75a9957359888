"""The app: reads the URL, wires the parts, owns their life.

It is one class, in four steps that rest on each other: `wiring` has the parts, `finding` looks into what was submitted,
`defining` takes in tasks and what makes them run, `pynenc` lets all of it live.
"""

from pynenc_async.app.pynenc import Pynenc

__all__ = ["Pynenc"]
