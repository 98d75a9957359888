"""Which runtime an app has: read off its URL, or off the store that it was given."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from pynenc_async.configuration.app_options import DEFAULT_APP_ID, AppOptions
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.invocation.durable.dispatcher import DurableDispatcher
from pynenc_async.store.base import Store
from pynenc_async.store.sqlite import SqliteOptions, SqliteStore
from pynenc_async.store.values import Retention

NewStore = Callable[[], Store]
_LEASE_SECONDS: Final = 10.0


def is_durable(options: AppOptions, new_store: NewStore | None) -> bool:
    """Whether an app keeps its invocations in a store."""
    return new_store is not None or options.url.startswith("sqlite:")


def dispatcher_for(
    app: object, name: str, options: AppOptions, tasks: Mapping[str, Any], new_store: NewStore | None
) -> Dispatcher:
    """Return what submits and runs the calls of an app. Raises `StoreError` for a URL that names no file.

    Args:
        app: The app, for handles to what belongs to no task that is known.
        name: The app in words.
        options: Those of the app.
        tasks: Its tasks, by each id that stored work may name.
        new_store: Makes its store, in place of what the URL names.

    """
    wiring: dict[str, Any] = {
        "name": name,
        "max_concurrency": options.max_concurrency,
        "max_threads": options.max_threads or min(32, (os.cpu_count() or 1) + 4),
        "max_processes": options.max_processes or os.cpu_count() or 1,
        "retain_count": options.retain_count,
        "retain_seconds": options.retain_seconds,
        "retain_bytes": options.retain_bytes,
        "ageing_seconds": options.ageing_seconds or None,
        "max_queued": options.max_queued,
        "watchdog_seconds": options.watchdog_seconds,
        "log_failures": options.log_failures,
    }
    lease_seconds = options.lease_seconds
    if new_store is None and options.url.startswith("sqlite:"):
        sqlite = SqliteOptions.from_url(options.url)
        new_store, lease_seconds = (lambda: SqliteStore(sqlite)), lease_seconds or sqlite.lease_seconds
    if new_store is None:
        return Dispatcher(**wiring)
    return DurableDispatcher(
        app=app,
        app_id=options.app_id or DEFAULT_APP_ID,
        new_store=new_store,
        tasks=tasks,
        window=options.store_window,
        lease_seconds=lease_seconds or _LEASE_SECONDS,
        retention=Retention(
            seconds=options.store_retain_seconds, count=options.store_retain_count, bytes=options.store_retain_bytes
        ),
        **wiring,
    )
