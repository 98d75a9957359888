"""What a task is called beside its function: a name of its own, and the ids that it had before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from pynenc_async.option_rules import Rule, rules_of
from pynenc_async.options import TaskOptionsDict


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable() and not any(map(str.isspace, value))


def _are_ids(value: object) -> bool:
    return isinstance(value, (str, tuple, list, set, frozenset)) and all(map(_is_id, _as_tuple(value)))


def _as_tuple(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(cast("Iterable[str]", value)))


NAME: Final = Rule(_is_id, "a text without spaces, as in 'shop.bill'")
IDS: Final = Rule(_are_ids, "an id of a task, as in 'shop.bill', or a tuple of them", _as_tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What `@app.task(name=, aliases=)` says."""

    name: Annotated[str | None, NAME.or_none()] = None
    """The id of the task, in place of those of its module and function, which may then be renamed and moved."""
    aliases: Annotated[tuple[str, ...], IDS] = ()
    """Ids that it had before: work that is stored under one of them is run by this task."""


class TaskDefinitionDict(TaskOptionsDict, total=False):
    """The keywords of `@app.task(...)`: see `Naming` and `TaskOptions`."""

    name: str | None
    aliases: str | tuple[str, ...] | list[str] | frozenset[str]


NAMING_RULES: Final[Mapping[str, Rule]] = rules_of(Naming)
"""What is said of a task where it is defined, and of no single use of it."""


def split_naming(owner: str, values: Mapping[str, Any]) -> tuple[Naming, dict[str, Any]]:
    """Return what the task is called, and its options, which are not checked yet. Raises `InvalidTaskOptionsError`."""
    said = {name: values[name] for name in NAMING_RULES if name in values}
    naming = Naming(**{name: NAMING_RULES[name].check(owner, name, value) for name, value in said.items()})
    return naming, {name: value for name, value in values.items() if name not in NAMING_RULES}
