"""What one source says: values by option, each with the place where it was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Setting:
    """One value, as it was found."""

    value: Any
    origin: str
    """Where: a variable, or a file and a key in it."""
    is_text: bool = False
    """Whether it is text that has to be read as the type of its option."""


Settings: TypeAlias = Mapping[str, Setting]
"""Settings by the name of the option."""


def _no_settings() -> dict[str, Setting]:
    return {}


def _no_sections() -> dict[str, dict[str, Setting]]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """All that one source says."""

    app: dict[str, Setting] = field(default_factory=_no_settings)
    all_tasks: dict[str, Setting] = field(default_factory=_no_settings)
    by_task: dict[str, dict[str, Setting]] = field(default_factory=_no_sections)
    """By task id in a file, by its form in upper case in the environment."""


def given(values: Mapping[str, Any], origin: str) -> Settings:
    """Return values that were given in code as settings."""
    return {name: Setting(value, origin) for name, value in values.items()}
