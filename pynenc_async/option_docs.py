"""What options mean, for `help()` and for the command line: read from docstrings, which say it once.

A docstring has a section `Args:` with an entry for each option, or `Attributes:` with one for each member of an enum. What an
option accepts is said by its `Rule`, and is added to what `help()` shows.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from pynenc_async.option_rules import Rule, rules_of

_SECTION: Final = re.compile(r"^(Args|Attributes):$", re.MULTILINE)
_ENTRY: Final = re.compile(r"^    (\w+): ", re.MULTILINE)
_WIDTH: Final = 100

Documented = TypeVar("Documented", bound=type)


def meanings_of(documented: type) -> dict[str, str]:
    """Return what the docstring of a class says about each option or member, by name, in one paragraph each."""
    entries = _ENTRY.split(_body(inspect.cleandoc(documented.__doc__ or "")))
    return {name: " ".join(text.split()) for name, text in zip(entries[1::2], entries[2::2], strict=True)}


def with_accepted_values(documented: Documented) -> Documented:
    """Add to the docstring of a class of options, of which this is a decorator, what each of them accepts."""
    return accepting(rules_of(documented))(documented)


def accepting(rules: Mapping[str, Rule]) -> Callable[[Documented], Documented]:
    """Return a decorator that adds to the docstring of a class what each of its options accepts."""

    def decorate(documented: Documented) -> Documented:
        text = inspect.cleandoc(documented.__doc__ or "")
        old = _body(text)
        entries = [_entry(name, meaning, rules.get(name)) for name, meaning in meanings_of(documented).items()]
        documented.__doc__ = text.replace(old, "\n".join(entries)) if old else text
        return documented

    return decorate


def _entry(name: str, meaning: str, rule: Rule | None) -> str:
    text = f"{name}: {meaning}" if rule is None else f"{name}: {meaning} Accepts {rule.expected}."
    return textwrap.fill(text, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8)


def explained(documented: type, defaults: Mapping[str, object]) -> Iterator[str]:
    """Yield the lines that explain each option: its default, what it means and accepts; for an enum, each of its values."""
    meanings = meanings_of(documented)
    for name, default in defaults.items():
        yield f"{name} = {default.value if isinstance(default, Enum) else default!r}"
        yield textwrap.fill(meanings[name], _WIDTH, initial_indent="    ", subsequent_indent="    ")
        if isinstance(default, Enum):
            kind: Any = type(default)
            for member, meaning in meanings_of(kind).items():
                text = f"{kind[member].value!r}: {meaning}"
                yield textwrap.fill(text, _WIDTH, initial_indent="        ", subsequent_indent="            ")


def _body(text: str) -> str:
    """Return the entries of a docstring: what is indented below `Args:` or `Attributes:`."""
    start = _SECTION.search(text)
    if start is None:
        return ""
    rest = text[start.end() + 1 :]
    end = re.search(r"^\S", rest, re.MULTILINE)
    return (rest if end is None else rest[: end.start()]).rstrip("\n")
