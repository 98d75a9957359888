"""Which runtime an app has: read off its URL, or off the store that it was given."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from pynenc_async.configuration.app_options import AppOptions
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.invocation.durable.dispatcher import DurableDispatcher
from pynenc_async.store.base import Store


def dispatcher_for(
    name: str, options: AppOptions, tasks: Mapping[str, Any], new_store: Callable[[], Store] | None
) -> Dispatcher:
    """Return what submits and runs the calls of an app. Raises `InvalidTaskOptionsError` for a URL that names no store."""
    wiring: dict[str, Any] = {
        "name": name,
        "max_concurrency": options.max_concurrency,
        "max_threads": options.max_threads or min(32, (os.cpu_count() or 1) + 4),
        "retain_count": options.retain_count,
        "retain_seconds": options.retain_seconds,
        "ageing_seconds": options.ageing_seconds or None,
        "max_queued": options.max_queued,
    }
    if new_store is None:
        return Dispatcher(**wiring)
    return DurableDispatcher(
        new_store=new_store,
        tasks=tasks,
        window=options.store_window,
        lease_seconds=options.lease_seconds,
        **wiring,
    )
