"""From what has happened to the arguments of the call that it fires."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pynenc_async.arguments import Arguments
from pynenc_async.errors import TriggerDefinitionError
from pynenc_async.function import Function, Values
from pynenc_async.triggers.occurrence import TriggerEvent
from pynenc_async.triggers.options import ArgumentsOption, CallArguments, Pass

Supply = Callable[[TriggerEvent], Values]

_FIX: Final = "say with arguments= what it is called with"


def supply_of(trigger: str, function: Function, arguments: ArgumentsOption) -> Supply:
    """Return what makes the values of a call.

    What is known now is tried now: raises `TriggerDefinitionError` where arguments that are always the same do not fit.
    """
    if arguments is Pass.EVENT:
        return function.bind
    if arguments is Pass.VALUES:
        return lambda event: function.bind(*[occurrence.value for occurrence in event.occurrences])
    if callable(arguments):
        return lambda event: _bind(function, arguments(event))
    constants: CallArguments = () if arguments is Pass.NOTHING else arguments
    try:
        _bind(function, constants)
    except TypeError as error:
        raise TriggerDefinitionError(trigger, f"{error}", _FIX) from error
    return lambda _: _bind(function, constants)


def _bind(function: Function, arguments: Any) -> Values:
    if isinstance(arguments, Arguments):
        return arguments.values_for(function)
    if isinstance(arguments, Mapping):
        return function.bind(**arguments)
    if isinstance(arguments, tuple):
        return function.bind(*arguments)
    raise TypeError(
        f"the arguments function of a trigger returns a tuple, a dict or task.args(...), not {type(arguments).__name__}; "
        "for one argument write (value,)"
    )
