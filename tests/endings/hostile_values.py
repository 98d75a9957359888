"""Values whose classes raise when somebody looks inside, or makes one; a worker imports this module by its name."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

from hostile_errors import HOSTILE


@dataclasses.dataclass
class Unreadable:
    """Cannot be read for encoding: a property stands in for its field, and raises what is no error."""

    number: int = 0

    def __getattribute__(self, name):
        if name == "number":
            raise SystemExit("number")
        return super().__getattribute__(name)


@dataclasses.dataclass
class Unmakeable:
    """Is written, and cannot be made of what was written."""

    number: int

    def __post_init__(self):
        if self.number:
            raise SystemExit("post_init")


class Touchy:  # noqa: PLW1641  its hash is below
    """Minds whatever is done with it."""

    def __eq__(self, *_):
        raise KeyboardInterrupt

    __bool__ = __len__ = __str__ = __repr__ = __iter__ = __hash__ = __lt__ = __eq__

    @property
    def __class__(self):
        raise SystemExit("class")


def touchy():
    return Touchy()


def unmakeable():
    value = Unmakeable(0)
    value.number = 1
    return value


def make(number: int) -> Unmakeable:
    return Unmakeable(number)


def return_unreadable() -> Unreadable:
    return Unreadable()


def return_unmakeable() -> Unmakeable:
    return unmakeable()


async def yield_unmakeable() -> AsyncIterator[Unmakeable]:
    yield unmakeable()


def take_unreadable(value: Unreadable) -> None: ...


def take_unmakeable(value: Unmakeable) -> None: ...


def raise_hostile(number: int) -> None:
    raise HOSTILE[number]


async def raise_hostile_later(number: int) -> None:
    await asyncio.sleep(0)
    raise HOSTILE[number]
