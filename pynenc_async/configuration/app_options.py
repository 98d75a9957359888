"""The options of an app: one frozen value, from the same kind of rules as those of tasks."""

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Annotated, Final, ParamSpec
from urllib.parse import parse_qsl, urlsplit

from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.option_rules import (
    COUNT,
    POSITIVE,
    SECONDS,
    SPAN,
    TEXT,
    Rule,
    is_number,
    is_unknown,
    one_of,
    rules_of,
)
from pynenc_async.options import RULES as TASK_RULES
from pynenc_async.telemetry import LogFailures

Params = ParamSpec("Params")

DEFAULT_APP_ID: Final = "pynenc"
DEFAULT_MAX_CONCURRENCY: Final = 1_000
DEFAULT_RETAIN_COUNT: Final = 10_000
DEFAULT_RETAIN_SECONDS: Final = 3_600.0
DEFAULT_RETAIN_BYTES: Final = 256 * 1024 * 1024
DEFAULT_DRAIN_SECONDS: Final = 30.0
DEFAULT_AGEING_SECONDS: Final = 60.0
DEFAULT_WATCHDOG_SECONDS: Final = 0.5

DEFAULT_WINDOW: Final = 10_000
DEFAULT_STORE_RETAIN_SECONDS: Final = 7 * 86_400.0

_FILES: Final = "sqlite://"
_URLS: Final = ("memory://", "sync://", f"{_FILES}...")
URL: Final = Rule(
    lambda value: isinstance(value, str) and (value.startswith(_FILES) or value in _URLS[:2]),
    " or ".join(map(repr, _URLS)),
)
AMOUNT: Final = Rule(lambda value: value == math.inf or (is_number(value) and value >= 0), "a number of 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOptions:
    """What `Pynenc(...)` accepts; its docstring says what it means."""

    url: Annotated[str, URL] = "memory://"
    app_id: Annotated[str | None, TEXT.or_none()] = None
    max_concurrency: Annotated[int | None, POSITIVE.or_none()] = DEFAULT_MAX_CONCURRENCY
    max_threads: Annotated[int | None, POSITIVE.or_none()] = None
    max_processes: Annotated[int | None, POSITIVE.or_none()] = None
    retain_count: Annotated[int, COUNT] = DEFAULT_RETAIN_COUNT
    retain_seconds: Annotated[float, AMOUNT] = DEFAULT_RETAIN_SECONDS
    retain_bytes: Annotated[int | None, COUNT.or_none()] = DEFAULT_RETAIN_BYTES
    drain_seconds: Annotated[float, AMOUNT] = DEFAULT_DRAIN_SECONDS
    ageing_seconds: Annotated[float | None, AMOUNT.or_none()] = DEFAULT_AGEING_SECONDS
    max_queued: Annotated[int | None, POSITIVE.or_none()] = None
    store_window: Annotated[int, POSITIVE] = DEFAULT_WINDOW
    store_retain_seconds: Annotated[float | None, AMOUNT.or_none()] = DEFAULT_STORE_RETAIN_SECONDS
    store_retain_count: Annotated[int | None, COUNT.or_none()] = None
    store_retain_bytes: Annotated[int | None, COUNT.or_none()] = None
    lease_seconds: Annotated[float | None, SPAN.or_none()] = None
    watchdog_seconds: Annotated[float | None, SECONDS.or_none()] = DEFAULT_WATCHDOG_SECONDS
    log_failures: Annotated[LogFailures, one_of(LogFailures)] = LogFailures.UNSEEN


APP_DEFAULTS: Final = {field.name: field.default for field in fields(AppOptions)}
APP_RULES: Final = rules_of(AppOptions)
"""What each option of an app accepts."""

_OF_STORES: Final = frozenset(
    {"store_window", "store_retain_seconds", "store_retain_count", "store_retain_bytes", "lease_seconds"}
)


def app_option_without_effect(name: str, options: AppOptions, *, has_store: bool) -> str | None:
    """Say why an option that was given has no effect among `options`; None where it has one.

    Not here is what `sync://` does without: a program for it is one that runs elsewhere, too.
    """
    in_file = options.url.startswith(_FILES)
    if name in _OF_STORES and not (in_file or has_store):
        return f"has no effect without a store: a url as 'sqlite:///jobs.db', or store=...; the url is {options.url!r}"
    if (
        name == "lease_seconds"
        and in_file
        and not has_store
        and "lease" in dict(parse_qsl(urlsplit(options.url).query))
    ):
        return f"is in the url as well: {options.url!r}; keep one of them"
    return None


def refusing_unknown_options(init: Callable[Params, None]) -> Callable[Params, None]:
    """Let a constructor raise `InvalidTaskOptionsError` for a keyword that it does not have, and say which was meant."""
    known = inspect.signature(init).parameters

    @functools.wraps(init)
    def checked(*args: Params.args, **values: Params.kwargs) -> None:
        for name in values:
            if name not in known:
                raise InvalidTaskOptionsError("Pynenc", name, unknown_app_option(name, list(known)[1:]))
        init(*args, **values)

    return checked


def unknown_app_option(name: str, known: Iterable[str] = APP_RULES) -> str:
    """Return what is wrong with the name of an option that no app has."""
    option = name.removeprefix("tasks__").removeprefix("task_")
    if option in TASK_RULES:
        return (
            f"is one of tasks; for all of them it belongs to [task], PYNENC__TASK__{option.upper()}, or task_defaults"
        )
    return is_unknown(name, known)
