import functools
import math
import math as m
import operator
from collections import Counter
from datetime import datetime

import duckdb
import pyarrow as pa
import pytest

from duckdb_wasi_udf import DataLimits, GuestError, ResourceLimits, SignatureError, _engine, _guest
from duckdb_wasi_udf._instance import GuestInstance
from duckdb_wasi_udf._source import define

FACTOR = 3
NAMES = {"a": [1, (2.5, None)], "b": {"x", "y"}, "c": b"\0\xff", "d": float("inf")}


def in_guest(function, *values):
    """What the shipped function returns for one row of integers."""
    definition = define(function, "shipped", return_null=False)
    instance = GuestInstance(_engine.shared(_guest.find()), definition, ResourceLimits(), DataLimits())
    instance.bind([(pa.int64(), True)] * len(values), None)
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


def test_a_decorator_that_leaves_the_function_alone_is_not_shipped():
    def plain(function):
        return function

    @plain
    def decorated(x):
        return x + FACTOR

    assert same_as_here(decorated, 1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (len, "a builtin_function_or_method can't be shipped"),
        (functools.partial(pow, 2), "a partial can't be shipped"),
        (operator.itemgetter(1), "an? itemgetter can't be shipped"),
        (Counter().update, "a method can't be shipped"),
        (int, "a type can't be shipped"),
        (functools.cache(lambda x: x), "can't be shipped"),
        (functools.wraps(len)(lambda x: x), "a decorated function can't be shipped"),
        (eval("lambda x: x"), "can't be found"),
    ],
)
def test_what_cannot_be_shipped_is_refused_with_the_reason(function, message):
    with pytest.raises(SignatureError, match=message):
        define(function, "f", return_null=False)


class Thing:
    pass


@pytest.mark.parametrize(
    "value", [Thing(), Thing, pa.array([1]), memoryview(b"x"), bytearray(b"x"), object(), True + 0j]
)
def test_a_value_that_cannot_be_shipped_is_refused_by_name(value):
    def uses(x):
        return value

    if type(value) is complex:
        assert define(uses, "f", return_null=False).captured
        return
    with pytest.raises(SignatureError, match=f"f: the variable 'value' is an? {type(value).__name__}"):
        define(uses, "f", return_null=False)


def test_a_value_hidden_in_a_container_is_refused_as_well():
    hidden = {"a": [1, {"b": Thing()}]}

    def uses(x):
        return hidden

    with pytest.raises(SignatureError, match="'hidden' is a dict"):
        define(uses, "f", return_null=False)


def test_a_module_the_guest_does_not_have_is_refused_at_registration():
    def uses(x):
        return duckdb.__name__

    with pytest.raises(GuestError, match="No module named 'duckdb'"):
        in_guest(uses, 1)


def test_source_text_is_taken_as_it_is():
    definition = define("lambda x: x", "f", return_null=True)
    assert (definition.source, definition.entry, definition.captured, definition.return_null) == (
        "lambda x: x",
        None,
        None,
        True,
    )
