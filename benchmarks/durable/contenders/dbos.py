"""dbos on SQLite: workflows through a queue, polls of one millisecond. The body is a `def`, its cheaper kind."""

import importlib
from typing import Any

from benchmarks.bodies import noop_in_thread
from benchmarks.durable.cases import Work
from benchmarks.durable.contenders import DurableContender, Job, Stopwatch

DBOS: Any = importlib.import_module("dbos").DBOS

_POLL = 0.001


def _burst(job: Job) -> float:
    DBOS(
        config={
            "name": "benchmarks",
            "system_database_url": f"sqlite:///{job.directory / 'dbos.sqlite'}",
            "run_admin_server": False,
            "log_level": "CRITICAL",
        }
    )
    workflow = DBOS.workflow()(noop_in_thread)
    DBOS.launch()
    DBOS.register_queue("queue", polling_interval_sec=_POLL)
    DBOS.enqueue_workflow("queue", workflow).get_result(polling_interval_sec=_POLL)
    watch = Stopwatch()
    for handle in [DBOS.enqueue_workflow("queue", workflow) for _ in range(job.n)]:
        handle.get_result(polling_interval_sec=_POLL)
    return watch.read(job.n)


CONTENDER = DurableContender(label="dbos on SQLite", distribution="dbos", most=200, runs={Work.BURST: _burst})
