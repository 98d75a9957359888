"""Exceptions as data: written down where they were raised, rebuilt where somebody waits.

Writing down never fails, whatever the exception does in its `__str__`. Rebuilding treats the data as a stranger's: it
finds a class only among the exceptions that loaded modules define, imports nothing, runs no constructor written in
Python and no property, and sets only values that JSON can carry. Where anything does not fit, there is `RemoteError`.
"""

import math
import sys
from asyncio import CancelledError
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Mapping
from functools import partial
from traceback import TracebackException, format_exception_only
from types import ModuleType
from typing import Any, Final, TypeVar, cast

import msgspec

from pynenc_async.errors import PynencError, RemoteError, SerializationError
from pynenc_async.modules import loaded_module, real_module
from pynenc_async.printable import printable_lines
from pynenc_async.user_errors import brief, cause_of, context_of, is_a, members_of, put_cause, traceback_of

MAX_TEXT: Final = 16 * 1024
"""Characters kept of a message, a note or a traceback: enough for a screenful of frames, head and tail."""
MAX_DATA: Final = 64 * 1024
"""Bytes kept of arguments and of attributes; a larger one is the data that failed, not what went wrong."""
MAX_DEPTH: Final = 8
"""How far causes and groups are followed."""
MAX_NODES: Final = 64
"""How many exceptions are kept of one failure, in causes and groups together."""
MAX_NOTES: Final = 32

_T = TypeVar("_T")
_Find = Callable[[str], type[BaseException] | None]
"""Finds a class by its name."""
_LONGEST_NAME: Final = 1000
_REMOTE: Final = "Remote traceback:\n"
_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: set for classes that are made at run time, as all in Python are
_FIELDS_IN_C: Final[Mapping[type[BaseException], tuple[str, ...]]] = {
    OSError: ("filename", "filename2"),
    ImportError: ("name", "path"),
    NameError: ("name",),
    AttributeError: ("name",),
}
"""Attributes of built-in exceptions that are in neither `args` nor `__dict__`.

Not `ImportError.name_from`: with it, printing the traceback imports the module that `name` names.
"""

_NO_ERRORS: Final = (SystemExit, KeyboardInterrupt, GeneratorExit, CancelledError)
"""What means more to whoever it is raised in than that something went wrong; a class may be an `Exception` besides."""
_RANGED: Final[frozenset[object]] = frozenset({UnicodeDecodeError, UnicodeEncodeError, UnicodeTranslateError})


class ErrorData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of an exception, without the exception."""

    type_name: str
    """Module and qualified name of the class."""
    message: str
    """What `str()` gave."""
    args: list[Any] | None = None
    """The arguments in plain JSON, tuples, bytes and dicts tagged; None where one of them does not fit."""
    state: dict[str, Any] = {}
    """Those of the other attributes that fit."""
    traceback: str = ""
    notes: list[str] = []
    cause: "ErrorData | None" = None
    """`__cause__`, or the `__context__` that Python would print."""
    exceptions: "list[ErrorData]" = []
    """The members of an exception group."""


def describe(exc: BaseException) -> ErrorData:
    """Write an exception down; never raise, whatever its class does when it is looked at."""
    return _Scribe().write(exc, ())


def rebuild(data: ErrorData, *, known_modules: Collection[str]) -> BaseException:
    """Return the exception that `data` describes, with its notes, its cause and the traceback as a note.

    It has its own class if that is an exception defined by a loaded module which is one of `known_modules`, of the
    standard library, or `pynenc_async.errors`, and if the data fits the class; else it is a `RemoteError`.
    """
    return _rebuild(data, partial(_find_class, known_modules=_with_ours(known_modules)), 0)


def rebuild_error(data: ErrorData, *, known_modules: Collection[str]) -> Exception:
    """Return the same of what strangers may have written: nothing but errors, in causes and groups, too.

    A `SystemExit` or `KeyboardInterrupt` would end the program that reads it, and a `CancelledError` means that its waiter
    was cancelled; each of them is a `RemoteError` here.
    """
    return cast(Exception, _rebuild(data, partial(_find_error, known_modules=_with_ours(known_modules)), 0))


def _with_ours(known_modules: Collection[str]) -> frozenset[str]:
    return frozenset((*known_modules, *map(real_module, known_modules), RemoteError.__module__))


def value_error(problem: BaseException, field: str) -> PynencError:
    """Return the error of a value that could not be encoded or decoded: code of its class may have raised anything.

    What says no more than that a value is of no use here must not end whoever waits, as a `SystemExit` would.
    """
    if is_a(problem, PynencError):
        return cast(PynencError, problem)
    error = SerializationError(field, f"code of its class has raised {brief(problem)}")
    error.__cause__ = problem
    return error


class _Scribe:
    """Follows causes and groups as far as the limits go; an exception that is its own ancestor is not followed."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def write(self, exc: BaseException, above: tuple[BaseException, ...]) -> ErrorData:
        self._left -= 1
        line = (*above, exc)
        return ErrorData(
            type_name=_safely(_type_name, type(exc), "<unnamed class>"),
            message=_safely(_text, exc, "<its __str__ failed>"),
            args=_safely(_args, exc, None),
            state=_safely(_state, exc, {}),
            # As Python prints it: the first traceback shows those of its causes, so theirs need not.
            traceback=_safely(_traceback if above else _traceback_with_causes, exc, ""),
            notes=[_safely(_text, note, "<its __str__ failed>") for note in _notes(exc) if not _is_traceback(note)],
            cause=self._follow(_cause(exc), line),
            exceptions=[member for one in members_of(exc) if (member := self._follow(one, line))],
        )

    def _follow(self, exc: BaseException | None, above: tuple[BaseException, ...]) -> ErrorData | None:
        if exc is None or self._left <= 0 or len(above) >= MAX_DEPTH or any(exc is one for one in above):
            return None
        return self.write(exc, above)


def _safely(read: Callable[[Any], _T], subject: object, default: _T) -> _T:
    try:
        return read(subject)
    except BaseException:  # noqa: BLE001  a `__str__` may raise SystemExit: it must not end the runner that reports it
        return default


def _type_name(cls: type) -> str:
    return _text(f"{real_module(cls.__module__)}.{cls.__qualname__}")


def _text(value: object) -> str:
    """Return `str(value)` bounded, encodable, and of exactly the type str."""
    text = str.encode(str(value), "utf-8", "backslashreplace").decode()
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _args(exc: BaseException) -> list[Any] | None:
    # The members of a group are described on their own.
    args = (_message_of(exc),) if _is_group(type(exc)) else _args_of(exc)
    values = [_to_json(value) for value in args]
    return values if _size(values) <= MAX_DATA else None


def _state(exc: BaseException) -> dict[str, Any]:
    in_c = {name: field.__get__(exc) for name, field in _fields_in_c(type(exc)).items()}
    # An OSError without a file has none; one whose file is None says so.
    attributes = {name: value for name, value in in_c.items() if value is not None} | _attributes(exc)
    state: dict[str, Any] = {}
    room = MAX_DATA
    for name, value in attributes.items():
        data = _safely(_to_json, value, msgspec.UNSET)
        size = _safely(_size, data, MAX_DATA + 1)  # UNSET has none
        if size <= room and _may_set(type(exc), name):
            state[name] = data
            room -= size
    return state


def _traceback_with_causes(exc: BaseException) -> str:
    return _traceback(exc, chain=True)


def _traceback(exc: BaseException, *, chain: bool = False) -> str:
    trace = traceback_of(exc)
    if trace is None:  # never raised here: what it says of another place is all there is
        return next((note.removeprefix(_REMOTE) for note in _notes(exc) if _is_traceback(note)), "")
    return _text("".join(TracebackException(type(exc), exc, trace, compact=True).format(chain=chain)))


def _notes(exc: BaseException) -> list[Any]:
    notes: Any = _attributes(exc).get("__notes__")
    return [*notes[:MAX_NOTES]] if type(notes) is list else []


def _is_traceback(note: object) -> bool:
    return type(note) is str and note.startswith(_REMOTE)


def _cause(exc: BaseException) -> BaseException | None:
    cause = cause_of(exc)
    return cause if cause is not None or _suppresses_context(exc) else context_of(exc)


def _rebuild(data: ErrorData, find: _Find, depth: int) -> BaseException:
    cls = find(data.type_name)
    exc = _original(cls, data, find, depth) if cls else None
    # What Python prints as it is must be fit for a terminal.
    notes, traceback = [printable_lines(note) for note in data.notes], printable_lines(data.traceback)
    if exc is None:
        exc = RemoteError(data.type_name, data.message, traceback)
    elif traceback:
        notes.append(_REMOTE + traceback)
    # Past the `__setattr__` of the class: a frozen dataclass is an exception, too.
    if notes:
        _attributes(exc)["__notes__"] = [*notes]
    if data.cause and depth < MAX_DEPTH:
        put_cause(exc, _rebuild(data.cause, find, depth + 1))
    return exc


def _original(cls: type[BaseException], data: ErrorData, find: _Find, depth: int) -> BaseException | None:
    """Return an exception of its own class, or None if the data does not fit the class."""
    try:
        args = [data.message] if data.args is None else [_from_json(value) for value in data.args]
        if _is_group(cls) and depth < MAX_DEPTH:
            args = [*args, [_rebuild(member, find, depth + 1) for member in data.exceptions]]
        exc = _instance(cls, args)
        _restore(exc, data.state)
        # Who logs it must not be the one to find out that an argument or an attribute is of the wrong type.
        for show in (str, repr, format_exception_only):
            show(exc)
    except BaseException:  # noqa: BLE001  see `_safely`
        return None
    return exc


def _instance(cls: type[BaseException], args: list[Any]) -> BaseException:
    """Make an exception with the constructor of the built-in class that it rests on: all others are Python code."""
    base: Any = cls
    while base.__flags__ & _HEAP_TYPE:
        base = base.__base__
    if base in _RANGED:
        _check_range(*args[-4:-1])
    exc = base.__new__(cls, *args)
    base.__init__(exc, *args)
    return cast("BaseException", exc)


def _check_range(text: str | bytes, start: int, end: int) -> None:
    """Raise unless the range is within `text`: printing such an error, CPython reads beyond the text."""
    if not 0 <= start <= end <= len(text):
        raise ValueError("the range is outside of the text")


def _restore(exc: BaseException, state: Mapping[str, Any]) -> None:
    in_c = _fields_in_c(type(exc))
    for name, value in state.items():
        if name in in_c:
            in_c[name].__set__(exc, _from_json(value))
        elif _may_set(type(exc), name):
            _attributes(exc)[name] = _from_json(value)


def _find_class(type_name: str, known_modules: Collection[str]) -> type[BaseException] | None:
    if len(type_name) > _LONGEST_NAME:
        return None
    parts = type_name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        is_known = name in known_modules or parts[0] in sys.stdlib_module_names
        if is_known and (module := loaded_module(name)) is not None:
            return _class_in(module, name, parts[cut:])
    return None


def _find_error(type_name: str, known_modules: Collection[str]) -> type[BaseException] | None:
    cls = _find_class(type_name, known_modules)
    if cls is BaseExceptionGroup:
        return ExceptionGroup  # its members are errors here
    return cls if cls is not None and issubclass(cls, Exception) and not issubclass(cls, _NO_ERRORS) else None


def _class_in(module: ModuleType, module_name: str, names: list[str]) -> type[BaseException] | None:
    """Look the class up in namespaces alone: attribute access may run code, such as a module's lazy imports."""
    found: Any = module
    for name in names:
        if not issubclass(type(found), (ModuleType, type)) or (found := _namespace(found).get(name)) is None:
            return None
    if not issubclass(type(found), type) or not issubclass(found, BaseException):
        return None
    # Imported from elsewhere: the module that defines it decides, not every one that uses it.
    home: object = found.__module__
    at_home = type(home) is str and real_module(home) == real_module(module_name)
    return found if at_home and found.__qualname__ == ".".join(names) else None


def _may_set(cls: type, name: object) -> bool:
    """Whether an attribute may come from data: methods stay as they are, and double underscores are Python's."""
    if type(name) is not str or not name.isidentifier() or name.startswith("__"):
        return False
    return not any(callable(vars(base).get(name)) for base in cls.__mro__)


def _is_group(cls: type) -> bool:
    return issubclass(cls, BaseExceptionGroup)


def _fields_in_c(cls: type) -> dict[str, Any]:
    return {name: vars(base)[name] for base, names in _FIELDS_IN_C.items() if issubclass(cls, base) for name in names}


# What the interpreter keeps; `exc.<name>` is whatever the class says it is.
_base: Final[Any] = vars(BaseException)
_args_of: Final = _base["args"].__get__
_attributes: Final[Callable[[BaseException], dict[str, Any]]] = _base["__dict__"].__get__
_suppresses_context: Final = _base["__suppress_context__"].__get__
_message_of: Final[Any] = vars(BaseExceptionGroup)["message"].__get__


def _namespace(owner: object) -> dict[str, Any]:
    return cast("dict[str, Any]", object.__getattribute__(owner, "__dict__"))


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))


def _to_json(value: Any) -> Any:
    """Return `value` as plain JSON that `_from_json` turns into an equal value; raise TypeError if there is none."""
    kind = type(cast("object", value))
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is list:
        return [_to_json(item) for item in value]
    if kind is tuple:
        return {"tuple": [_to_json(item) for item in value]}
    if kind is bytes:
        return {"bytes": b64encode(value).decode()}
    if kind is dict and all(type(key) is str for key in value):
        return {"dict": {key: _to_json(item) for key, item in value.items()}}
    raise TypeError(f"{kind} is not plain")


def _from_json(value: Any) -> Any:
    kind = type(cast("object", value))
    if kind is list:
        return [_from_json(item) for item in value]
    if kind is not dict:
        return value
    ((tag, content),) = value.items()
    match tag, type(content).__name__:
        case "tuple", "list":
            return tuple(_from_json(item) for item in content)
        case "bytes", "str":
            return b64decode(content, validate=True)
        case "dict", "dict":
            return {key: _from_json(item) for key, item in content.items()}
        case _:
            raise ValueError("not written by _to_json")
