"""Signatures compiled into functions: one that binds the arguments of a call, and one that calls with what was bound.

`inspect.Signature.bind` costs more than a whole no-op invocation. A lambda with the same parameters does the same work
at the speed of a call: the interpreter itself matches positional, keyword and default spellings, and raises the same
`TypeError` as the function would. It returns the values as one flat tuple, one value per parameter in order of
declaration (`*args` is a tuple, `**kwargs` a dict): equal calls have equal tuples.
"""

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from pynenc_async.resource import NOT_GIVEN, OverriddenValues

Binder = Callable[..., tuple[Any, ...]]
"""Returns the bound values, one per parameter."""

_P = inspect.Parameter
_PREFIX: Final[dict[object, str]] = {_P.VAR_POSITIONAL: "*", _P.VAR_KEYWORD: "**"}
_SPREAD: Final[dict[object, str]] = {
    _P.POSITIONAL_ONLY: "v{0}",
    _P.POSITIONAL_OR_KEYWORD: "v{0}",
    _P.VAR_POSITIONAL: "*v{0}",
    _P.KEYWORD_ONLY: "{1}=v{0}",
    _P.VAR_KEYWORD: "**v{0}",
}
"""How the bound value of a parameter, by its number, is passed on to a function that has the parameter."""


def compile_binder(parameters: Sequence[inspect.Parameter], qualname: str, *, injected: Sequence[str]) -> Binder:
    """Return what binds arguments like a function of that name. Injected parameters may be passed, and are no values."""
    returned = "".join(f"{one.name}, " for one in parameters if one.name not in injected)
    if injected:
        returned = f"({returned}), ({', '.join(injected)},)"
    binder = _evaluate(
        f"lambda {', '.join(_declared(parameters, injected))}: ({returned})",
        _defaults_=[parameter.default for parameter in parameters],
        _not_given_=NOT_GIVEN,
    )
    binder.__name__, binder.__qualname__ = qualname.rpartition(".")[2], qualname
    return _apart(binder, injected) if injected else binder


def compile_caller(
    func: Callable[..., Any], parameters: Sequence[inspect.Parameter], injected: Collection[str]
) -> Callable[..., Any]:
    """Return `lambda v0, v1, ...: func(v0, *v1, name=v2, **v3)`: spreads bound values back into a call.

    Where parameters are injected, it takes keywords and passes them on.
    """
    bound = [parameter for parameter in parameters if parameter.name not in injected]
    declared = [f"v{index}" for index in range(len(bound))]
    passed = [_SPREAD[one.kind].format(index, one.name) for index, one in enumerate(bound)]
    if injected:
        declared.append("**injected")
        passed.append("**injected")
    return _evaluate(f"lambda {', '.join(declared)}: _func_({', '.join(passed)})", _func_=func)


def _declared(parameters: Sequence[inspect.Parameter], injected: Sequence[str]) -> list[str]:
    """Return the parameters as Python code, with the `*` and `/` that stand between them."""
    declared: list[str] = []
    kinds = [parameter.kind for parameter in parameters]
    for index, parameter in enumerate(parameters):
        is_first_keyword = parameter.kind is _P.KEYWORD_ONLY and _P.KEYWORD_ONLY not in kinds[:index]
        if is_first_keyword and _P.VAR_POSITIONAL not in kinds:
            declared.append("*")
        declared.append(f"{_PREFIX.get(parameter.kind, '')}{parameter.name}{_default(index, parameter, injected)}")
        if parameter.kind is _P.POSITIONAL_ONLY and _P.POSITIONAL_ONLY not in kinds[index + 1 :]:
            declared.append("/")
    return declared


def _default(index: int, parameter: inspect.Parameter, injected: Sequence[str]) -> str:
    if parameter.name in injected:
        return "=_not_given_"
    return "" if parameter.default is _P.empty else f"=_defaults_[{index}]"


def _apart(bind: Callable[..., Any], injected: Sequence[str]) -> Binder:
    """Return what gives the values of `bind`, with what it says of injected parameters beside them."""

    def bind_arguments(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        values, passed = bind(*args, **kwargs)
        given = {name: value for name, value in zip(injected, passed, strict=True) if value is not NOT_GIVEN}
        return OverriddenValues.of(values, given) if given else values

    return bind_arguments


def _evaluate(source: str, **names: object) -> Callable[..., Any]:
    """Compile a lambda whose source consists of identifiers taken from a signature that Python itself has accepted."""
    return eval(source, names)  # type: ignore[no-any-return]  # noqa: S307
