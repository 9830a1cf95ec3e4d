"""Values beside a function: what can be pickled arrives in the guest, the rest is refused by name."""

import collections
import datetime as dt
import decimal
import fractions
import functools
import ipaddress
import json
import logging
import math
import operator
import os
import pathlib
import re
import socket
import string
import sys
import threading
import types
import typing
import uuid
import weakref
from os import environ
from random import randint

import pyarrow as pa
import pytest

from duckdb_wasi_udf import LimitExceeded, SignatureError
from duckdb_wasi_udf._functions.shipping import ship
from tests.functions.test_shipped_state import Color, Pair, Point, greet, same
from tests.support.guests import start

VALUES = {
    "Decimal": decimal.Decimal("1.10"),
    "date": dt.date(2020, 1, 2),
    "datetime": dt.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    "time": dt.time(1, 2, tzinfo=dt.UTC),
    "timedelta": dt.timedelta(1, 2, 3),
    "UUID": uuid.UUID(int=5),
    "Fraction": fractions.Fraction(1, 3),
    "pattern": re.compile("a(?P<x>b)", re.IGNORECASE),
    "range": range(1, 10, 3),
    "slice": slice(1, None, 2),
    "frozenset": frozenset([1]),
    "set": {"a"},
    "bytearray": bytearray(b"x\0"),
    "complex": 1j,
    "nan": [float("inf"), -0.0, 10**40],
    "text": "é😀\0\u2028",
    "defaultdict": collections.defaultdict(list, a=[1]),
    "Counter": collections.Counter("aab"),
    "deque": collections.deque([1], maxlen=3),
    "ChainMap": collections.ChainMap({"a": 1}, {"b": 2}),
    "network": ipaddress.ip_network("10.0.0.0/8"),
    "path": pathlib.PurePosixPath("/a/b"),
    "windows path": pathlib.PureWindowsPath("c:/a"),
    "namespace": types.SimpleNamespace(a=Point(1)),
    "proxy": types.MappingProxyType({"a": 1}),
    "constants": [..., NotImplemented, None, True],
    "types": [int, type(None), types.FunctionType, dict[str, int], int | None],
    "typing": [typing.Any, typing.Optional[int], typing.Annotated[int, "x"], typing.Literal["a"]],  # noqa: UP045
    "members": [Color.RED, {Color.BLUE: 1}],
    "named tuple": Pair(1, 2),
    "dataclass": [Point(1), {Point(2): "two"}],
    "error": ValueError("bad"),
    "nested": {"a": [(dt.date(2020, 1, 1), {decimal.Decimal(1): b"x"})]},
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_arrives_as_it_is(name):
    value = VALUES[name]
    assert same(lambda: value)


def test_values_behave_as_they_do_here():
    context = decimal.Context(prec=3)
    ordered = collections.OrderedDict(b=1, a=2)
    template = string.Template("$a and $b")
    log = logging.getLogger("of the host")
    missing = collections.defaultdict(lambda: 7)
    assert same(lambda: context.divide(decimal.Decimal(1), decimal.Decimal(3)))
    assert same(lambda: (list(ordered), ordered.popitem(), template.substitute(a=1, b=2), log.name, missing["x"]))


TABLE = {
    "builtin": len,
    "function": math.gcd,
    "method": str.upper,
    "lambda": lambda x: x + 1,
    "getter": operator.itemgetter(1),
    "caller": operator.methodcaller("upper"),
    "partial": functools.partial(pow, 2),
    "decorated": greet,
    "class method": dt.datetime.fromisoformat,
    "type": decimal.Decimal,
    "of a text": "{}!".format,
    "of a dictionary": {"a": 5}.get,
    "of a pattern": re.compile("a").sub,
    "of the class": dict.fromkeys,
    "of an object": Point(4).moved,
    "module function": json.dumps,
}


def test_dispatch_tables():
    def dispatched():
        return (
            TABLE["builtin"]("ab"),
            TABLE["function"](4, 6),
            TABLE["method"]("a"),
            TABLE["lambda"](1),
            TABLE["getter"]([1, 2]),
            TABLE["caller"]("a"),
            TABLE["partial"](3),
            TABLE["decorated"](1),
            TABLE["class method"]("2020-01-01"),
            TABLE["type"]("1.5"),
            TABLE["of a text"](1),
            TABLE["of a dictionary"]("a"),
            TABLE["of a pattern"]("b", "aa"),
            TABLE["of the class"]("ab"),
            TABLE["of an object"](),
            TABLE["module function"]([1]),
        )

    assert same(dispatched)


class Adds:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x + self.by

    def twice(self, x: int) -> int:
        return self(self(x))


@pytest.mark.parametrize(
    "function",
    [
        abs,
        float,
        math.sqrt,
        str,
        operator.neg,
        operator.attrgetter("real"),
        functools.partial(pow, 2),
        Adds(3),
        Adds(4).twice,
        "{:03d}".format,
        int.bit_length,
        {1: "one"}.get,
        collections.Counter({1: 2}).__getitem__,
    ],
    ids=lambda function: type(function).__name__,
)
def test_the_function_itself_is_any_callable(function):
    found = start(ship(function, "f", return_null=False), pa.int64()).call([pa.array([1])], 1)[0].to_pylist()
    assert found == [function(1)]


def test_annotations_of_callables():
    for function in (Adds(4).twice, functools.partial(Adds.twice, Adds(1))):
        described = start(ship(function, "f", return_null=False), pa.int64()).description
        assert described["returns"]["sql"] == "BIGINT"


class Linked:
    def __init__(self, name):
        self.name, self.other = name, self

    def __eq__(self, other):
        return isinstance(other, Linked) and other.name == self.name

    def __hash__(self):
        return hash(self.name)


class Slotted:
    __slots__ = ("__hidden", "x")

    def __init__(self):
        object.__setattr__(self, "x", 1)
        object.__setattr__(self, "_Slotted__hidden", 2)

    def __setattr__(self, name, value):
        raise AttributeError(name)

    def both(self):
        return self.x, self.__hidden


class Restored:
    def __init__(self):
        self.pickled = 0

    def __getstate__(self):
        self.pickled += 1
        return {"pickled": self.pickled}

    def __setstate__(self, state):
        self.state = state


class AppError(Exception):
    def __init__(self, code, *, detail):
        super().__init__(f"code {code}")
        self.code, self.detail = code, detail


def test_objects_of_classes_written_in_python():
    first, second = Linked("a"), Linked("b")
    first.other, second.other = second, first
    known = {first: "first", second: "second"}
    slotted, error = Slotted(), AppError(5, detail="x")
    assert same(lambda: (known[Linked("a")], first.other.other is first, next(iter(known)) is first))
    assert same(lambda: slotted.both())
    assert same(lambda: (str(error), error.code, error.detail))


def test_what_is_shared_stays_shared():
    shared = [1]
    left, right = {"a": shared}, [shared]
    circle = [1]
    circle.append(circle)

    def uses():
        left["a"].append(2)
        return right, circle[1] is circle

    instance = start(ship(lambda: repr(uses()), "f", return_null=False))
    assert instance.call([], 1)[0].to_pylist() == [repr(([[1, 2]], True))]
    assert shared == [1]


def test_an_object_is_pickled_once_and_left_alone():
    value = Restored()
    instance = start(ship(lambda: value.state["pickled"], "f", return_null=False))
    assert (instance.call([], 1)[0].to_pylist(), value.pickled) == ([1], 1)
    assert not hasattr(value, "state")


def test_objects_of_the_standard_library_are_the_guests_own():
    os.environ["DUCKDB_WASI_UDF_TEST_SECRET"] = "secret"
    try:
        instance = start(ship(lambda: environ.get("DUCKDB_WASI_UDF_TEST_SECRET", "nothing"), "f", return_null=False))
        assert instance.call([], 1)[0].to_pylist() == ["nothing"]
    finally:
        del os.environ["DUCKDB_WASI_UDF_TEST_SECRET"]
    found = [
        start(ship(lambda: randint(0, 10**18), "f", return_null=False)).call([], 1)[0][0].as_py() for _ in range(2)
    ]
    assert found[0] != found[1]


def test_a_large_look_up_table():
    table = {f"key {i}": i for i in range(50_000)}
    instance = start(ship(lambda x: table[f"key {x}"], "f", return_null=False), pa.int64())
    assert instance.call([pa.array(range(2049))], 2049)[0].to_pylist() == list(range(2049))


# ---- what is refused ---------------------------------------------------------------------------------------------


class Holds:
    def __init__(self, held):
        self.held = {"k": [held]}


class HasLock:
    lock = threading.Lock()


class RaisesWhenPickled:
    def __reduce__(self):
        raise ValueError("not me")


lock = threading.Lock()
endless = []
for _ in range(100_000):
    endless = [endless]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lock, "is a lock, which can't be shipped to the guest: .*lock"),
        ({"a": [{"b": lock}]}, r"is a dict, .* because of value\['a'\]\[0\]\['b'\], a lock: "),
        (Holds(lock), r"is a Holds, .* because of value\.held\['k'\]\[0\], a lock: "),
        (pa.array([1]), "is a Int64Array, .*: the package pyarrow has compiled code, and the sandbox runs Python only"),
        (pa.int64(), "is a DataType, .*: the package pyarrow has compiled code"),
        (pa.array([1]), "is a .*Array, .*: the package pyarrow has compiled code"),
        (pa, "is the module pyarrow, .*: the sandbox has the standard library and the packages of Sandbox"),
        (types.ModuleType("rules"), "is the module rules, .*: the sandbox has .*; import what you use of it by name"),
        (memoryview(b"x"), "is a memoryview, which can't be shipped"),
        (sys.stdout, "is a .*, which can't be shipped"),
        (socket.socket, None),
        ((i for i in [1]), "is a generator, which can't be shipped"),
        (weakref.ref(Holds), "is a ReferenceType, which can't be shipped"),
        (RaisesWhenPickled(), "is a RaisesWhenPickled, which can't be shipped to the guest: not me; make it inside"),
        (endless, "is a list, which can't be shipped to the guest: it nests too deep"),
        (eval("lambda x: x"), "the source of <lambda> can't be found: .*; pass the source as text"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_value_that_cannot_go_is_refused_with_the_reason(value, message):
    def uses(x):
        return value

    if message is None:
        ship(uses, "f", return_null=False)
        return
    with pytest.raises(SignatureError, match=f"^f: the variable 'value' .*{message}"):
        ship(uses, "f", return_null=False)


def test_where_a_value_was_found_is_said():
    def by_default(x, held=lock):
        return x

    def by_keyword(x, *, held=lock):
        return x

    def by_attribute(x):
        return x

    by_attribute.held = lock
    for function, where in [
        (by_default, "the default of the parameter 'held' of by_default"),
        (by_keyword, "the default of the parameter 'held' of by_keyword"),
        (by_attribute, "the attribute 'held' of by_attribute"),
        (lambda: HasLock, "the attribute 'lock' of HasLock"),
        (lambda: by_default(1), "the default of the parameter 'held' of by_default"),
        (functools.partial(by_attribute, lock), r"this is a partial, .* because of \.args\[0\]"),
    ]:
        with pytest.raises(SignatureError, match=f"^f: {where}.* a lock"):
            ship(function, "f", return_null=False)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (3, "this is a int, which can't be called; pass a function, or source text"),
        (pa.show_versions, "this is .*: the package pyarrow has compiled code"),
        (pa.show_versions, "this is .*, which can't be shipped to the guest: "),
        (RaisesWhenPickled().__reduce__, "this is a method, .*: not me"),
    ],
)
def test_a_callable_that_cannot_go_is_refused(function, message):
    with pytest.raises(SignatureError, match=f"^f: {message}"):
        ship(function, "f", return_null=False)


def test_what_is_too_large_is_refused():
    table = [b"x" * 1000]

    def uses():
        return table

    assert ship(uses, "f", return_null=False, limit_bytes=2000)
    with pytest.raises(
        LimitExceeded, match="f: with all it uses the function is larger than shipped_bytes=1,000"
    ) as at:
        ship(uses, "f", return_null=False, limit_bytes=1000)
    assert (at.value.limit, at.value.allowed) == ("shipped_bytes", 1000)
    text = "x" * 40_000_000
    with pytest.raises(LimitExceeded, match="shipped_bytes=16,777,216"):
        ship(lambda: text, "f", return_null=False)
