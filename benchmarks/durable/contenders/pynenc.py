"""pynenc on SQLite, tuned as on its memory backend: a runner in a thread of this process that never sleeps, plain JSON."""

import threading
import warnings

from pynenc import Pynenc  # type: ignore[import-untyped]  # it ships no types

from benchmarks.bodies import noop_in_thread
from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job, Stopwatch

_SETTINGS = {
    "app_id": "benchmarks",
    "broker_cls": "SQLiteBroker",
    "orchestrator_cls": "SQLiteOrchestrator",
    "state_backend_cls": "SQLiteStateBackend",
    "serializer_cls": "JsonSerializer",
    "runner_cls": "ThreadRunner",
    "runner_loop_sleep_time_sec": 0.0,
    "invocation_wait_results_sleep_time_sec": 0.0,
    "cached_status_time": 0.0,
    "min_threads": 4,
    "max_threads": 4,
    "logging_level": "critical",
}


def _burst(job: Job) -> float:
    app = Pynenc(config_values={**_SETTINGS, "sqlite_db_path": str(job.directory / "pynenc.db")})
    task = app.task(noop_in_thread)
    # It warns that signals are not handled outside the main thread.
    warnings.simplefilter("ignore")
    threading.Thread(target=app.runner.run, daemon=True).start()
    # The first result shows that the runner is up.
    task().result  # noqa: B018  # reading it waits
    watch = Stopwatch()
    list(task.parallelize([()] * job.n).results)
    return watch.read(job.n)


CONTENDER = DurableContender(label="pynenc on SQLite", distribution="pynenc", most=200, runs={Work.BURST: _burst})
