"""Statuses as small integers, steps as bytes, and paths that have been checked once.

The numbers are what files contain: they never change, and a status that is new gets the next one.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from struct import Struct
from typing import Final, NamedTuple

from pynenc_async.errors import InvocationStatusError
from pynenc_async.status import INITIAL, RULES, InvocationStatus, Ownership
from pynenc_async.store.values import Step

_S: Final = InvocationStatus

CODES: Final = {
    _S.SCHEDULED: 0,
    _S.REGISTERED: 1,
    _S.CONCURRENCY_CONTROLLED: 2,
    _S.CONCURRENCY_CONTROLLED_FINAL: 3,
    _S.REROUTED: 4,
    _S.PENDING: 5,
    _S.PENDING_RECOVERY: 6,
    _S.RUNNING: 7,
    _S.PAUSED: 8,
    _S.RESUMED: 9,
    _S.RUNNING_RECOVERY: 10,
    _S.RETRY: 11,
    _S.KILLED: 12,
    _S.SUCCESS: 13,
    _S.FAILED: 14,
    _S.CANCELLED: 15,
}
STATUSES: Final = {code: status for status, code in CODES.items()}
FINAL: Final = frozenset(code for code, status in STATUSES.items() if status.is_final())
CLAIMABLE: Final = frozenset(
    code
    for code, status in STATUSES.items()
    if status.is_available_to_run() or status in (_S.SCHEDULED, _S.CONCURRENCY_CONTROLLED)
)
"""What a runner may take out of its backlog, once it is due."""

OWNED: Final = frozenset(
    code for code, status in STATUSES.items() if RULES[status].ownership in (Ownership.ACQUIRES, Ownership.REQUIRED)
)
_ENTRY: Final = Struct("<BdIIH")
"""Code, moment, attempt, key of the runner, length of the reason, which follows."""
_pack = _ENTRY.pack
_LONGEST_REASON: Final = 65_535


class Path(NamedTuple):
    """What a sequence of statuses does to an invocation, whenever it happens."""

    before: int
    """A bit for each code that may come before it."""
    code: int
    """Where it ends."""
    retries: int
    start: int | None
    """The position of the last RUNNING in it."""
    final: bool
    claimable: bool
    owned: bool
    """Whether a runner owns the invocation at its end."""
    frees: bool
    """Whether there is a status in it that nobody owns: what was held is free."""


def path_of(steps: Sequence[Step]) -> Path:
    """Return the path of these steps. Raise `InvocationStatusError` where the status table knows no such path."""
    # Written out for the usual lengths: this is called once for every change.
    if len(steps) == 1:
        return _path((steps[0][0],))
    if len(steps) == 2:  # noqa: PLR2004
        return _path((steps[0][0], steps[1][0]))
    return _path(tuple([step[0] for step in steps]))


@lru_cache(maxsize=1024)
def _path(statuses: tuple[InvocationStatus, ...]) -> Path:
    if not statuses:
        raise InvocationStatusError("a change without a step changes nothing")
    for current, following in pairwise(statuses):
        if not current.can_transition_to(following):
            raise forbidden(current, following)
    codes = [CODES[status] for status in statuses]
    running = [position for position, status in enumerate(statuses) if status is _S.RUNNING]
    return Path(
        before=sum(1 << code for status, code in CODES.items() if status.can_transition_to(statuses[0])),
        code=codes[-1],
        retries=statuses.count(_S.RETRY),
        start=running[-1] if running else None,
        final=codes[-1] in FINAL,
        claimable=codes[-1] in CLAIMABLE,
        owned=codes[-1] in OWNED,
        frees=not OWNED.issuperset(codes),
    )


def check_beginning(steps: Sequence[Step]) -> None:
    """Raise `InvocationStatusError` unless an invocation may begin with the first of these steps."""
    if steps[0][0] not in INITIAL:
        raise forbidden(None, steps[0][0])


def forbidden(current: InvocationStatus | None, following: InvocationStatus) -> InvocationStatusError:
    """Return the error for a step that the table does not know."""
    return InvocationStatusError(f"an invocation cannot go from {current or 'nothing'} to {following}")


def write_steps(steps: Sequence[Step], runner: int) -> bytes:
    """Return the steps as the history keeps them, made by the runner with this key."""
    if len(steps) == 1:  # as nearly always
        ((status, moment, attempt, reason),) = steps
        if not reason:
            return _pack(CODES[status], moment, attempt, runner, 0)
    fields: list[float] = []
    for status, moment, attempt, reason in steps:
        if reason:
            return b"".join([_write_step(step, runner) for step in steps])
        fields += CODES[status], moment, attempt, runner, 0
    return (_PACKS.get(len(steps)) or _pack_many(len(steps)))(*fields)


def _pack_many(count: int) -> Callable[..., bytes]:
    return Struct("<" + "BdIIH" * count).pack


_PACKS: Final = {count: _pack_many(count) for count in range(1, 5)}


def _write_step(step: Step, runner: int) -> bytes:
    status, moment, attempt, reason = step
    if not reason:
        return _pack(CODES[status], moment, attempt, runner, 0)
    text = reason.encode("utf-8", "backslashreplace")[:_LONGEST_REASON]
    return _pack(CODES[status], moment, attempt, runner, len(text)) + text


def read_steps(history: bytes) -> Iterator[tuple[InvocationStatus, float, int, str, int]]:
    """Yield status, moment, attempt, reason and key of the runner of each step."""
    position = 0
    while position < len(history):
        code, moment, attempt, runner, length = _ENTRY.unpack_from(history, position)
        position += _ENTRY.size + length
        reason = history[position - length : position].decode("utf-8", "replace")
        yield STATUSES[code], moment, attempt, reason, runner
