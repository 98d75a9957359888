"""All sources of one app, merged for whoever needs options. The package says which source wins."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar, get_type_hints

from pynenc_async.configuration.app_options import (
    APP_DEFAULTS,
    APP_RULES,
    AppOptions,
    app_option_without_effect,
    unknown_app_option,
)
from pynenc_async.configuration.environment import CONFIG, as_variable, read_environment
from pynenc_async.configuration.files import read_file
from pynenc_async.configuration.reading import read
from pynenc_async.configuration.settings import Setting, Settings, Source, given
from pynenc_async.errors import InvalidTaskOptionsError
from pynenc_async.option_needs import implied, is_off, without_effect
from pynenc_async.option_rules import Rule, did_you_mean
from pynenc_async.options import TaskOptions, rule_of

DEFAULT: Final = "default"
IN_APP: Final = "Pynenc(...)"
IN_TASK_DEFAULTS: Final = "Pynenc(task_defaults=...)"
IN_DECORATOR: Final = "decorator"
_IN_CODE: Final = (IN_APP, IN_DECORATOR)
_TASK_HINTS: Final = get_type_hints(TaskOptions)
_APP_HINTS: Final = get_type_hints(AppOptions)


Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class Resolved(Generic[Options]):
    """Options, and where each that is not at its default was found."""

    options: Options
    origins: Mapping[str, str]
    idle: Mapping[str, str]
    """Options that have no effect beside the others, and why."""
    named: frozenset[str] = frozenset()
    """The options of a task that were said for it, and not for all tasks."""


class Configuration:
    """What the environment, the file and the code say about one app and its tasks."""

    def __init__(
        self,
        *,
        config: str | os.PathLike[str] | None,
        environment: Mapping[str, str],
        task_defaults: Mapping[str, Any] | None,
    ) -> None:
        self._environment: Final = read_environment(environment)
        self._file: Final = read_file(config if config is not None else environment.get(CONFIG))
        self._defaults: Final = given(task_defaults or {}, IN_TASK_DEFAULTS)
        for name, setting in self._defaults.items():
            _checked(IN_TASK_DEFAULTS, name, Setting(setting.value, IN_DECORATOR), _task_rule, _TASK_HINTS)
        for task_id, settings in self._file.by_task.items():  # whether or not such a task will ever be defined
            for name, setting in settings.items():
                _rule(f"task {task_id}", name, setting, _task_rule)

    def app_options(self, values: Mapping[str, Any], *, has_store: bool = False) -> Resolved[AppOptions]:
        """Return the options of the app, to which `values` are given in code."""
        in_code = {name: value for name, value in values.items() if value != APP_DEFAULTS.get(name, _NOTHING)}
        merged = _merge(given(in_code, IN_APP), self._file.app, self._environment.app)
        checked = {name: _checked("Pynenc", name, one, _app_rule, _APP_HINTS) for name, one in merged.items()}
        options = AppOptions(**checked)
        idle = _idle(merged, lambda name: app_option_without_effect(name, options, has_store=has_store))
        url_of_code = "url" not in merged or merged["url"].origin == IN_APP
        for name, problem in idle.items():
            if url_of_code and merged[name].origin == IN_APP:  # else who operates the app has decided where it lives
                raise InvalidTaskOptionsError("Pynenc", name, problem)
        return Resolved(options, _origins(merged), idle)

    def task_options(self, task_id: str, values: Mapping[str, Any]) -> Resolved[TaskOptions]:
        """Return the options of a task, to which its decorator gives `values`; raises `InvalidTaskOptionsError`."""
        for_all = self._defaults, self._file.all_tasks, self._environment.all_tasks
        named = (
            given(values, IN_DECORATOR),
            self._file.by_task.get(task_id, {}),
            self._environment.by_task.get(as_variable(task_id), {}),
        )
        layers: list[Settings] = []
        for layer in (*for_all, *named):
            layers.append(_with_implied(layer, _merge(*layers)))
        merged, owner = _merge(*layers), f"task {task_id}"
        checked = {name: _checked(owner, name, one, _task_rule, _TASK_HINTS) for name, one in merged.items()}
        options = TaskOptions().changed(owner, checked)
        strength = {name: number for number, layer in enumerate(layers) for name in layer}
        said_here = frozenset(name for name, number in strength.items() if number >= len(for_all))
        for name, setting in merged.items():
            if name in said_here:
                _refuse_without_effect(owner, name, setting, options, strength)
        idle = _idle(merged, lambda name: without_effect(name, options))
        return Resolved(options, _origins(merged), idle, said_here)

    def without_task(self, task_ids: Iterable[str]) -> list[str]:
        """Return where something is said about tasks that are not among `task_ids`."""
        known = set(task_ids)
        variables = {as_variable(task_id) for task_id in known}
        return [*_unused(self._file, known), *_unused(self._environment, variables)]


_NOTHING: Final = object()


def _merge(*layers: Settings) -> dict[str, Setting]:
    """Return what the layers say, each one overruling those before it."""
    merged: dict[str, Setting] = {}
    for layer in layers:
        merged.update(layer)
    return merged


def _with_implied(layer: Settings, weaker: Settings) -> Settings:
    """Return the settings of a layer with what they imply beside those of weaker ones."""
    before = weaker.get("running_concurrency")
    meant = implied(layer, None if before is None else before.value)
    return {**layer, **{name: replace(layer["running_limit"], value=value) for name, value in meant.items()}}


def _refuse_without_effect(
    owner: str, name: str, setting: Setting, options: TaskOptions, strength: Mapping[str, int]
) -> None:
    """Raise for a setting without effect, unless a stronger one takes it, or one as strong switches it off."""
    mine = strength[name]
    meant = [
        one for one, other in strength.items() if other > mine or (other == mine and is_off(getattr(options, one)))
    ]
    problem = without_effect(name, options, meant)
    if problem is not None:
        raise _located(InvalidTaskOptionsError(owner, name, problem), setting)


def _origins(settings: Settings) -> dict[str, str]:
    return {name: setting.origin for name, setting in settings.items()}


def _unused(source: Source, known: set[str]) -> Iterator[str]:
    for name, settings in source.by_task.items():
        if name not in known:
            yield from (f"{setting.origin}{did_you_mean(name, known)}" for setting in settings.values())


def _checked(
    owner: str, name: str, setting: Setting, rule_of_option: Callable[[str, str], Rule], hints: Mapping[str, Any]
) -> Any:
    """Return the value of a setting as its option keeps it; what is wrong with it names the place, too."""
    rule = _rule(owner, name, setting, rule_of_option)
    in_code = setting.origin in _IN_CODE
    try:
        try:
            value = setting.value if in_code else read(setting.value, hints[name], is_text=setting.is_text)
        except ValueError as error:
            raise InvalidTaskOptionsError(owner, name, str(error)) from None
        return rule.check(owner, name, value)
    except InvalidTaskOptionsError as error:
        raise _located(error, setting) from None


def _rule(owner: str, name: str, setting: Setting, rule_of_option: Callable[[str, str], Rule]) -> Rule:
    """Return what an option accepts; what is wrong with its name says where that was found, too."""
    try:
        return rule_of_option(owner, name)
    except InvalidTaskOptionsError as error:
        raise _located(error, setting) from None


def _located(error: InvalidTaskOptionsError, setting: Setting) -> InvalidTaskOptionsError:
    if setting.origin in _IN_CODE:
        return error
    return InvalidTaskOptionsError(error.owner, error.option, f"{error.problem}; found in {setting.origin}")


def _idle(merged: Settings, why: Callable[[str], str | None]) -> dict[str, str]:
    return {name: problem for name in merged if (problem := why(name)) is not None}


def _task_rule(owner: str, name: str) -> Rule:
    return rule_of(owner, name)


def _app_rule(owner: str, name: str) -> Rule:
    rule = APP_RULES.get(name)
    if rule is None:
        raise InvalidTaskOptionsError(owner, name, unknown_app_option(name))
    return rule
