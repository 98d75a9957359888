"""Which options have an effect only beside others. Pure: a table, and how it is read.

An option is refused that is given without what it needs, where both are decided: in a decorator, in `with_options`, in a
setting that names the task. What is said for all tasks is a default for those that can use it, and refused for none. An
option that has been switched off (`max_retries=0`) takes the effect of others with it, and that is not an oversight.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pynenc_async.limit import ConcurrencyControlType


@dataclass(frozen=True, slots=True)
class Need:
    """Something without which an option has no effect."""

    words: str
    """What ends the sentence "it has no effect"."""
    options: tuple[str, ...]
    """The options that decide whether it is there."""
    is_met: Callable[[Any], bool]
    """Whether it is, in the options of a task."""


def _one(name: str, is_met: Callable[[Any], bool]) -> Need:
    return Need(f"without {name}", (name,), is_met)


_DISABLED: Final = ConcurrencyControlType.DISABLED
_ALL_LIMITS: Final = ("registration_concurrency", "running_concurrency", "rate_limit")

_RETRIES: Final = _one("max_retries", lambda options: options.max_retries > 0)
_DELAY: Final = _one("retry_delay", lambda options: options.retry_delay > 0)
_REGISTRATION: Final = _one(
    "registration_concurrency", lambda options: options.registration_concurrency is not _DISABLED
)
_NO_SPAN: Final = Need("beside unique_for", ("unique_for",), lambda options: options.unique_for is None)
_DIFFERENT: Final = Need(
    "without registration_concurrency of 'task' or 'keys'",
    ("registration_concurrency",),
    lambda options: options.registration_concurrency in (ConcurrencyControlType.TASK, ConcurrencyControlType.KEYS),
)
_REUSE: Final = Need(
    "without on_duplicate of 'reuse'", ("on_duplicate",), lambda options: options.on_duplicate == "reuse"
)
_RUNNING: Final = _one("running_concurrency", lambda options: options.running_concurrency is not _DISABLED)
_LIMIT: Final = Need(
    "without running_concurrency, running_total or rate_limit",
    ("running_concurrency", "running_total", "rate_limit"),
    lambda options: options.is_limited,
)
_KEYS: Final = Need(
    f"without 'keys' as {', '.join(_ALL_LIMITS[:2])} or scope of rate_limit",
    _ALL_LIMITS,
    lambda options: ConcurrencyControlType.KEYS in options.scopes,
)

NEEDS: Final[Mapping[str, tuple[Need, ...]]] = {
    "retry_for": (_RETRIES,),
    "no_retry_for": (_RETRIES,),
    "retry_if": (_RETRIES,),
    "retry_delay": (_RETRIES,),
    "retry_backoff": (_RETRIES, _DELAY),
    "retry_max_delay": (_RETRIES, _DELAY),
    "retry_jitter": (_RETRIES, _DELAY),
    "on_duplicate": (_REGISTRATION,),
    "on_different_arguments_raise": (_DIFFERENT, _REUSE),
    "unique_until": (_REGISTRATION, _NO_SPAN),
    "unique_for": (_REGISTRATION,),
    "running_limit": (_RUNNING,),
    "on_limit": (_LIMIT,),
    "key_arguments": (_KEYS,),
}
"""What each option needs; those that are not here have an effect by themselves.

Not here is what depends on where an app runs, so that a task may be written once for all of them: `max_crashes`, which needs
a worker process or a store, and all that `sync://` does without.
"""
_SAYS_NOTHING: Final[Mapping[str, Any]] = {"retry_backoff": 1.0}
_OFF: Final = (None, 0, (), _DISABLED)


def implied(values: Mapping[str, Any], running_concurrency: object) -> dict[str, Any]:
    """Return what is meant by options that are given alone: a running limit is one of the task."""
    alone = "running_limit" in values and "running_concurrency" not in values and is_off(running_concurrency)
    return {"running_concurrency": ConcurrencyControlType.TASK} if alone else {}


def is_off(value: object) -> bool:
    """Whether a value says that an option is not wanted: None, 0, False, nothing, "disabled"."""
    return value in _OFF


def without_effect(name: str, options: Any, meant: Collection[str] = ()) -> str | None:
    """Say why an option that was given has no effect among `options`; None where it has one, or says nothing itself.

    `meant`: options of which it is known that they are meant to be as they are.
    """
    value = getattr(options, name)
    if is_off(value) or value == _SAYS_NOTHING.get(name):
        return None
    unmet = [need for need in NEEDS.get(name, ()) if not need.is_met(options)]
    if not unmet or any(option in meant for need in unmet for option in need.options):
        return None
    return f"has no effect {' and '.join(need.words for need in unmet)}"
