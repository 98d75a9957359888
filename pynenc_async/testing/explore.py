"""Many seeds, one report: which fail, and how many different failures that is."""

import re
import traceback
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, cast

from pynenc_async.testing.simulate import simulate
from pynenc_async.testing.virtual_loop import DEFAULT_PATIENCE

_VARYING: Final = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8,}\b|\d+(?:\.\d+)?")
"""What differs between two messages of the same failure: addresses, ids, numbers."""
_MOST_SEEDS_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """The seeds that fail in the same way: the same class, raised at the same place, with the same message."""

    seeds: tuple[int, ...]
    error: BaseException
    """The failure of the first of the seeds."""
    place: str
    """The innermost line of the traceback: file, line and function."""

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.seeds[:_MOST_SEEDS_SHOWN]))
        more = ", ..." if len(self.seeds) > _MOST_SEEDS_SHOWN else ""
        summary = "".join(traceback.format_exception_only(type(self.error), self.error)).rstrip()
        return f"{len(self.seeds)}x at {self.place}: seeds {shown}{more}\n" + "\n".join(
            f"    {line}" for line in summary.splitlines()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What `explore` found."""

    seeds: tuple[int, ...]
    """The seeds that were tried, in order."""
    failures: Mapping[int, BaseException]
    """What the program raised, by seed. Only the first of each group keeps its traceback."""
    groups: tuple[FailureGroup, ...]
    """The different failures, in the order in which they were found."""

    def raise_if_failed(self) -> None:
        """Raise an exception group with one failure of each kind; return if there is none."""
        if self.groups:
            raise BaseExceptionGroup(self._headline(), [group.error for group in self.groups])

    def _headline(self) -> str:
        if not self.failures:
            return f"none of {len(self.seeds)} seeds fails"
        kinds = "1 kind" if len(self.groups) == 1 else f"{len(self.groups)} kinds"
        return f"{len(self.failures)} of {len(self.seeds)} seeds fail, in {kinds}"

    def __str__(self) -> str:
        return "\n".join([self._headline(), *map(str, self.groups)])


def explore(
    main: Callable[[], Coroutine[Any, Any, object]],
    *,
    seeds: int | Iterable[int] = 1_000,
    first: bool = False,
    patience: float = DEFAULT_PATIENCE,
) -> Exploration:
    """Simulate `main` with many seeds (a number: from 0 on) and report those that fail; with `first`, stop at one.

    `KeyboardInterrupt` is not a failure but the end: it is raised.
    """
    tried: list[int] = []
    failures: dict[int, BaseException] = {}
    kinds: dict[object, tuple[list[int], BaseException, str]] = {}
    for seed in range(seeds) if isinstance(seeds, int) else seeds:
        tried.append(seed)
        error = _failure_of(main, seed, patience)
        if error is not None:
            failures[seed] = error
            _sort_in(kinds, seed, error)
            if first:
                break
    groups = (FailureGroup(seeds=tuple(alike), error=error, place=place) for alike, error, place in kinds.values())
    return Exploration(seeds=tuple(tried), failures=MappingProxyType(failures), groups=tuple(groups))


def _failure_of(main: Callable[[], Coroutine[Any, Any, object]], seed: int, patience: float) -> BaseException | None:
    try:
        simulate(main, seed=seed, patience=patience)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  a failed assertion of a test framework need not be an Exception
        return error
    return None


def _sort_in(kinds: dict[object, tuple[list[int], BaseException, str]], seed: int, error: BaseException) -> None:
    kind, place = _kind_of(error), _place_of(error)
    known = kinds.get(kind)
    if known is None:
        kinds[kind] = ([seed], error, place)
    else:
        known[0].append(seed)
        error.__traceback__ = None  # its frames keep a whole run alive, with its app: one of a kind is enough


def _kind_of(error: BaseException) -> object:
    kind: type[BaseException] = type(error)
    if isinstance(error, BaseExceptionGroup):
        members = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return kind, tuple(_kind_of(member) for member in members)
    return kind, _place_of(error), _VARYING.sub("#", str(error))


def _place_of(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else "an unknown place"
