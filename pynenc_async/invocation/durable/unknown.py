"""What stands for a task that this process does not know, so that what is stored under its id can be seen."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

from pynenc_async.errors import SerializationError
from pynenc_async.options import TaskOptions
from pynenc_async.telemetry import log

_MOST_NAMED: Final = 10


class UnknownTask:
    """Has an id, and nothing to call: whatever needs the function raises `SerializationError`, which says what to do."""

    place = limiter = fire = None

    def __init__(self, app: Any, task_id: str) -> None:
        self.app: Final[Any] = app
        self.task_id: Final = task_id
        self.options: Final = TaskOptions()

    @property
    def runtime(self) -> Any:
        """Where the app looks for what it does not run."""
        return self.app.runtime

    @property
    def problem(self) -> SerializationError:
        """Why nothing can be done with it here."""
        return SerializationError(
            "task_id", f"{self.task_id!r} is no task of app {self.app.app_id!r}; {how_to_name(self.task_id)}"
        )

    @property
    def function(self) -> NoReturn:
        """Raise: there is none."""
        raise self.problem

    def __call__(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Raise: nothing can be submitted."""
        raise self.problem

    submit = args = parallelize = with_options = __call__

    def __repr__(self) -> str:
        return f"<UnknownTask {self.task_id}>"


def how_to_name(task_id: str) -> str:
    """Return what makes a task known under an id that stored work has."""
    return (
        "import the module that defines it or, if it was renamed or moved, give the task that has taken its place "
        f"aliases=({task_id!r},)"
    )


class UnknownWork:
    """Counts what others have left behind for tasks that this process does not know, and warns of it."""

    def __init__(self) -> None:
        self.waiting: Mapping[str, int] = {}
        """How many invocations wait, by task id, as of the last look."""
        self._said: dict[str, int] = {}

    def note(self, waiting: Mapping[str, int]) -> None:
        """Take a new count. The log says it for each task when it is new, and when it has doubled: it must be no flood."""
        self.waiting = waiting
        news = {task_id: count for task_id, count in waiting.items() if count >= 2 * self._said.get(task_id, 0)}
        self._said = {task_id: said for task_id, said in self._said.items() if task_id in waiting} | news
        if news:
            named = ", ".join(f"{task_id!r} ({count})" for task_id, count in list(news.items())[:_MOST_NAMED])
            more = f", and {len(news) - _MOST_NAMED} others" if len(news) > _MOST_NAMED else ""
            log.warning(
                "work waits in the store for tasks that this process does not know: %s%s; %s",
                named,
                more,
                how_to_name(next(iter(news))),
            )
