import dataclasses
import enum
import functools
import linecache
import math
import math as m
import operator
import types
from collections import Counter
from datetime import datetime
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pytest

from duckdb_wasi_udf import GuestError, SignatureError
from duckdb_wasi_udf._functions.shipping import ship
from tests.support.guests import start

FACTOR = 3
NAMES = {"a": [1, (2.5, None)], "b": {"x", "y"}, "c": b"\0\xff", "d": float("inf")}


def in_guest(function, *values):
    """What the shipped function returns for one row of integers."""
    instance = start(ship(function, "shipped", return_null=False), *[pa.int64()] * len(values))
    return instance.call([pa.array([value], pa.int64()) for value in values], 1)[0].to_pylist()[0]


def same_as_here(function, *values):
    return in_guest(function, *values) == function(*values)


def test_several_lambdas_on_one_line_are_told_apart():
    first, second, third = lambda x: x + 1, lambda x: x * 2, lambda x: (lambda y: y - x)(7)
    assert all(same_as_here(each, 5) for each in (first, second, third))
    nested = (lambda x: lambda y: x + y)(3)
    assert same_as_here(nested, 4)


def test_a_lambda_in_a_call_over_several_lines():
    chosen = max(
        lambda x: "é" if x else "ü" * 2,
        lambda x: x,
        key=lambda f: isinstance(f(0), str),
    )
    assert same_as_here(chosen, 0)
    assert same_as_here(chosen, 1)


def test_a_lambda_as_default_argument():
    def outer(f=lambda x: x - 1, g=lambda x: x - 2):
        return f, g

    assert [in_guest(f, 10) for f in outer()] == [9, 8]


def test_a_nested_def_with_a_closure():
    offset, scale = 10, 0.5

    def shifted(x, extra=4):
        """Docstring."""

        def inner(y):
            return y * scale + extra

        return inner(x) + offset

    assert same_as_here(shifted, 3)
    assert same_as_here(shifted, 3, 5)


def test_recursion():
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    assert same_as_here(factorial, 15)


def test_globals_that_are_plain_values_or_imports():
    def uses(x):
        counted = Counter(str(sorted(NAMES)))
        day = datetime.fromisoformat("2020-01-01").replace(day=x)
        return f"{FACTOR * x} {math.pi} {m.tau} {counted['a']} {day} {NAMES['d']}"

    assert same_as_here(uses, 7)


def test_plain_values_cross_exact():
    def show(x):
        return str((NAMES["a"], NAMES["c"], NAMES["d"], sorted(NAMES["b"])))

    assert same_as_here(show, 0)


def test_a_default_that_uses_a_global():
    def scaled(x, factor=FACTOR):
        return x * factor

    assert same_as_here(scaled, 2)


def test_annotations_need_not_be_importable():
    def typed(x: "duckdb.DuckDBPyConnection", y: duckdb.Value) -> datetime:
        return x + y

    assert in_guest(typed, 1, 2) == 3


def test_a_decorator_that_changes_nothing_is_not_shipped():
    def plain(function):
        return function

    @plain
    def decorated(x):
        return x + FACTOR

    assert same_as_here(decorated, 1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (len, "this is a builtin_function_or_method, which can't be shipped"),
        (operator.itemgetter(1), "this is a itemgetter, which can't be shipped"),
        (Counter().update, "this is a method, which can't be shipped"),
        (int, "the source of int can't be found"),
        (eval("lambda x: x"), "the source of <lambda> (can't be found|is not where it was when it was run)"),
    ],
)
def test_what_cannot_be_shipped_is_refused_with_the_reason(function, message):
    with pytest.raises(SignatureError, match=message):
        ship(function, "f", return_null=False)


class Thing:
    pass


@pytest.mark.parametrize("value", [Thing(), pa.array([1]), memoryview(b"x"), bytearray(b"x"), object()])
def test_a_value_that_cannot_be_shipped_is_refused_by_name(value):
    def uses(x):
        return value

    with pytest.raises(SignatureError, match=f"f: the variable 'value' is a {type(value).__name__}, which can't be"):
        ship(uses, "f", return_null=False)


def test_a_value_hidden_in_a_container_is_refused_as_well():
    hidden = {"a": [1, {"b": Thing()}]}

    def uses(x):
        return hidden

    with pytest.raises(SignatureError, match="'hidden' is a dict"):
        ship(uses, "f", return_null=False)


def test_a_module_the_guest_lacks_is_refused_at_registration():
    def uses(x):
        return duckdb.__name__

    with pytest.raises(GuestError, match="No module named 'duckdb'"):
        in_guest(uses, 1)


def test_source_text_is_taken_as_it_is():
    definition = ship("lambda x: x", "f", return_null=True)
    assert [(unit.source, unit.entry) for unit in definition.units] == [("lambda x: x", None)]
    assert definition.return_null


# ---- functions and classes that others use ---------------------------------------------------------------------------

RATE = 2


def helper(x):
    return x * RATE + deeper(x)


def deeper(x, again=1):
    return helper(x - 1) if again and x > 100 else 7


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 3

    ORIGIN = RATE

    @property
    def size(self):
        return helper(self.x) + self.y

    @classmethod
    def of(cls, x):
        return cls(x, y=cls.ORIGIN)


class Base:
    def name(self):
        return "base"


class Derived(Base):
    def name(self):
        return super().name() + " derived"


class Color(enum.Enum):
    RED = 1
    BLUE = RATE


class Pair(NamedTuple):
    left: int
    right: int = 4


def loud(function):
    @functools.wraps(function)
    def wrapper(*args):
        return f"{function(*args)}!"

    return wrapper


@loud
def greet(x):
    """Docstring."""
    return f"hello {x}"


@functools.lru_cache(maxsize=8)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def test_functions_that_use_functions_that_use_each_other():
    assert same_as_here(lambda x: helper(x), 5)
    assert same_as_here(lambda x: helper(x) - deeper(x, 0), 102)


def test_classes_of_every_kind():
    assert same_as_here(lambda x: Point(x).size + Point.of(x).y, 5)
    assert same_as_here(lambda x: repr(Point(x)), 5)
    assert same_as_here(lambda x: Derived().name() * x, 2)
    assert same_as_here(lambda x: Color(x).name, 2)
    assert same_as_here(lambda x: str(Pair(x)._asdict()), 2)


def test_a_class_with_a_closure():
    offset = 40

    class Local:
        def add(self, x):
            return x + offset

    assert same_as_here(lambda x: Local().add(x), 2)


def test_decorated_functions_are_shipped_as_decorated():
    assert same_as_here(greet, 5)
    assert same_as_here(fibonacci, 30)
    assert same_as_here(lambda x: f"{greet(x)} {fibonacci(x)}", 20)


def test_partial_functions():
    assert same_as_here(functools.partial(pow, 2), 10)
    assert same_as_here(functools.partial(helper, x=3))
    assert same_as_here(functools.partial(functools.partial(lambda a, b, c: a * 100 + b * 10 + c, 1), 2), 3)


def test_two_globals_of_the_same_name_in_two_modules_keep_apart():
    module = types.ModuleType("elsewhere")
    source = "RATE = 1000\ndef scaled(x):\n    return x * RATE\n"
    linecache.cache["elsewhere.py"] = (len(source), None, source.splitlines(keepends=True), "elsewhere.py")
    exec(compile(source, "elsewhere.py", "exec"), vars(module))
    scaled = module.scaled
    assert same_as_here(lambda x: scaled(x) + RATE, 5)


def test_a_helper_that_cannot_be_shipped_is_named():
    hidden = Thing()

    def inner(x):
        return hidden

    with pytest.raises(SignatureError, match="f: the variable 'hidden' is a Thing"):
        ship(lambda x: inner(x), "f", return_null=False)


def test_an_error_in_a_helper_shows_its_line():
    def fails(x):
        return 1 // (x - x)

    with pytest.raises(GuestError, match=r'File "<fails>", line 2, in fails\n    return 1 // \(x - x\)'):
        in_guest(lambda x: fails(x), 1)
