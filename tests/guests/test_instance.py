import base64
import marshal
import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckdb_wasi_udf import DataLimits, GuestError, GuestTrap, LimitExceeded, ResourceLimits
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._guests.definition import Definition, Unit
from tests.support import guests

MIB = 2**20


@pytest.fixture(scope="module")
def engine():
    return load_engine(artifact.find(), timeout_seconds=10)


@pytest.fixture
def start():
    def make(source, *types, result=None, limits=None, data_limits=None, sees_null=True, return_null=False, **options):
        unit = Unit(source=source, name="f", **options)
        definition = Definition(label="f", units=(unit,), return_null=return_null)
        limits = limits or ResourceLimits(timeout_seconds=5)
        return guests.start(
            definition, *types, result=result, limits=limits, data_limits=data_limits, sees_null=sees_null
        )

    return make


def test_a_definition_is_described(engine):
    source = "def area(width: float, height: 'float | None' = 1.0, *more, unit: str = 'm') -> float: ..."
    instance = guests.make(engine, Definition.from_source(source, "f"))
    nothing = {"annotation": None, "sql": None, "none": False, "json": False, "column": False, "problem": None}
    number = nothing | {"annotation": "float", "sql": "DOUBLE"}
    maybe = nothing | {"annotation": "'float | None'", "sql": "DOUBLE", "none": True}
    text = nothing | {"annotation": "str", "sql": "VARCHAR"}
    assert len(instance.description.pop("codes")) == 1
    assert instance.description == {
        "name": "area",
        "by_batch": False,
        "parameters": [
            {"name": "width", "kind": "POSITIONAL_OR_KEYWORD", "required": True, "default": []} | number,
            {"name": "height", "kind": "POSITIONAL_OR_KEYWORD", "required": False, "default": [1.0]} | maybe,
            {"name": "more", "kind": "VAR_POSITIONAL", "required": True, "default": []} | nothing,
            {"name": "unit", "kind": "KEYWORD_ONLY", "required": False, "default": ["m"]} | text,
        ],
        "returns": number,
        "plain": True,
        "arrays": "",
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("lambda x: x + 1", 42),
        ("  lambda x: x + 1  ", 42),
        ("\n    def f(x):\n        return x + 1\n    ", 42),
        ("def helper(x):\n    return x\n\ndef f(x):\n    return helper(x) + 1", 42),
        ("def f(x):\n    return g(x)\ndef g(x):\n    return x - 1", 40),
        ("import math\nlambda x: math.floor(x + 1.5)", 42),
        ("double = lambda x: 2 * x", 82),
        (
            "class Add:\n    def __init__(self, n): self.n = n\n    def __call__(self, x): return x + self.n\nAdd(1)",
            42,
        ),
        ("from functools import partial\npartial(pow, 2)", 2**41),
        ("abs", 41),
    ],
)
def test_code_is_a_lambda_or_a_module_whose_last_function_counts(start, source, expected):
    first = start(source, pa.int64())
    assert first.call([pa.array([41])], 1)[0].to_pylist() == [expected]
    again = guests.start(first.compiled(Definition.from_source(source, "f")), pa.int64())
    assert again.call([pa.array([41])], 1)[0].to_pylist() == [expected]
    assert again.description == {}


def test_compiled_code_converts_arguments_and_shows_lines():
    source = """
    from dataclasses import dataclass
    @dataclass
    class Point:
        x: int
    def f(point: Point, divisor: int) -> int:
        return point.x // divisor
    """
    types = pa.struct([("x", pa.int64())]), pa.int64()
    definition = Definition.from_source(source, "f")
    compiled = guests.start(definition, *types).compiled(definition)
    assert compiled.units[0].code
    again = guests.start(compiled, *types)
    points = pa.array([{"x": 84}], types[0])
    assert again.call([points, pa.array([2])], 1)[0].to_pylist() == [42]
    with pytest.raises(GuestError, match=r"line 6, in f\n.*return point.x // divisor(?s:.*)by zero"):
        again.call([points, pa.array([0])], 1)


def test_code_too_long_to_hand_on_is_compiled_by_each_instance():
    source = (
        "TABLE = {" + ", ".join(f"{i}: 'value {i}'" for i in range(8000)) + "}\ndef f(x: int) -> str: return TABLE[x]"
    )
    definition = Definition.from_source(source, "f")
    instance = guests.start(definition, pa.int64())
    assert instance.compiled(definition) is definition
    assert instance.call([pa.array([7999])], 1)[0].to_pylist() == ["value 7999"]


@pytest.mark.parametrize("codes", [None, 3, [], ["a", "b"], [7], ["!"], [None]])
def test_compiled_code_that_is_none_fails_to_load_or_is_ignored(start, codes):
    instance = start("lambda x: x", pa.int64())
    instance.description["codes"] = codes
    definition = Definition.from_source("lambda x: x", "f")
    compiled = instance.compiled(definition)
    if compiled is not definition:
        with pytest.raises(GuestError):
            guests.start(compiled, pa.int64())


@pytest.mark.parametrize(
    ("source", "type_name", "message"),
    [
        ("lambda x: x +", "SyntaxError", "invalid syntax"),
        ("def f(x)\n    return x", "SyntaxError", "expected ':'"),
        ("", "TypeError", "defines no function"),
        ("x = 3", "TypeError", "defines no function"),
        ("3", "TypeError", "not a function"),
        ("import no_such_module\nlambda x: x", "ModuleNotFoundError", "no_such_module"),
        ("1 / 0\nlambda x: x", "ZeroDivisionError", "division by zero"),
        ("\0", "SyntaxError", "null bytes"),
    ],
)
def test_code_that_defines_nothing_is_an_error_without_a_row(start, source, type_name, message):
    with pytest.raises(GuestError, match=message) as raised:
        start(source, pa.int64())
    assert (raised.value.type_name, raised.value.row) == (type_name, None)


def test_loading_code_counts_against_the_timeout(start):
    with pytest.raises(LimitExceeded, match="timeout_seconds=0.2"):
        start("while True: pass\nlambda x: x", limits=ResourceLimits(timeout_seconds=0.2))


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 2047, 2048, 2049, 100_000])
@pytest.mark.parametrize("nulls", [False, True])
def test_batches_of_every_size_come_back_whole(start, rows, nulls):
    choose = random.Random(rows)
    texts = [None if nulls and choose.random() < 0.3 else f"täxt {i}" * choose.randrange(4) for i in range(rows)]
    numbers = [None if nulls and choose.random() < 0.3 else choose.randrange(-(2**63), 2**63) for _ in range(rows)]
    identity = start("lambda text, number: text", pa.string(), pa.int64())
    columns = [pa.array(texts, pa.string()), pa.array(numbers, pa.int64())]
    array, failed = identity.call(columns, rows)
    assert array.to_pylist() == texts
    assert failed == 0
    other = start("lambda text, number: number", pa.string(), pa.int64(), result=pa.int64())
    assert other.call(columns, rows)[0].to_pylist() == numbers
    assert (
        other.call([column.slice(rows // 3) for column in columns], rows - rows // 3)[0].to_pylist()
        == (numbers[rows // 3 :])
    )


INTEGER_TYPES = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64()]


@pytest.mark.parametrize("data_type", INTEGER_TYPES, ids=str)
def test_integers_of_every_width_arrive_exact(start, data_type):
    bits = data_type.bit_width
    edges = [0, 2**bits - 1] if str(data_type).startswith("u") else [-(2 ** (bits - 1)), -1, 2 ** (bits - 1) - 1]
    array = pa.array([*edges, None], data_type)
    assert start("lambda x: x", data_type).call([array], len(array))[0].to_pylist() == array.to_pylist()


def test_large_unsigned_integers_arrive_exact(start):
    array = pa.array([2**64 - 1, 0], pa.uint64())
    assert start("str", pa.uint64()).call([array], 2)[0].to_pylist() == [str(2**64 - 1), "0"]


def test_narrow_floats_arrive_exact(start):
    array = pa.array([1.5, -0.0, float("inf"), 3.4028234663852886e38], pa.float32())
    result = start("lambda x: x", pa.float32()).call([array], 4)[0].to_pylist()
    assert list(map(repr, result)) == ["1.5", "-0.0", "inf", "3.4028234663852886e+38"]


@pytest.fixture(scope="module")
def identities():
    return {
        data_type: guests.start("lambda x: x", data_type, result=data_type)
        for data_type in (pa.bool_(), pa.int64(), pa.float64(), pa.string())
    }


VALUES = {
    pa.bool_(): st.booleans(),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
}


@settings(deadline=None)
@given(st.data())
def test_values_of_every_type_survive_the_round_trip(identities, data):
    data_type = data.draw(st.sampled_from(list(VALUES)))
    array = pa.array(data.draw(st.lists(st.none() | VALUES[data_type], max_size=50)), data_type)
    result, _ = identities[data_type].call([array], len(array))
    result.validate(full=True)
    assert result.equals(array)


def test_nan_and_signed_zero_survive(identities):
    array = pa.array([float("nan"), -0.0])
    result = identities[pa.float64()].call([array], 2)[0].to_pylist()
    assert list(map(repr, result)) == ["nan", "-0.0"]


@pytest.mark.parametrize(
    ("values", "expected_type", "expected"),
    [
        ("[1, 2, 3]", pa.int64(), [1, 2, 3]),
        ("[None, 1, None]", pa.int64(), [None, 1, None]),
        ("[1, 2.5, 3]", pa.float64(), [1.0, 2.5, 3.0]),
        ("[2.5, 1, None]", pa.float64(), [2.5, 1.0, None]),
        ("[None, None, None]", pa.null(), [None, None, None]),
        ("[None, 'a', '']", pa.string(), [None, "a", ""]),
        ("[None, True, False]", pa.bool_(), [None, True, False]),
    ],
)
def test_an_undeclared_results_type_follows_from_its_values(start, values, expected_type, expected):
    array, _ = start(f"lambda i: {values}[i]", pa.int64()).call([pa.array([0, 1, 2])], 3)
    assert array.type == expected_type
    assert array.to_pylist() == expected


def test_an_instance_infers_the_type_anew_for_each_batch(start):
    instance = start("lambda x: x if x < 2 else str(x)", pa.int64())
    assert instance.call([pa.array([0, 1])], 2)[0].type == pa.int64()
    assert instance.call([pa.array([2, 3])], 2)[0].to_pylist() == ["2", "3"]
    assert instance.call([pa.array([0, 1])], 2)[0].type == pa.int64()


@pytest.mark.parametrize(
    ("source", "result", "message"),
    [
        ("lambda i: {1} if i else 1", None, "returned set; a result must be bool, int, float, Decimal, str, bytes"),
        ("lambda i: 2**127 if i else 1", None, r"outside the range of HUGEINT \(-2\^127 to 2\^127-1\); declare"),
        ("lambda i: -2**63 - 1 if i else 1", pa.int64(), "outside the range of BIGINT"),
        ("lambda i: [1] if i else 1", pa.int64(), "returned list where its result type BIGINT was declared"),
        ("lambda i: 'one' if i else 1", pa.float64(), "returned 'one', which is no DOUBLE"),
        ("lambda i: 10**400 if i else 1", pa.float64(), "which is too large for DOUBLE"),
        ("lambda i: 'maybe' if i else True", pa.bool_(), "returned 'maybe', which is no BOOLEAN"),
        ("lambda i: b'x' if i else 'x'", pa.string(), "returned bytes where its result type VARCHAR was declared"),
        ("lambda i: '\\ud800' if i else 'x'", pa.string(), "surrogates not allowed"),
    ],
)
def test_a_result_of_the_wrong_type_names_row_and_types(start, source, result, message):
    instance = start(source, pa.int64(), result=result)
    with pytest.raises(GuestError, match=message) as raised:
        instance.call([pa.array([0, 0, 7])], 3)
    assert (raised.value.row, raised.value.arguments) == (2, ("7",))
    assert not instance.broken
    assert len(instance.call([pa.array([0, 0])], 2)[0]) == 2


def test_nulls_go_only_to_functions_that_want_to_see_them(start):
    columns = [pa.array([1, None, 3]), pa.array(["a", "b", None])]
    types = (pa.int64(), pa.string())
    source = "lambda x, y: f'{x} {y}'"
    assert start(source, *types).call(columns, 3)[0].to_pylist() == ["1 a", "None b", "3 None"]
    assert start(source, *types, sees_null=False).call(columns, 3)[0].to_pylist() == ["1 a", None, None]


def test_failing_rows_become_null_and_are_counted_when_asked_for(start):
    instance = start("lambda x: 10 // x", pa.int64(), return_null=True)
    array, failed = instance.call([pa.array([1, 0, 2, 0, None])], 5)
    assert array.to_pylist() == [10, None, 5, None, None]
    assert failed == 3  # None // fails as well
    assert instance.call([pa.array([5])], 1)[1] == 0


def test_an_error_has_traceback_row_and_arguments(start):
    source = "def check(x, name):\n    if x == 1234:\n        raise ValueError(f'bad {name}')\n    return x\n"
    instance = start(source, pa.int64(), pa.string())
    with pytest.raises(GuestError) as raised:
        instance.call([pa.array(range(2000)), pa.array(["n" * 300] * 2000)], 2000)
    error = raised.value
    assert (error.type_name, error.row) == ("ValueError", 1234)
    assert error.arguments[0] == "1234"
    assert len(error.arguments[1]) < 120  # shortened
    assert "f: ValueError: bad nnn" in str(error)
    assert "in row 1234 of the batch" in str(error)
    assert "File \"<f>\", line 3, in check\n    raise ValueError(f'bad {name}')" in error.guest_traceback


@pytest.mark.parametrize(
    "body",
    [
        "class E(Exception):\n    def __str__(self): raise RuntimeError\ndef f(x): raise E",
        "class E(Exception):\n    def __str__(self): return 'x' * 10**7\ndef f(x): raise E",
        "def f(x): raise ValueError('\\ud800\\x00' + 'y' * 10**6)",
        "class A:\n    def __repr__(self): raise SystemExit\ndef f(x): raise KeyError(A())",
        "def f(x): raise ExceptionGroup('many', [ValueError(i) for i in range(1000)])",
        "def f(x): return f(x)",
        "def f(x):\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        raise KeyError('é') from None",
    ],
)
def test_errors_that_are_hard_to_print_are_bounded_all_the_same(start, body):
    instance = start(body, pa.int64())
    with pytest.raises(GuestError) as raised:
        instance.call([pa.array([1])], 1)
    assert len(str(raised.value)) < 30_000
    assert raised.value.row == 0


def test_an_endless_loop_ends_and_breaks_the_instance(start):
    instance = start("def f(x):\n    while True: pass", pa.int64(), limits=ResourceLimits(timeout_seconds=0.1))
    with pytest.raises(LimitExceeded, match="timeout_seconds=0.1") as raised:
        instance.call([pa.array([1])], 1)
    assert (raised.value.limit, raised.value.allowed) == ("timeout_seconds", 0.1)
    assert instance.broken


@pytest.mark.parametrize(
    "source",
    [
        "import time\nlambda x: time.sleep(60)",
        "import re\nlambda x: re.match('(a+)+$', 'a' * 50 + 'b')",
        "lambda x: 10 ** 10 ** 8",
        "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
    ],
)
def test_nothing_outlasts_the_deadline(start, source):
    instance = start(source, pa.int64(), limits=ResourceLimits(timeout_seconds=0.2))
    with pytest.raises(LimitExceeded, match="timeout_seconds"):
        instance.call([pa.array([1])], 1)


@pytest.mark.parametrize(
    "source",
    [
        "lambda x: len([0] * 10**9)",
        "lambda x: len('a' * 2**30)",
        "def f(x):\n    kept = []\n    while True:\n        kept.append(bytes(2**20))",
        "def f(x):\n    kept = ''\n    while True:\n        kept += 'ä' * 10**6",
    ],
)
def test_memory_is_capped(start, source):
    instance = start(source, pa.int64(), limits=ResourceLimits(memory_bytes=64 * MIB))
    with pytest.raises(LimitExceeded, match="memory_bytes") as raised:
        instance.call([pa.array([1])], 1)
    assert (raised.value.limit, raised.value.allowed) == ("memory_bytes", 64 * MIB)
    assert instance.broken


def test_memory_that_was_freed_can_be_used_again(start):
    instance = start("lambda x: len(bytes(x))", pa.int64(), limits=ResourceLimits(memory_bytes=64 * MIB))
    for _ in range(50):
        assert instance.call([pa.array([10 * MIB])], 1)[0].to_pylist() == [10 * MIB]


def test_a_cap_below_the_guests_own_size_says_so(start):
    with pytest.raises(LimitExceeded, match="doesn't fit in memory_bytes=1,048,576"):
        start("lambda x: x", limits=ResourceLimits(memory_bytes=MIB))


def test_a_batch_that_does_not_fit_in_memory_is_a_limit(start):
    instance = start("len", pa.string(), limits=ResourceLimits(memory_bytes=64 * MIB))
    with pytest.raises(LimitExceeded, match="memory_bytes"):
        instance.call([pa.array(["x" * (100 * MIB)])], 1)


def test_a_large_argument_makes_the_arena_grow(start):
    instance = start("len", pa.string())
    for size in (10, 10 * MIB, 10, 20 * MIB):
        assert instance.call([pa.array(["x" * size])], 1)[0].to_pylist() == [size]


def test_a_result_beyond_the_limit_breaks_the_instance(start):
    instance = start("lambda x: 'x' * x", pa.int64(), data_limits=DataLimits(result_bytes=1000))
    assert len(instance.call([pa.array([900])], 1)[0][0].as_py()) == 900
    with pytest.raises(LimitExceeded, match="result_bytes allows 1,000"):
        instance.call([pa.array([1000])], 1)
    assert instance.broken


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os\nlambda x: os._exit(0)", "tried to leave its process"),
        ("import os\nlambda x: os.abort()", "crashed"),
        ("def f(x):\n    a = ()\n    for _ in range(10**5): a = (a,)\n    return hash(a)", "stack is exhausted"),
    ],
)
def test_a_crash_of_the_guest_is_a_trap(start, source, message):
    instance = start(source, pa.int64())
    with pytest.raises(GuestTrap, match=message):
        instance.call([pa.array([1])], 1)
    assert instance.broken


def test_deep_python_recursion_is_an_ordinary_error(start):
    with pytest.raises(GuestError, match="RecursionError"):
        start("def f(x): return f(x) + 1", pa.int64()).call([pa.array([1])], 1)


def test_a_function_without_arguments_runs_once_a_row(start):
    instance = start("import itertools\ncount = itertools.count()\nlambda: next(count)")
    assert instance.call([], 3)[0].to_pylist() == [0, 1, 2]


def test_random_numbers_differ_between_instances(start):
    source = "import random\nlambda: random.random()"
    drawn = {start(source).call([], 1)[0][0].as_py() for _ in range(5)}
    assert len(drawn) == 5


def test_captured_values_and_imports_are_globals_of_the_code(start):
    captured = base64.b64encode(marshal.dumps({"K": (1.5, "ä", None)}, 2)).decode()
    imports = {"m": "math", "when": "datetime:datetime"}
    source = "lambda x: f'{K} {m.sqrt(x)} {when.min.year}'"
    instance = start(source, pa.int64(), captured=captured, imports=imports)
    assert instance.call([pa.array([4])], 1)[0].to_pylist() == ["(1.5, 'ä', None) 2.0 1"]


def test_two_batches_see_the_same_module_state(start):
    instance = start("seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)", pa.int64())
    assert instance.call([pa.array([1, 2])], 2)[0].to_pylist() == [1, 2]
    assert instance.call([pa.array([3])], 1)[0].to_pylist() == [3]


# ---- cursors -------------------------------------------------------------------------------------------------------


def pull(instance, *arguments):
    instance.open([pa.array([argument]) for argument in arguments])
    batches = []
    while len(batch := instance.next()):
        batches.append(batch.to_pylist())
    return batches


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049, 10_000])
def test_a_cursor_gives_everything_a_generator_yields_in_batches(start, rows):
    instance = start("def f(n, s):\n    for i in range(n):\n        yield f'{s}{i}'", pa.int64(), pa.string())
    batches = pull(instance, rows, "ä")
    assert [value for batch in batches for value in batch] == [f"ä{i}" for i in range(rows)]
    assert max(map(len, batches), default=0) <= 2048
    assert len(instance.next()) == 0
    instance.close_cursor()


def test_anything_that_can_be_iterated_over_will_do(start):
    instance = start("lambda x: [x, None, x + 1]", pa.int64(), result=pa.int64())
    assert pull(instance, 7) == [[7, None, 8]]


def test_an_endless_cursor_is_only_pulled_from(start):
    instance = start("import itertools\nlambda x: itertools.count(x)", pa.int64())
    instance.open([pa.array([10**6])])
    assert instance.next()[0].as_py() == 10**6
    assert instance.next()[0].as_py() == 10**6 + 2048


def test_a_second_cursor_is_refused_and_the_first_goes_on(start):
    instance = start("import itertools\nlambda x: itertools.count(x)", pa.int64())
    instance.open([pa.array([0])])
    assert instance.next()[0].as_py() == 0
    with pytest.raises(GuestError, match="a cursor is open already"):
        instance.open([pa.array([5])])
    assert instance.next()[0].as_py() == 2048
    instance.close_cursor()
    instance.open([pa.array([5])])
    assert instance.next()[0].as_py() == 5


def test_columns_a_cursor_has_left_are_gone_when_it_is_closed(start):
    source = """
        from duckdb_wasi_udf import Columns

        def f(x):
            yield Columns(a=list(range(x)))
    """
    instance = start(source, pa.int64())
    instance.open([pa.array([5000])])
    assert len(instance.next()) == 2048
    instance.close_cursor()
    assert pull(instance, 1) == [[{"a": 0}]]


def test_closing_a_cursor_runs_the_generators_finally(start):
    source = """
        closed = []

        def f(x):
            try:
                yield len(closed)
                yield 1
            finally:
                closed.append(x)
    """
    instance = start(source, pa.int64())
    instance.open([pa.array([0])])
    instance.close_cursor()  # before its first step: nothing to run
    instance.open([pa.array([0])])
    instance.next()
    instance.close_cursor()
    assert pull(instance, 0) == [[1, 1]]


def test_a_null_that_the_function_does_not_want_gives_no_rows(start):
    instance = start("lambda x: [x]", pa.int64(), sees_null=False)
    instance.open([pa.array([None], pa.int64())])
    assert len(instance.next()) == 0


@pytest.mark.parametrize(
    ("source", "message", "row"),
    [
        ("def f(x):\n    yield from range(3000)\n    raise ValueError('late')", "ValueError: late", 3000 - 2048),
        ("def f(x):\n    yield 1\n    yield {1}", "returned set; a result must be", 1),
        ("lambda x: x", "'int' object is not iterable", 0),
        ("lambda x: 1 / 0", "ZeroDivisionError", 0),
    ],
)
def test_an_error_of_a_generator_is_an_error_of_its_step(start, source, message, row):
    instance = start(source, pa.int64())
    with pytest.raises(GuestError, match=message) as raised:
        pull(instance, 1)
    assert raised.value.row == row
    assert not instance.broken


def test_steps_without_an_open_cursor_are_refused(start):
    instance = start("lambda x: [x]", pa.int64())
    for step in (instance.next, instance.close_cursor):
        with pytest.raises(GuestError, match="no cursor is open"):
            step()
    assert pull(instance, 1) == [[1]]
    instance.close_cursor()
    with pytest.raises(GuestError, match="no cursor is open"):
        instance.next()


def test_an_instance_takes_one_definition_and_one_binding(start):
    instance = start("lambda x: x + 1", pa.int64())
    with pytest.raises(GuestError, match="has a function already"):
        instance.define(Definition.from_source("lambda x: x", "g"))
    with pytest.raises(GuestError, match="bound already"):
        instance.bind([(pa.int64(), False)], None)
    assert instance.call([pa.array([1])], 1)[0].to_pylist() == [2]
