"""The pool of workers of one app on one loop: what the scheduler asks of it, and what its workers tell."""

from asyncio import AbstractEventLoop, CancelledError
from collections.abc import Callable
from typing import Any, Final

from pynenc_async.codec import decode_with
from pynenc_async.execution.desk import Desk, PoolPlace
from pynenc_async.execution.processes.catalogue import Catalogue, encode_arguments
from pynenc_async.execution.processes.driver import BodyDriver
from pynenc_async.execution.processes.handle import WorkerHandle
from pynenc_async.execution.processes.inside import refuse_pool
from pynenc_async.execution.processes.messages import Began, Item, Raised, Ready, Reported, Returned, Run
from pynenc_async.execution.processes.outcomes import Outcome, crashed, no_worker, raised, returned
from pynenc_async.execution.processes.reporting import Reporter
from pynenc_async.execution.processes.staff import Launch, Staff
from pynenc_async.execution.processes.streaming import Items, window_of
from pynenc_async.execution.progress import Progress, board_of
from pynenc_async.function import FunctionKind
from pynenc_async.guard import ids_of, report_failure
from pynenc_async.outcome import value_error
from pynenc_async.record import Record

AHEAD_SECONDS: Final = 0.002
"""How much work may be sent ahead, for each worker."""
MOST_AHEAD: Final = 32
"""How many bodies, for each worker."""
_SMOOTHING: Final = 0.1
"""Weight of the newest body in the moving average of their durations."""
MOST_LOSSES: Final = 2
"""A body whose workers have died so often before it began is held to be what kills them: its module may do that."""

_STREAM: Final = FunctionKind.STREAM


class Processes:
    """Runs bodies in workers. In the loop's thread."""

    def __init__(
        self,
        name: str,
        desk: Desk,
        place: PoolPlace,
        loop: AbstractEventLoop,
        settle: Callable[[], None],
        launch: Launch,
    ) -> None:
        self._desk: Final = desk
        self._place: Final = place
        self._loop: Final = loop
        self._settle: Final = settle
        self._catalogue: Final = Catalogue()
        self._pace = AHEAD_SECONDS
        self.staff: Final = Staff(
            name=name,
            place=place,
            loop=loop,
            launch=launch,
            tasks=self._catalogue.defines,
            describe=self._describe,
            receive=self._receive,
            died=self._died,
            start_failed=self._start_failed,
        )
        self._reporter: Final = Reporter(desk, loop, settle, self.staff.end_work)
        self._items: Final = Items(desk, loop, self._rest, self._conclude_late)
        self._handlers: Final[dict[type, Callable[[WorkerHandle, Any], None]]] = {
            Ready: self._ready,
            Began: self._began,
            Returned: self._returned,
            Raised: self._raised,
            Reported: self._reported,
            Item: self._item,
        }

    # -- what the scheduler asks for -----------------------------------------------------------------------------------

    def start(self, record: Record) -> None:
        """Run a record that was taken in a worker."""
        body = BodyDriver(record, self)
        if record._ended_at is not None:
            return  # a finalizer or a signal handler has cancelled it since it was taken
        record._driver = body
        self.staff.begin_work()
        try:
            refuse_pool()
            body.task = self._catalogue.index_of(record)
            body.arguments = encode_arguments(record)
        except BaseException as problem:  # noqa: BLE001  code of the classes of its arguments runs here, too
            body.final = False, value_error(problem, "arguments")
            self._loop.call_soon(self._conclude_late, body)
            return
        if record._task.function.kind is _STREAM:
            body.window = window_of(record._task.options.stream_buffer)
        self.staff.offer(body)

    def revoke(self, body: BodyDriver) -> bool:
        """Take a body back before it begins; say whether that was possible."""
        worker = body.worker
        if worker is not None:
            if not worker.take_back(only=body):
                return False
            self.staff.refill(worker)
        elif body.final is not None or body not in self.staff.backlog:
            return False
        else:
            self.staff.backlog.remove(body)
        self.staff.end_work()
        self._loop.call_soon(self._settle)  # its slot will be free, when the scheduler has ended it
        return True

    def stop(self, body: BodyDriver) -> None:
        """Tell a body to stop, and its worker with it."""
        worker = body.worker
        if worker is None:
            if body.final is not None and body.held is None:
                return  # it is over, which is told in this turn
            body.final = False, CancelledError()
            if body in self.staff.backlog:
                self.staff.backlog.remove(body)
            self._loop.call_soon(self._conclude_late, body)
            return
        self.staff.take_back(worker)
        if body.worker is None:
            self.stop(body)
        elif next(reversed(worker.bodies.values())) is body:  # else it is over, which will be told in a moment
            body.stopping = True
            worker.doomed = body
            self._end_doomed(worker)

    def insist(self, body: BodyDriver) -> bool:
        """Kill the worker of a body that was told to stop; say whether that can be done."""
        worker = body.worker
        if worker is None or not worker.life.can_be_killed or worker.was_killed:
            return False
        worker.kill()
        return True

    def close(self) -> None:
        """The loop is gone."""
        self.staff.close()

    def _end_doomed(self, worker: WorkerHandle) -> None:
        """End a worker for the sake of a body, as soon as nothing else can be hurt: the body before it may just end."""
        if worker.doomed is not None and not worker.stopping and next(iter(worker.bodies.values())) is worker.doomed:
            self.staff.end(worker, at_once=False)

    # -- what workers tell ---------------------------------------------------------------------------------------------

    def _receive(self, worker: WorkerHandle) -> None:
        self._take_in(worker, worker.receive())
        if worker.doomed is None:
            self.staff.refill(worker)
        else:
            self._end_doomed(worker)
        self._settle()

    def _take_in(self, worker: WorkerHandle, told: list[Any]) -> None:
        handlers = self._handlers
        for message in told:
            try:
                handlers[type(message)](worker, message)
            except BaseException as error:  # noqa: BLE001  what else it has told is taken in all the same
                report_failure(error, f"taking in what {worker.name} has told", **self._ids_of(worker, message))

    def _ids_of(self, worker: WorkerHandle, message: Any) -> dict[str, str]:
        body = worker.bodies.get(getattr(message, "ticket", 0))
        return {} if body is None else ids_of(body.record)

    def _ready(self, worker: WorkerHandle, message: Ready) -> None:
        del message
        worker.is_ready = True
        self.staff.hiring.succeeded()

    def _began(self, worker: WorkerHandle, message: Began) -> None:
        body = worker.bodies[message.ticket]
        body.begun = True
        self._reporter.began(body)

    def _returned(self, worker: WorkerHandle, message: Returned) -> None:
        body = worker.bodies[message.ticket]
        outcome = (True, None) if body.window else returned(body.record, message.value)
        self._ended(worker, body, outcome, message.seconds)

    def _raised(self, worker: WorkerHandle, message: Raised) -> None:
        self._ended(worker, worker.bodies[message.ticket], raised(message.error), message.seconds)

    def _ended(self, worker: WorkerHandle, body: BodyDriver, outcome: Outcome, seconds: float) -> None:
        body.final = body.final or outcome
        if body.stopping:
            return  # it is told when the worker is gone
        del worker.bodies[body.ticket]
        body.worker = None
        self._set_pace(seconds)
        if body.held is None:
            self._reporter.conclude(body)

    def _set_pace(self, seconds: float) -> None:
        if not self.staff.simulated:  # there, real durations must decide nothing
            self._pace += (seconds - self._pace) * _SMOOTHING
            self.staff.depth = 1 + int(min(MOST_AHEAD, AHEAD_SECONDS / self._pace))
            self._place.ahead = (self.staff.depth - 1) * self._place.limit

    def _reported(self, worker: WorkerHandle, message: Reported) -> None:
        body = worker.bodies.get(message.ticket)
        if body is not None and body.record._driver is body:
            board_of(body.record).put_up(Progress(message.done, message.total, message.message), self._loop)

    def _item(self, worker: WorkerHandle, message: Item) -> None:
        body = worker.bodies[message.ticket]
        try:
            item = decode_with(body.record._task.function.item_decoder, message.value, "item")
        except BaseException as problem:  # noqa: BLE001  code of the annotated class
            body.final = False, value_error(problem, "item")
            self.stop(body)
            return
        self._items.put(body, item)

    # -- ends ----------------------------------------------------------------------------------------------------------

    def _died(self, worker: WorkerHandle, told: list[Any], exit_code: int) -> None:
        self._take_in(worker, told)
        lost: list[BodyDriver] = []
        ended: list[BodyDriver] = []
        for body in list(worker.bodies.values()):
            body.worker = None
            if body.final is None and not body.begun and not body.stopping and body.losses + 1 < MOST_LOSSES:
                body.losses += 1
                lost.append(body)
            else:
                body.final = body.final or self._how_it_ended(body, exit_code)
                ended.append(body)
        self._conclude_each(ended)
        self.staff.return_bodies(lost)
        is_failure = worker.is_cut_off or not worker.was_killed  # else it was ended for the sake of a body
        if not worker.is_ready and is_failure and not self.staff.is_stopping:
            self.staff.hiring.failed(ChildProcessError(f"the last one ended with exit code {exit_code}"))
        self.staff.distribute_soon()
        self._settle()

    def _how_it_ended(self, body: BodyDriver, exit_code: int) -> Outcome:
        if body.stopping:
            return False, CancelledError()
        return crashed(body.record, self._desk.format_id(body.record._number), exit_code)

    def _start_failed(self, error: Exception) -> bool:
        """No worker can be started: fail what waits for one, if none lives. Say whether nothing is left.

        Where those that live wait for readers, they come back, but for that a slot must be free.
        """
        backlog, living = self.staff.backlog, self.staff.living
        if living > self.staff.resting:
            return False
        most = len(backlog) if not living else max(0, len(backlog) - self._place.limit + 1)
        given_up = [backlog.pop() for _ in range(most)][::-1]
        for body in given_up:
            body.final = no_worker(body.record, error)
        self._conclude_each(given_up)
        self._loop.call_soon(self._settle)
        return not backlog

    def _conclude_late(self, body: BodyDriver) -> None:
        self._conclude_each([body])
        self._settle()

    def _conclude_each(self, bodies: list[BodyDriver]) -> None:
        for body in bodies:
            try:
                self._items.put_all(body)
                self._reporter.conclude(body)
            except BaseException as error:  # noqa: BLE001  the others are told of all the same
                report_failure(error, "reporting the end of a body", **ids_of(body.record))

    def _rest(self, change: int) -> None:
        """So many bodies more wait for the readers of their items: they do not work, and hold no slot."""
        self.staff.resting += change
        if change > 0:
            self.staff.end_work()
        else:
            self.staff.begin_work()
        self.staff.distribute_soon()
        self._settle()

    def _describe(self, body: BodyDriver) -> Run:
        record = body.record
        number = self._desk.format_id(record._number)
        return Run(body.ticket, body.task, number, record._retries + 1, body.arguments, body.window)
