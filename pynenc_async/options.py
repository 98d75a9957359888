"""The options of a task: one frozen value, checked once where it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Self, TypedDict

from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.limit import ConcurrencyControlType, Rate
from pynenc_async.option_docs import with_accepted_values
from pynenc_async.option_needs import implied, is_off, without_effect
from pynenc_async.option_rules import (
    COUNT,
    EXCEPTIONS,
    FACTOR,
    FLAG,
    LEVEL,
    MOMENT,
    NAMES,
    POSITIVE,
    PREDICATE,
    SECONDS,
    SPAN,
    Rule,
    is_unknown,
    one_of,
    rules_of,
)

RATE: Final = Rule(lambda value: isinstance(value, Rate), "a Rate, as in Rate(10, per=60)").or_none()
_DISABLED: Final = ConcurrencyControlType.DISABLED


class OnDuplicate(StrEnum):
    """What a second call becomes while a first one is registered.

    Attributes:
        REUSE: A handle to the first: `ReusedInvocation`.
        RAISE: `ConcurrencyLimitError` at the call.
        REPLACE: The first is cancelled, and the second takes its place.
        SKIP: An invocation that ends at once, in CONCURRENCY_CONTROLLED_FINAL.

    """

    REUSE = "reuse"
    RAISE = "raise"
    REPLACE = "replace"
    SKIP = "skip"


class UniqueUntil(StrEnum):
    """How long a registration stands in the way of another.

    Attributes:
        STARTED: Until its invocation starts.
        FINISHED: Until its invocation has ended.

    """

    STARTED = "started"
    FINISHED = "finished"


class RunsIn(StrEnum):
    """Where the bodies of a task run.

    Attributes:
        LOOP: On the event loop, which a `def` blocks: for those that only compute a little.
        THREAD: In a thread, for a `def`.
        PROCESS: In a worker process, which can be killed, and whose crash is nobody else's.
        INTERPRETER: In an interpreter of its own inside this process, with a lock of its own (CPython 3.14).

    """

    LOOP = "loop"
    THREAD = "thread"
    PROCESS = "process"
    INTERPRETER = "interpreter"


class OnLimit(StrEnum):
    """What becomes of an invocation that meets a running limit or a rate limit.

    Attributes:
        WAIT: It waits for its turn, in CONCURRENCY_CONTROLLED.
        DROP: It ends at once, in CONCURRENCY_CONTROLLED_FINAL.

    """

    WAIT = "wait"
    DROP = "drop"


_ELSEWHERE: Final = (RunsIn.PROCESS, RunsIn.INTERPRETER)


@with_accepted_values
@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What `@app.task(...)` and `task.with_options(...)` accept. Durations are seconds, or a `timedelta`.

    Args:
        max_retries: How many times an attempt that failed is followed by another.
        retry_for: Which failures are retried while `max_retries` allows; `RetryError` always is. So is a group of errors, all
            of which are such failures.
        no_retry_for: Which of them are not retried, nor a group that contains one.
        retry_if: A further condition, asked last; an error in it counts as False.
        retry_delay: Seconds, or a `timedelta`, that the first retry waits.
        retry_backoff: By how much each further delay is longer than the one before: 2.0 doubles it.
        retry_max_delay: The longest delay of a retry, in seconds or as a `timedelta`.
        retry_jitter: Whether each delay is drawn evenly between 0 and what it would be (full jitter), so that
            failures do not come back together.
        max_crashes: After how many deaths of the worker process, or of the runner, the same invocation is not tried
            again, whatever `max_retries` says.
        timeout: Seconds, or a `timedelta`, that an attempt may take, pauses included; then it fails with
            `InvocationTimeoutError`, which may be retried. None: any time. A thread cannot be stopped: its attempt
            fails all the same, and what its body ends in later is dropped and logged.
        deadline: Seconds, or a `timedelta`, from submission until it has to be over, all attempts together. What
            its body submits inherits the moment. None: no such moment.
        expires_in: Seconds, or a `timedelta`, that it may wait for its first start (after its delay); then it ends
            with `InvocationExpiredError`. None: any time.
        cancel_grace: Seconds, or a `timedelta`, that a body may go on after it was told to stop; then it is
            abandoned, and reported in the log. A worker process is killed instead, after a second at the latest.
        registration_concurrency: Which calls are duplicates of one that is registered.
        on_duplicate: What becomes of a duplicate.
        on_different_arguments_raise: Whether a duplicate by task or by key whose other arguments differ raises,
            instead of saying so on its handle.
        unique_until: Until when a registration makes others duplicates.
        unique_for: Seconds, or a `timedelta`, from its submission on, for which a registration makes others
            duplicates, instead of `unique_until`. For so long a store keeps what stands, whatever its retention.
        running_concurrency: Which invocations share a running limit.
        running_limit: How many of them run at once. Given alone, it is a limit of the task. A use of the task with
            limits of its own waits until there is room for it, and holds up no other use.
        running_total: How many invocations of the task run at once, whatever their keys. None: any number.
        rate_limit: How many may start in a period; see `Rate`. None: any number.
        on_limit: What becomes of an invocation that meets one of these limits.
        key_arguments: The parameters that make up the key of what is limited, or registered, by 'keys'.
        delay: Seconds, or a `timedelta`, that it waits before it is registered to run.
        at: The moment at which it is registered to run, as the clock has it at the call; a moment in the past is now.
            None: at once.
        priority: Higher runs first; equal ones run in the order of submission.
        detached: Whether it is not cancelled with the invocation that submitted it, and inherits no deadline.
        detect_cycles: Whether repeating a living ancestor's call, and rings of waiters, raise `CycleDetectedError`.
        stream_buffer: How many items of an async generator task are kept for readers before the generator has to
            wait.
        workflow: Whether what its body asks for is recorded, and given to later attempts again: see
            `pynenc_async.workflow`.
        runs_in: Where its body runs; None: an `async def` in the loop, a `def` in a thread. With `sync://` all run
            inline. To a process go the arguments, as JSON, and nothing else: no context variables, and no tasks
            that the body could call.

    """

    max_retries: Annotated[int, COUNT] = 0
    retry_for: Annotated[tuple[type[BaseException], ...], EXCEPTIONS] = (Exception,)
    no_retry_for: Annotated[tuple[type[BaseException], ...], EXCEPTIONS] = ()
    retry_if: Annotated[Callable[[BaseException], bool] | None, PREDICATE] = None
    retry_delay: Annotated[float, SECONDS] = 0.0
    retry_backoff: Annotated[float, FACTOR] = 1.0
    retry_max_delay: Annotated[float, SECONDS] = 3_600.0
    retry_jitter: Annotated[bool, FLAG] = False
    max_crashes: Annotated[int, POSITIVE] = 3

    timeout: Annotated[float | None, SPAN.or_none()] = None
    deadline: Annotated[float | None, SPAN.or_none()] = None
    expires_in: Annotated[float | None, SPAN.or_none()] = None
    cancel_grace: Annotated[float, SECONDS] = 10.0

    registration_concurrency: Annotated[ConcurrencyControlType, one_of(ConcurrencyControlType)] = _DISABLED
    on_duplicate: Annotated[OnDuplicate, one_of(OnDuplicate)] = OnDuplicate.REUSE
    on_different_arguments_raise: Annotated[bool, FLAG] = False
    unique_until: Annotated[UniqueUntil, one_of(UniqueUntil)] = UniqueUntil.STARTED
    unique_for: Annotated[float | None, SPAN.or_none()] = None

    running_concurrency: Annotated[ConcurrencyControlType, one_of(ConcurrencyControlType)] = _DISABLED
    running_limit: Annotated[int, POSITIVE] = 1
    running_total: Annotated[int | None, POSITIVE.or_none()] = None
    rate_limit: Annotated[Rate | None, RATE] = None
    on_limit: Annotated[OnLimit, one_of(OnLimit)] = OnLimit.WAIT
    key_arguments: Annotated[tuple[str, ...], NAMES] = ()

    delay: Annotated[float, SECONDS] = 0.0
    at: Annotated[datetime | None, MOMENT] = None
    priority: Annotated[int, LEVEL] = 0
    detached: Annotated[bool, FLAG] = False
    detect_cycles: Annotated[bool, FLAG] = True
    stream_buffer: Annotated[int, POSITIVE] = 1_000
    workflow: Annotated[bool, FLAG] = False
    runs_in: Annotated[RunsIn | None, one_of(RunsIn).or_none()] = None

    @classmethod
    def build(cls, owner: str, values: Mapping[str, Any]) -> Self:
        """Check `values`; raise `InvalidTaskOptionsError` that names `owner` and the option."""
        return cls().changed(owner, values)

    def replaced(self, owner: str, values: Mapping[str, Any]) -> Self:
        """Return these options with `values`, all given in one place, in place of their own; checks like `build`.

        Raises as well for what has no effect beside the others.
        """
        values = {**values, **implied(values, self.running_concurrency)}
        options = self.changed(owner, values)
        for name in values:
            problem = without_effect(name, options, [one for one in values if is_off(getattr(options, one))])
            if problem is not None:
                raise InvalidTaskOptionsError(owner, name, problem)
        return options

    def changed(self, owner: str, values: Mapping[str, Any]) -> Self:
        """Return these options with `values` in place of their own, whether or not all have an effect; checks like `build`."""
        options = replace(
            self, **{name: rule_of(owner, name).check(owner, name, value) for name, value in values.items()}
        )
        options._check_together(owner)
        return options

    def different_from(self, others: "TaskOptions") -> dict[str, Any]:
        """Return the options that have another value than in `others`."""
        return {name: getattr(self, name) for name in RULES if getattr(self, name) != getattr(others, name)}

    def _check_together(self, owner: str) -> None:
        if ConcurrencyControlType.KEYS in self.scopes and not self.key_arguments:
            raise InvalidTaskOptionsError(
                owner, "key_arguments", "must name the parameters that a limit by KEYS compares"
            )
        if self.delay and self.at is not None:
            raise InvalidTaskOptionsError(owner, "at", "is given together with delay; give one of the two")
        if self.workflow and self.runs_elsewhere:
            raise InvalidTaskOptionsError(
                owner,
                "runs_in",
                f"is {self.runs_in!r}, where a workflow cannot call tasks; it runs in the loop or a thread",
            )

    @property
    def scopes(self) -> tuple[ConcurrencyControlType, ...]:
        """What the limits of this task count together."""
        rate = () if self.rate_limit is None else (self.rate_limit.scope,)
        return self.registration_concurrency, self.running_concurrency, *rate

    @property
    def is_for_later(self) -> bool:
        """Whether a call is none that its submitter waits for: it begins later, or outlives the submitter."""
        return self.detached or self.delay > 0 or self.at is not None

    @property
    def is_limited(self) -> bool:
        """Whether a running limit or a rate limit holds."""
        return (
            self.running_concurrency is not _DISABLED or self.running_total is not None or self.rate_limit is not None
        )

    @property
    def has_policies(self) -> bool:
        """Whether an attempt or an end leaves something to be given back: a permit, a place on the agenda, a registration."""
        return (
            self.is_limited
            or self.starts_later
            or self.max_retries > 0
            or self.registration_concurrency is not _DISABLED
            or any(span is not None for span in (self.timeout, self.deadline, self.expires_in))
        )

    @property
    def runs_elsewhere(self) -> bool:
        """Whether its body runs where only JSON goes: in another process, or another interpreter."""
        return self.runs_in in _ELSEWHERE

    @property
    def starts_later(self) -> bool:
        """Whether an invocation begins as SCHEDULED."""
        return self.delay > 0 or self.at is not None


class TaskOptionsDict(TypedDict, total=False):
    """The keywords of `@app.task(...)`; `TaskOptions` says what they mean."""

    max_retries: int
    retry_for: type[BaseException] | tuple[type[BaseException], ...]
    no_retry_for: type[BaseException] | tuple[type[BaseException], ...]
    retry_if: Callable[[BaseException], bool] | None
    retry_delay: float | timedelta
    retry_backoff: float
    retry_max_delay: float | timedelta
    retry_jitter: bool
    max_crashes: int
    timeout: float | timedelta | None
    deadline: float | timedelta | None
    expires_in: float | timedelta | None
    cancel_grace: float | timedelta
    registration_concurrency: ConcurrencyControlType | str
    on_duplicate: OnDuplicate | str
    on_different_arguments_raise: bool
    unique_until: UniqueUntil | str
    unique_for: float | timedelta | None
    running_concurrency: ConcurrencyControlType | str
    running_limit: int
    running_total: int | None
    rate_limit: Rate | None
    on_limit: OnLimit | str
    key_arguments: str | tuple[str, ...]
    delay: float | timedelta
    at: datetime | None
    priority: int
    detached: bool
    detect_cycles: bool
    stream_buffer: int
    workflow: bool
    runs_in: RunsIn | str | None


RULES: Final[Mapping[str, Rule]] = rules_of(TaskOptions)
"""What each option of a task accepts, in the order in which they are documented."""


def rule_of(owner: str, name: str) -> Rule:
    """Return what an option accepts; raise `InvalidTaskOptionsError` when there is no such option."""
    rule = RULES.get(name)
    if rule is None:
        raise InvalidTaskOptionsError(owner, name, is_unknown(name, RULES))
    return rule
