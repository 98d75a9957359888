import asyncio
import builtins
import dataclasses
import decimal
import errno
import json
import sqlite3
import struct
import subprocess
import sys
import traceback
import types

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pynenc_async import errors
from pynenc_async.errors import PynencError, RemoteError
from pynenc_async.outcome import MAX_DATA, MAX_DEPTH, MAX_NODES, MAX_TEXT, ErrorData, describe, rebuild, rebuild_error

UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy

JSONDecodeError = json.JSONDecodeError  # used here, defined elsewhere


class OwnSignatureError(Exception):
    constructed = 0

    def __init__(self, code: int, *, hint: str) -> None:
        type(self).constructed += 1
        super().__init__(f"code {code}")
        self.code = code
        self.hint = hint


class NoSuperInitError(Exception):
    def __init__(self, code, reason):
        self.code = code
        self.reason = reason

    def __str__(self):
        return f"{self.code}: {self.reason}"


class OwnNewError(ValueError):
    def __new__(cls, *, path):
        return super().__new__(cls, path, "was not found")

    def __init__(self, *, path):
        super().__init__(path, "was not found")


@dataclasses.dataclass
class DataError(Exception):
    code: int
    items: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class FileGoneError(FileNotFoundError):
    def __init__(self, path):
        super().__init__(errno.ENOENT, "gone", path)


class OwnGroup(ExceptionGroup):
    pass


class Outer:
    class InnerError(Exception):
        pass


class NeedsAttributeError(Exception):
    def __init__(self, thing):
        super().__init__("message")
        self.thing = thing

    def __str__(self):
        return f"about {self.thing.name}"


class PropertyError(Exception):
    touched = 0

    @property
    def code(self):
        type(self).touched += 1
        return 1

    @code.setter
    def code(self, value):
        type(self).touched += 1

    def retry(self):
        return "retried"


def travel(exc, known_modules=(__name__,)):
    data = msgspec.json.decode(msgspec.json.encode(describe(exc)), type=ErrorData)
    return rebuild(data, known_modules=known_modules)


def raised(body, *args):
    try:
        body(*args)
    except BaseException as exc:
        return exc
    raise AssertionError("the body did not raise")


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def error_data(type_name, **fields):
    return ErrorData(type_name=type_name, message="m", **fields)


ORDINARY = [
    ValueError(),
    ValueError("plain"),
    ValueError(1, 2.5, None, True, "two", [3, [4]], (5, (6,)), b"7\xff", {"k": (8,), "tuple": [1]}),
    ValueError(10**100),
    KeyError("missing"),
    KeyError((1, "two")),
    OSError("only text"),
    OSError(errno.ENOENT, "No such file or directory", "a.txt"),
    OSError(errno.EXDEV, "Cross-device", "a.txt", None, "b.txt"),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    TimeoutError(),
    UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "invalid start byte"),
    UnicodeEncodeError("ascii", "aä", 1, 2, "ordinal not in range"),
    UnicodeTranslateError("aä", 1, 2, "no"),
    StopIteration(5),
    StopAsyncIteration(),
    SystemExit(3),
    KeyboardInterrupt(),
    ImportError("no", name="mod", path="/p"),
    ModuleNotFoundError("No module named 'x'", name="x"),
    NameError("name 'x' is not defined", name="x"),
    AttributeError("no", name="attr"),
    RecursionError("deep"),
    raised(lambda: 1 / 0),
    raised([].pop),
    raised(compile, "x = =", "file.py", "exec"),
    raised(json.loads, "{"),
    raised(struct.unpack, "i", b""),
    sqlite3.OperationalError("no such table: t"),
    subprocess.CalledProcessError(2, ["ls", "-l"], output=b"out"),
    subprocess.TimeoutExpired("ls", 1.5),
    asyncio.CancelledError("stop"),
    asyncio.IncompleteReadError(b"part", 10),
    OwnSignatureError(4, hint="try again"),
    NoSuperInitError(4, "why"),
    OwnNewError(path="p"),
    DataError(4, (1, 2)),
    FrozenError(4),
    FileGoneError("gone.txt"),
    Outer.InnerError("inside"),
    errors.TaskDefinitionError("m.f", "is nested", "move it"),
    errors.InvalidTaskOptionsError("m.f", "retries", "is unknown"),
    errors.InvocationNotFoundError("id-1"),
    errors.InvocationCancelledError("id-1", "no longer needed"),
    errors.InvocationTimeoutError("id-1", "took too long"),
    errors.CycleDetectedError("ring", ["a", "b", "a"]),
    errors.RetryError(after=None),
    errors.RetryError("later", after=2.5),
    errors.SerializationError("a.b", "is bad"),
    RemoteError("some.Error", "text", "trace"),
]


@pytest.mark.parametrize("exc", ORDINARY, ids=lambda exc: type(exc).__name__)
def test_an_ordinary_exception_comes_back_as_itself(exc):
    back = travel(exc)
    assert type(back) is type(exc)
    assert (str(back), repr(back), back.args) == (str(exc), repr(exc), exc.args)
    assert {**vars(back), "__notes__": None} == {**vars(exc), "__notes__": None}


@pytest.mark.parametrize(
    ("exc", "fields"),
    [
        (OSError(2, "no", "a", None, "b"), ("errno", "strerror", "filename", "filename2")),
        (StopIteration(5), ("value",)),
        (SystemExit(3), ("code",)),
        (ImportError("no", name="mod", path="/p"), ("name", "path")),
        (AttributeError("no", name="attr"), ("name",)),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "bad"), ("encoding", "object", "start", "end", "reason")),
        (raised(compile, "x = =", "file.py", "exec"), ("msg", "filename", "lineno", "offset", "text")),
        (errors.InvocationTimeoutError("id-1", "late"), ("invocation_id", "errno", "filename")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_interpreter_keeps_outside_of_dict_comes_back_too(exc, fields):
    back = travel(exc)
    assert [getattr(back, field) for field in fields] == [getattr(exc, field) for field in fields]


def test_groups_come_back_with_their_members():
    exc = OwnGroup("several", [ValueError(1), ExceptionGroup("inner", [OwnSignatureError(2, hint="h")])])
    back = travel(exc)
    assert type(back) is OwnGroup
    assert (str(back), repr(back)) == (str(exc), repr(exc))
    assert back.exceptions[1].exceptions[0].hint == "h"


def test_a_base_group_comes_back_as_one():
    back = travel(BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError()]))
    assert type(back) is BaseExceptionGroup
    assert [type(member) for member in back.exceptions] == [KeyboardInterrupt, ValueError]


def test_no_constructor_written_in_python_runs():
    exc = OwnSignatureError(4, hint="h")
    before = OwnSignatureError.constructed
    travel(exc)
    assert OwnSignatureError.constructed == before


def test_the_cause_comes_back():
    def body():
        try:
            raise KeyError("low")
        except KeyError as exc:
            raise ValueError("high") from exc

    back = travel(raised(body))
    assert repr(back.__cause__) == "KeyError('low')"


def test_the_context_comes_back_as_the_cause_unless_it_is_suppressed():
    def body(suppress):
        try:
            raise KeyError("low")
        except KeyError:
            if suppress:
                raise ValueError("high") from None
            raise ValueError("high")  # noqa: B904

    assert repr(travel(raised(body, False)).__cause__) == "KeyError('low')"
    assert travel(raised(body, True)).__cause__ is None


def test_notes_come_back_before_the_traceback():
    exc = raised(int, "x")
    exc.add_note("first")
    exc.add_note("second")
    *notes, trace = travel(exc).__notes__
    assert notes == ["first", "second"]
    assert trace.startswith("Remote traceback:\nTraceback (most recent call last):\n")
    assert "in raised" in trace


def test_a_second_journey_changes_nothing():
    def body():
        try:
            raise KeyError("low")
        except KeyError as exc:
            exc.add_note("note")
            raise OwnSignatureError(1, hint="h") from exc

    once = describe(raised(body))
    assert describe(rebuild(once, known_modules=[__name__])) == once


def test_a_frozen_exception_gets_its_notes_and_its_cause():
    cause = describe(ValueError())
    data = msgspec.structs.replace(describe(FrozenError(1)), notes=["note"], cause=cause)
    back = rebuild(data, known_modules=[__name__])
    assert back.__notes__[0] == "note"
    assert repr(back.__cause__) == "ValueError()"


def test_a_class_of_an_unknown_module_becomes_a_remote_error():
    exc = raised(lambda: (_ for _ in ()).throw(OwnSignatureError(4, hint="h")))
    back = travel(exc, known_modules=[])
    assert type(back) is RemoteError
    assert back.type_name == f"{__name__}.OwnSignatureError"
    assert back.message == "code 4"
    assert back.traceback.endswith("OwnSignatureError: code 4\n")


def test_a_remote_error_keeps_notes_and_cause():
    exc = OwnSignatureError(4, hint="h")
    exc.add_note("note")
    exc.__cause__ = ValueError(1)
    back = travel(exc, known_modules=[])
    assert back.__notes__ == ["note"]
    assert repr(back.__cause__) == "ValueError(1)"


def test_a_local_class_becomes_a_remote_error():
    class LocalError(Exception):
        pass

    assert type(travel(LocalError("x"))) is RemoteError


@pytest.mark.parametrize(
    "exc",
    [
        ValueError(object()),
        ValueError(float("nan")),
        ValueError({1: 2}),
        ValueError(10**5000),
        ValueError("x" * MAX_DATA),
        raised(decimal.Decimal, "x"),
    ],
    ids=["object", "nan", "keys", "digits", "size", "class"],
)
def test_arguments_that_do_not_fit_leave_the_message(exc):
    data = describe(exc)
    back = rebuild(data, known_modules=[])
    assert data.args is None
    assert type(back) is type(exc)
    assert str(back) == data.message


def test_attributes_that_do_not_fit_are_left_out():
    exc = ValueError("x")
    exc.good, exc.bad, exc.large = (1, b"2"), object(), "x" * MAX_DATA
    assert vars(travel(exc)) == {"good": (1, b"2")}


def test_an_exception_that_cannot_be_shown_without_a_lost_attribute_becomes_a_remote_error():
    back = travel(NeedsAttributeError(types.SimpleNamespace(name="lost")))
    assert type(back) is RemoteError
    assert back.message == "about lost"


# What the class of the exception may do to those who describe it.


class HostileMeta(type):
    @property
    def __module__(cls):
        raise RuntimeError("no module")


class HostileMetaError(Exception, metaclass=HostileMeta):
    pass


class TextOfItsOwn(str):
    __slots__ = ()

    def encode(self, *args):
        raise RuntimeError("not encoded")


class HostileError(Exception):
    def __str__(self):
        raise SystemExit(1)

    def __repr__(self):
        raise KeyboardInterrupt

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __eq__(self, other):
        raise RuntimeError("not compared")

    __hash__ = None


class OwnTextError(Exception):
    def __str__(self):
        return TextOfItsOwn("text")


class NoTextError(Exception):
    def __str__(self):
        return 5  # noqa: PLE0307


def with_attributes(exc, **attributes):
    vars(exc).update(attributes)
    return exc


def looped():
    exc = ValueError("loop")
    other = KeyError("other")
    exc.__cause__, other.__context__ = other, exc
    exc.args = (exc.args,) * 2
    endless = []
    endless.append(endless)
    return with_attributes(exc, endless=endless)


HOSTILE = {
    "everything raises": lambda: HostileError("x"),
    "metaclass": lambda: HostileMetaError("x"),
    "own text": OwnTextError,
    "no text": NoTextError,
    "surrogates": lambda: with_attributes(ValueError("\ud800"), text="\ud800"),
    "subclass of str": lambda: ValueError(TextOfItsOwn("text")),
    "loop": looped,
    "notes of all kinds": lambda: with_attributes(
        ValueError(), __notes__=[1, "\ud800", HostileError(), TextOfItsOwn("x")]
    ),
    "notes are no list": lambda: with_attributes(ValueError(), __notes__=5),
    "attribute without a name": lambda: with_attributes(ValueError(), **{"not a name": 1, "": 2}),
    "hostile attribute": lambda: with_attributes(ValueError(), inner=HostileError(), cls=HostileMetaError),
    "hostile member": lambda: ExceptionGroup("g", [HostileError("x")]),
    "module is a number": lambda: type("OddError", (Exception,), {"__module__": 5})("x"),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_describing_never_fails_and_the_data_can_travel(make):
    data = describe(make())
    assert msgspec.json.decode(msgspec.json.encode(data), type=ErrorData) == data
    assert isinstance(rebuild(data, known_modules=[__name__]), BaseException)


def test_a_failing_str_is_said_to_have_failed():
    assert describe(HostileError("x")).message == "<its __str__ failed>"


def count(data):
    return 1 + (count(data.cause) if data.cause else 0) + sum(map(count, data.exceptions))


def test_a_chain_of_causes_is_cut():
    first = exc = ValueError(0)
    for number in range(100):
        exc.__cause__ = ValueError(number)
        exc = exc.__cause__
    assert count(describe(first)) == MAX_DEPTH


def test_a_loop_of_causes_is_cut():
    assert count(describe(looped())) == 2


def test_a_wide_group_is_cut():
    assert count(describe(ExceptionGroup("g", [ValueError(number) for number in range(1000)]))) == MAX_NODES


def test_shared_causes_do_not_multiply():
    exc = ValueError()
    for _ in range(MAX_DEPTH):
        group = ExceptionGroup("g", [exc, exc])
        group.__cause__ = exc
        exc = group
    assert count(describe(exc)) <= MAX_NODES


def test_long_texts_keep_head_and_tail():
    exc = ValueError("head" + "x" * 10 * MAX_TEXT + "tail")
    message = describe(exc).message
    assert message.startswith("head")
    assert message.endswith("tail")
    assert len(message) < MAX_TEXT + 100


@pytest.mark.slow
def test_the_traceback_of_an_endless_recursion_is_bounded():
    def body(number):
        body(number + 1) if number % 2 else again(number + 1)

    def again(number):
        body(number + 1) if number % 3 else again(number + 1)

    trace = describe(raised(body, 0)).traceback
    assert len(trace) < MAX_TEXT + 100
    assert trace.startswith("Traceback")
    assert "RecursionError" in trace


# What a payload may ask for.

NOT_EXCEPTIONS = [
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "builtins.object",
    "builtins.type",
    "builtins.__import__",
    "subprocess.Popen",
    "collections.OrderedDict",
    "pynenc_async.errors.Sequence",
    "types.SimpleNamespace",
    "sys.modules",
    "os.path.join",
    "json.decoder",
    "builtins.ValueError.__init__",
    "builtins.ValueError.__base__",
    "builtins.ValueError.__class__",
    "builtins.OSError.__subclasses__",
    "builtins.IOError",  # another name of OSError: no class calls itself so
    "json.JSONDecodeError",  # its home is json.decoder
    f"{__name__}.JSONDecodeError",
    f"{__name__}.Outer",
    f"{__name__}.test_a_local_class.<locals>.LocalError",
    "ValueError",
    "builtins",
    "builtins.",
    ".ValueError",
    "builtins..ValueError",
    "builtins.valueError",
    "...",
    "",
    " ",
    "\x00",
    "é.ü",
    "a" * 10_000,
    "." * 10_000_000,
]


@pytest.mark.parametrize("type_name", NOT_EXCEPTIONS, ids=lambda name: repr(name)[:50])
def test_what_is_no_exception_of_a_known_module_becomes_a_remote_error(type_name):
    back = rebuild(error_data(type_name, args=["echo"], state={"code": 1}), known_modules=[__name__])
    assert type(back) is RemoteError
    assert back.type_name == type_name
    assert back.message == "m"


@pytest.mark.parametrize(
    "name", ["antigravity", "this", "turtledemo", "idlelib.run", "lib2to3.pgen2.tokenize", "nowhere"]
)
def test_nothing_is_imported_because_a_payload_names_it(name):
    assert name not in sys.modules
    back = rebuild(error_data(f"{name}.Error"), known_modules=[name])
    assert type(back) is RemoteError
    assert name not in sys.modules


class LazyModule(types.ModuleType):
    touched = 0

    def __getattribute__(self, name):
        LazyModule.touched += 1
        return super().__getattribute__(name)


def test_a_lazy_module_is_not_woken(monkeypatch):
    module = LazyModule("lazy_module")
    vars(module)["__getattr__"] = lambda name: ValueError
    monkeypatch.setitem(sys.modules, "lazy_module", module)
    LazyModule.touched = 0
    assert type(rebuild(error_data("lazy_module.Error"), known_modules=["lazy_module"])) is RemoteError
    assert LazyModule.touched == 0


def test_a_name_that_holds_a_proxy_is_not_asked_for_its_class(monkeypatch):
    class Proxy:
        @property
        def __class__(self):
            raise RuntimeError("asked")

    module = types.ModuleType("proxied")
    module.Error = Proxy()
    monkeypatch.setitem(sys.modules, "proxied", module)
    assert type(rebuild(error_data("proxied.Error"), known_modules=["proxied"])) is RemoteError


def test_state_cannot_replace_methods_or_what_python_owns():
    refused = ["__class__", "__dict__", "__notes__", "__cause__", "with_traceback", "add_note", "retry", "a b", ""]
    state = dict.fromkeys(refused, 1)
    back = rebuild(error_data(f"{__name__}.PropertyError", args=["x"], state=state), known_modules=[__name__])
    assert type(back) is PropertyError
    assert vars(back) == {}
    assert back.retry() == "retried"


def test_state_runs_no_property():
    PropertyError.touched = 0
    rebuild(error_data(f"{__name__}.PropertyError", args=["x"], state={"code": 9}), known_modules=[__name__])
    assert PropertyError.touched == 0


def test_an_import_error_cannot_make_its_reader_import():
    state = {"name": "antigravity", "name_from": "x"}
    back = rebuild(error_data("builtins.ImportError", args=["no"], state=state), known_modules=[])
    assert type(back) is ImportError
    assert traceback.format_exception(back) == ["ImportError: no\n"]
    assert "antigravity" not in sys.modules


MISFITS = {
    "range outside of the text": error_data("builtins.UnicodeDecodeError", args=["u", {"bytes": "QQ=="}, 5, 6, "r"]),
    "negative range": error_data("builtins.UnicodeEncodeError", args=["u", "a", -9, -8, "r"]),
    "range beyond the machine": error_data("builtins.UnicodeTranslateError", args=["a", 0, 10**30, "r"]),
    "wrong number of arguments": error_data("builtins.UnicodeDecodeError", args=["u"]),
    "wrong types": error_data("builtins.UnicodeDecodeError", args=[1, 2, 3, 4, 5]),
    "source line is a number": error_data("builtins.SyntaxError", args=["m", {"tuple": ["f", 1, 1, 5]}]),
    "group without members": error_data("builtins.ExceptionGroup", args=["m"]),
    "group with a member that is none": error_data("builtins.ExceptionGroup", args=["m", {"tuple": [1]}]),
    "unknown tag": error_data("builtins.ValueError", args=[{"object": "x"}]),
    "two tags": error_data("builtins.ValueError", args=[{"tuple": [], "dict": {}}]),
    "no tag": error_data("builtins.ValueError", args=[{}]),
    "tuple of characters": error_data("builtins.ValueError", args=[{"tuple": "abc"}]),
    "bytes that are not base64": error_data("builtins.ValueError", args=[{"bytes": "!"}]),
    "deep arguments": error_data("builtins.ValueError", args=nested(10_000)),
    "attribute that the text needs": error_data(f"{__name__}.NoSuperInitError", args=[1]),
}


@pytest.mark.parametrize("data", MISFITS.values(), ids=MISFITS)
def test_data_that_does_not_fit_its_class_becomes_a_remote_error(data):
    back = rebuild(data, known_modules=[__name__])
    assert type(back) is RemoteError
    assert back.type_name == data.type_name


@pytest.mark.slow
@pytest.mark.parametrize("field", ["cause", "exceptions"])
def test_a_deep_payload_does_not_exhaust_the_stack(field):
    data = error_data("builtins.ExceptionGroup", args=["m"])
    for _ in range(100_000):
        data = error_data("builtins.ExceptionGroup", args=["m"], **{field: data if field == "cause" else [data]})
    assert isinstance(rebuild(data, known_modules=[]), BaseException)
    while data is not None:  # taken apart by hand: it is not msgspec's destructor that is tested here
        data = data.cause if field == "cause" else next(iter(data.exceptions), None)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@pytest.mark.slow
@UNTIMED
@given(st.lists(PLAIN))
def test_plain_arguments_of_any_shape_come_back(args):
    exc = ValueError(*args)
    back = travel(exc)
    assert repr(back) == repr(exc)
    assert back.args == exc.args


EXCEPTION_NAMES = [
    f"builtins.{name}"
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["tuple", "bytes", "dict", "x"]), inner, max_size=2)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["name", "path", "filename", "filename2", "name_from", "args", "value", "code", "__class__"])
PAYLOADS = st.recursive(
    st.builds(ErrorData, type_name=st.sampled_from(EXCEPTION_NAMES) | st.text(), message=st.text(), args=st.none()),
    lambda inner: st.builds(
        ErrorData,
        type_name=st.sampled_from([*EXCEPTION_NAMES, *NOT_EXCEPTIONS[:20], f"{__name__}.OwnGroup"]),
        message=st.text(),
        args=st.none() | st.lists(JSON, max_size=5),
        state=st.dictionaries(NAMES | st.text(), JSON, max_size=3),
        traceback=st.text(),
        notes=st.lists(st.text(), max_size=2),
        cause=st.none() | inner,
        exceptions=st.lists(inner, max_size=2),
    ),
    max_leaves=4,
)


@pytest.mark.slow
@UNTIMED
@given(PAYLOADS)
def test_any_payload_is_rebuilt_as_an_exception_that_can_be_shown(data):
    back = rebuild(data, known_modules=[__name__])
    assert isinstance(back, BaseException)
    assert type(back) is RemoteError or f"{type(back).__module__}.{type(back).__qualname__}" in {
        *EXCEPTION_NAMES,
        f"{__name__}.OwnGroup",
    }
    assert isinstance(str(back) + repr(back), str)
    assert isinstance(describe(back), ErrorData)


class BothError(KeyboardInterrupt, ValueError):
    pass


ENDINGS = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError("stop"),
    BothError("x"),
    BaseException(),
]


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_what_strangers_have_written_is_an_error_in_causes_and_groups_too(ending):
    failure = ValueError("x")
    failure.__cause__ = BaseExceptionGroup("several", [KeyError("k"), BaseExceptionGroup("inner", [ending])])
    for exc in (ending, failure):
        back = rebuild_error(describe(exc), known_modules=[__name__])
        group = back.__cause__
        told = back if group is None else group.exceptions[1].exceptions[0]
        assert type(told) is RemoteError
        assert told.type_name == f"{type(ending).__module__}.{type(ending).__qualname__}"
        assert told.message == str(ending)
    assert type(back) is ValueError
    assert [type(one) for one in (group, group.exceptions[0])] == [ExceptionGroup, KeyError]


@pytest.mark.slow
@UNTIMED
@given(PAYLOADS)
def test_any_payload_of_a_stranger_is_rebuilt_as_an_error(data):
    assert isinstance(rebuild_error(data, known_modules=[__name__]), Exception)


def test_every_error_of_the_package_is_known():
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, PynencError)]
    assert len(classes) > 10
    for cls in classes:
        back = rebuild(error_data(f"{cls.__module__}.{cls.__qualname__}", args=["m"]), known_modules=[])
        assert type(back) is cls
