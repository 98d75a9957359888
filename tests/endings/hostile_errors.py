"""Exceptions that misbehave when somebody looks at them, or marks them. Each is made without arguments."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlotsError(Exception):
    code: int = 1


class ReadOnlyError(Exception):
    def __setattr__(self, name, value):
        raise AttributeError(f"{name} is read-only")

    def __delattr__(self, name):
        raise AttributeError(f"{name} is read-only")


class SilentError(Exception):
    """Has no text to show, in the worst way."""

    def __str__(self):
        raise SystemExit("str")

    __repr__ = __format__ = __str__


class WrongTextError(Exception):
    def __str__(self):
        return 7  # noqa: PLE0307  on purpose

    __repr__ = __str__


class IncomparableError(Exception):
    def __eq__(self, other):
        raise KeyboardInterrupt("eq")

    def __hash__(self):
        raise KeyboardInterrupt("hash")

    def __bool__(self):
        raise KeyboardInterrupt("bool")


class SecretiveError(Exception):
    """Keeps what the interpreter knows of it for itself."""

    @property
    def __traceback__(self):
        raise GeneratorExit("traceback")

    @property
    def __cause__(self):
        raise GeneratorExit("cause")

    @property
    def __context__(self):
        raise GeneratorExit("context")

    @property
    def __notes__(self):
        raise GeneratorExit("notes")

    @property
    def __dict__(self):
        raise GeneratorExit("dict")

    @property
    def args(self):
        raise GeneratorExit("args")

    def with_traceback(self, tb):
        raise GeneratorExit("with_traceback")


class MaskedError(Exception):
    """Does not say of which class it is."""

    @property
    def __class__(self):
        raise SystemExit("class")


class UnknowableError(Exception):
    def __getattribute__(self, name):
        raise SystemExit(name)


class BareMeta(type):
    @property
    def __name__(cls):
        raise SystemExit("name")

    def __instancecheck__(cls, one):
        raise SystemExit("instancecheck")


class NamelessError(Exception, metaclass=BareMeta):
    pass


class FarError(BaseException):
    pass


class OddText(str):
    __slots__ = ()

    def __str__(self):
        return self

    def __len__(self):
        raise SystemExit("len")

    __eq__ = __bool__ = __iter__ = __contains__ = __add__ = __format__ = encode = strip = partition = __len__
    __hash__ = str.__hash__


class OddTextError(Exception):
    def __init__(self):
        super().__init__(OddText("odd \ud800"))


class OddMembersError(BaseExceptionGroup):
    """A group that hides its members."""

    def __new__(cls):
        return super().__new__(cls, "odd", [FrozenError(), SilentError(), SecretiveError()])

    def __init__(self):
        super().__init__()

    @property
    def exceptions(self):
        raise SystemExit("exceptions")


class RingError(Exception):
    """Is its own cause, over a detour."""

    def __init__(self):
        other = ValueError("the detour")
        self.__cause__ = other
        other.__context__ = self


HOSTILE = (
    FrozenError, FrozenSlotsError, ReadOnlyError, SilentError, WrongTextError, IncomparableError, SecretiveError, MaskedError,
    UnknowableError, NamelessError, FarError, OddTextError, OddMembersError, RingError,
)  # fmt: skip
