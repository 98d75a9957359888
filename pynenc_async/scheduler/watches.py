"""Which tasks are watched: what their invocations go through is told in the loop, in order.

Only invocations of watched tasks pay. Their way into the queue (`Task.queue`) hangs a `Watch` on the record, from where
every transition is told to it; so the uses of a task (`with_options`) are known here, to be given another way in when the
watch of their task changes. What does not go straight into the queue, but from another thread, is looked up. An invocation
keeps the watch with which it began.

A watch is no waiter: it does not make an invocation awaited, and stays when the app moves to another loop.
"""

from collections.abc import Callable
from typing import Any, Final

from pynenc_async.record import Record, Watch
from pynenc_async.scheduler.backlog import Backlog
from pynenc_async.scheduler.unconnected import nobody_listens
from pynenc_async.status import InvocationStatus
from pynenc_async.telemetry import log
from pynenc_async.weak_bag import WeakBag

Queue = Callable[[Record], None]


class Watches:
    """The watches of one app by `task_id`, and what they have not told yet."""

    def __init__(self, queue_of: Callable[[Any], Queue] | None = None) -> None:
        self._queue_of: Final = queue_of or _no_queue
        self._uses: Final[dict[str, WeakBag[Any]]] = {}
        self._watches: Final[dict[str, Watch]] = {}
        self.backlog: Final[Backlog[Any]] = Backlog(self._tell)
        self.listener: Callable[[Any], object] = nobody_listens
        """Who is told, in the loop, what the watches put up."""
        self._refused: int | None = None
        """How much has been refused since the shutdown began to cancel; None while everything is told."""

    # -- the way in ----------------------------------------------------------------------------------------------------

    def enrol(self, use: Any) -> None:
        """Give a task, or one of its uses, its way into the queue; and another one when its watch changes."""
        self._uses.setdefault(use.task_id, WeakBag()).add(use)
        self._give_way(use)

    def watched(self, task_id: str, queue: Queue) -> Queue:
        """Return `queue` such that what it takes in is watched, if the task is."""
        return _watched(self._watches.get(task_id), queue)

    def watch(self, task_id: str, watch: Watch | None) -> None:
        """Let `watch` be told of the invocations that begin from now on; None: nobody."""
        if watch is None:
            self._watches.pop(task_id, None)
        else:
            self._watches[task_id] = watch
        for use in self._uses.get(task_id, ()):
            self._give_way(use)

    def _give_way(self, use: Any) -> None:
        """Let a use have the way in that its watch demands.

        The watch may change meanwhile: in another thread, or in this one, by a finalizer. Whoever has written the way in
        looks once more whether it is still the right one, so the last one to write has written the right one.
        """
        queue = self._queue_of(use)
        while True:
            watch = self._watches.get(use.task_id)
            use.queue = _watched(watch, queue)
            if self._watches.get(use.task_id) is watch:
                return

    def begin(self, record: Record) -> None:
        """Watch a new invocation, if its task is watched, from before it is queued: it might end on its way there."""
        watch = self._watches.get(record._task.task_id)
        if watch is not None:
            hang_on(record, watch)

    def resume(self, record: Record) -> None:
        """Watch from now on what began elsewhere and goes on here, if its task is watched."""
        watch = self._watches.get(record._task.task_id)
        if watch is not None:
            record.need_more().watch = watch

    def note_fork(self) -> None:
        """In a child: what has happened is told in the parent."""
        self.backlog.clear()

    # -- what is told --------------------------------------------------------------------------------------------------

    def put(self, news: object) -> None:
        """Tell it soon; callable in any thread."""
        if self._refused is None:
            self.backlog.put(news)
        else:
            self._refused += 1

    def _tell(self, news: object) -> None:
        self.listener(news)

    def refuse(self) -> None:
        """The shutdown is about to cancel what is left: whatever happens from now on is told to nobody."""
        self.backlog.work_off()
        self._refused = 0

    def accept(self) -> None:
        """Tell everything again, and log what was refused meanwhile."""
        refused, self._refused = self._refused, None
        if refused:
            log.warning(
                "%d transitions fired no trigger: the app was being shut down when they happened",
                refused,
                extra={"refused": refused},
            )


def _watched(watch: Watch | None, queue: Queue) -> Queue:
    if watch is None:
        return queue

    def queue_watched(record: Record) -> None:
        if record._more is None or record._more.watch is None:
            hang_on(record, watch)
        queue(record)

    return queue_watched


def hang_on(record: Record, watch: Watch) -> None:
    """Let `watch` be told of all transitions of a new invocation, the first one now."""
    more = record.need_more()
    if more.trail is None and record._task.options.starts_later:
        record._status = InvocationStatus.SCHEDULED
    more.watch = watch
    status, timestamp, attempt, reason = record.steps()[0]
    watch.moved(record, status, timestamp, attempt, reason)


def _no_queue(use: Any) -> Queue:
    raise NotImplementedError(f"nothing is queued here, whatever the task: {use}")
