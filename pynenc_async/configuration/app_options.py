"""The options of an app: one frozen value, from the same kind of rules as those of tasks."""

import math
from dataclasses import dataclass, fields
from typing import Annotated, Final

from pynenc_async.option_rules import COUNT, POSITIVE, SECONDS, SPAN, TEXT, Rule, is_number, rules_of

DEFAULT_MAX_CONCURRENCY: Final = 1_000
DEFAULT_RETAIN_COUNT: Final = 10_000
DEFAULT_RETAIN_SECONDS: Final = 3_600.0
DEFAULT_RETAIN_BYTES: Final = 256 * 1024 * 1024
DEFAULT_DRAIN_SECONDS: Final = 30.0
DEFAULT_AGEING_SECONDS: Final = 60.0
DEFAULT_WATCHDOG_SECONDS: Final = 0.5

DEFAULT_WINDOW: Final = 10_000
DEFAULT_STORE_RETAIN_SECONDS: Final = 7 * 86_400.0

_URLS: Final = ("memory://", "sync://", "sqlite://")
URL: Final = Rule(lambda value: isinstance(value, str) and value.startswith(_URLS), f"{' or '.join(map(repr, _URLS))}")
AMOUNT: Final = Rule(lambda value: value == math.inf or (is_number(value) and value >= 0), "a number of 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOptions:
    """What `Pynenc(...)` accepts, and says what it means."""

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


APP_DEFAULTS: Final = {field.name: field.default for field in fields(AppOptions)}
APP_RULES: Final = rules_of(AppOptions)
"""What each option of an app accepts."""
