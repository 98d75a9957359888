"""The figures of an app, as they are at the moment."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pynenc_async.invocation.base import BaseInvocation
from pynenc_async.invocation.dispatch import Dispatcher
from pynenc_async.statistics import AppStatistics


def statistics_of(dispatcher: Dispatcher, invocations: Iterable[BaseInvocation[Any, Any]]) -> AppStatistics:
    """Say where an app with these invocations stands."""
    scheduler, places = dispatcher.scheduler, dispatcher.places
    return AppStatistics(
        by_status=dict(Counter(invocation.status for invocation in invocations)),
        running=scheduler.in_use,
        running_in_threads=places.threads.in_use,
        running_in_processes=places.processes.in_use + places.interpreters.in_use,
        max_concurrency=None if scheduler.limit == float("inf") else int(scheduler.limit),
        max_threads=places.threads.limit,
        max_processes=places.processes.limit,
        unknown_tasks=dict(dispatcher.unknown_tasks()),
        loop_lag=dispatcher.watchdog.read(),
    )
