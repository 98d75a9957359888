"""How a trigger fires: what `app.on(...)` accepts besides the condition."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Self, TypedDict

from pynenc_async.arguments import Arguments
from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.option_docs import with_accepted_values
from pynenc_async.option_rules import POSITIVE, SPAN, TEXT, Rule, is_unknown, rules_of
from pynenc_async.triggers.occurrence import Occurrence, TriggerEvent


class Pass(StrEnum):
    """What the call is given, where no function says so.

    Attributes:
        NOTHING: No arguments.
        VALUES: The result, error or payload of each occurrence, as positional arguments in the order of the conditions.
        EVENT: The `TriggerEvent`, as the only argument.

    """

    NOTHING = "nothing"
    VALUES = "values"
    EVENT = "event"


CallArguments = tuple[Any, ...] | Mapping[str, Any] | Arguments
"""The arguments of a call, as `parallelize` takes them."""
ArgumentsOption = CallArguments | Callable[[TriggerEvent], CallArguments] | Pass

_ARGUMENTS: Final = Rule(
    lambda value: isinstance(value, (tuple, Mapping, Arguments, Pass)) or callable(value),
    "a tuple, a dict, task.args(...), a function of a TriggerEvent that returns one of them, or a member of Pass",
)
_KEY: Final = Rule(callable, "a function of an Occurrence that returns a key").or_none()


@with_accepted_values
@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerOptions:
    """What `app.on(condition, ...)` accepts.

    Args:
        arguments: The arguments of the call: the same ones each time, or what a function makes of the
            `TriggerEvent`.
        name: Unique in the app; None: it is named after its task and its condition.
        by: What occurrences are joined by: each key for itself.
        within: How many seconds, or which `timedelta`, the occurrences that are joined may lie apart, by their
            timestamps. None: any time.
        max_keys: How many keys may wait for the rest of what they need; the one that has waited longest is dropped,
            and logged.
        max_chain: How many fires, each caused by the one before, are no endless chain; None: any number, as for
            what feeds itself.

    """

    arguments: Annotated[ArgumentsOption, _ARGUMENTS] = Pass.NOTHING
    name: Annotated[str | None, TEXT.or_none()] = None
    by: Annotated[Callable[[Occurrence], Hashable] | None, _KEY] = None
    within: Annotated[float | None, SPAN.or_none()] = None
    max_keys: Annotated[int, POSITIVE] = 10_000
    max_chain: Annotated[int | None, POSITIVE.or_none()] = 100

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Self:
        """Check `values`; raise `InvalidTaskOptionsError` that names the option."""
        owner = f"trigger {values['name']!r}" if values.get("name") else "app.on(...)"
        unknown = [name for name in values if name not in _RULES]
        if unknown:
            raise InvalidTaskOptionsError(owner, unknown[0], is_unknown(unknown[0], _RULES))
        options = cls(**{name: _RULES[name].check(owner, name, value) for name, value in values.items()})
        if "max_keys" in values and options.by is None:
            raise InvalidTaskOptionsError(owner, "max_keys", "has no effect without by")
        return options


class TriggerOptionsDict(TypedDict, total=False):
    """The keywords of `app.on(...)`; `TriggerOptions` says what they mean."""

    arguments: ArgumentsOption
    name: str | None
    by: Callable[[Occurrence], Hashable] | None
    within: float | timedelta | None
    max_keys: int
    max_chain: int | None


_RULES: Final[Mapping[str, Rule]] = rules_of(TriggerOptions)
