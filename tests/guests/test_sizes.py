"""Numbers beyond 32 bits in the guest: as on the host where that can be, else as the page on the library says."""

import importlib
import random
import sys
from pathlib import Path

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "standard-library.md"
MODULES = "collections, datetime, functools, itertools, random, re, struct, sys, time"
HOST = {name: importlib.import_module(name) for name in MODULES.split(", ")}

SAME = [
    "[min(sys.maxsize, each) for each in (2**31, 2**40, -(2**70), 2**63)]",
    "sys.maxsize",
    "max(-sys.maxsize - 1, -(2**50))",
    "'a b c'.split(None, sys.maxsize), 'aa'.replace('a', 'b', sys.maxsize), 'a,b'.rsplit(',', maxsplit=sys.maxsize)",
    "[1, 2, 3][: sys.maxsize], [1, 2, 3].index(2, 0, sys.maxsize), 'abc'.find('c', 0, sys.maxsize)",
    "re.split(',', 'a,b', maxsplit=sys.maxsize), re.sub('a', 'b', 'aa', count=sys.maxsize)",
    "list(collections.deque([1, 2], maxlen=sys.maxsize)), functools.lru_cache(maxsize=sys.maxsize)(abs)(-1)",
    "next(itertools.repeat(7, sys.maxsize)), range(sys.maxsize)[-1]",
    "list(itertools.islice('abc', sys.maxsize)), list(itertools.islice('abc', 2**40))",
    "list(itertools.islice(range(20), 1, 10**12, 7)), list(itertools.islice('abc', 2**40, None))",
    "list(itertools.islice('abc', 0, None, 2**40))",
    "[1, 2, 3][: 10**12], 'abc'[10**12 :], b'abc'[-(10**12) : 10**12], (1, 2)[:: 10**12]",
    "range(2**40)[2**35], range(2**40)[-1], 2**39 in range(2**40), range(0, 2**40, 3).index(3 * 2**33)",
    "range(2**40)[5 : 2**36], next(reversed(range(2**40))), next(iter(range(2**40, 2**41)))",
    "range(int(1e10))[-1], max(range(2**40, 2**40 + 5)), sum(range(2**40, 2**40 + 5))",
    "next(itertools.count(2**40)), list(enumerate('ab', 2**40)), next(itertools.count(2**63 - 1, 2**40))",
    "next(itertools.count(sys.maxsize)), [*itertools.islice(itertools.count(sys.maxsize - 1), 3)]",
    "list(enumerate('ab', sys.maxsize)), list(enumerate('ab', sys.maxsize - 1)), list(enumerate('a', 2**31 - 1))",
    "float('inf') > sys.maxsize, int(1e18), hash(2**31 - 2), hash(-5), hash(True), hash(12345.0)",
    "(2**62).bit_length(), (2**70).to_bytes(9, 'big'), int.from_bytes(b'\\xff' * 8, 'big'), pow(3, 2**40, 10**9)",
    "struct.pack('<q', 2**40), struct.pack('<l', 5), [struct.calcsize(each) for each in ('<l', '=l', 'q')]",
    "datetime.datetime.fromtimestamp(2**33, datetime.timezone.utc), datetime.timedelta(microseconds=2**50)",
    "time.gmtime(2**33)[:6], datetime.date.fromordinal(3_000_000)",
    "datetime.datetime.max.replace(tzinfo=datetime.timezone.utc).timestamp()",
    "time.time_ns() > 2**60, isinstance(time.monotonic_ns(), int)",
    "[random.Random(1).randrange(2**64), random.Random(1).randint(-(2**70), 2**70), random.Random(2**40).random()]",
    "random.Random(7).sample(range(2**40), 5), random.Random(7).sample(range(-5, 2**40, 3), k=2)",
    "random.Random(8).sample([1, 2], 3, counts=[2**40, 2**40])",
    "[random.Random(7).choice(each) for each in (range(2**40), range(2**50, 0, -3), 'abc')]",
    "random.Random(7).choices(range(2**40), k=4), random.Random(7).choices('ab', [1, 2], k=3)",
    "[random.Random(seed).random() for seed in (0.5, -0.5, 1e300, -2.25, 3.0, 5e-324, float('inf'))]",
    "[random.Random(seed).random() for seed in ('text', b'b', 2**80, -(2**80), 0)]",
    "random.Random(3).sample(range(10), 10), random.Random(3).sample([1, 2, 3], 2), random.Random(3).getrandbits(70)",
    "sorted([2**40, 1, -(2**40)]), {2**40: 1}[2**40], len({2**31 - 1, 0, 2**61 - 1}), format(2**70, ',')",
]  # fmt: skip


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def sandbox(con):
    """One for all tests of this module, which leave nothing behind."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=30.0)
    with wasi_udf.Sandbox(limits=limits).install(con) as installed:
        yield installed


def shown(con, code):
    return con.execute("SELECT py_udf_varchar($1, 1)", [f"import {MODULES}\nlambda x: repr(({code}))"]).fetchall()[0][0]


@pytest.mark.skipif(sys.maxsize < 2**32, reason="the host itself has 32-bit sizes")
@pytest.mark.parametrize("code", SAME)
def test_values_are_those_of_a_64_bit_python(con, sandbox, code):
    assert shown(con, code) == repr(eval(code, dict(HOST)))


def test_random_functions_of_the_module_take_long_ranges(con, sandbox):
    code = "random.seed(5.5), random.sample(range(2**40), 2), random.choice(range(2**40)), random.choices(range(2**35))"
    state = random.getstate()
    try:
        assert shown(con, code) == repr(eval(code, dict(HOST)))
    finally:
        random.setstate(state)


@pytest.mark.parametrize(
    "code",
    [
        "random.choice(range(0))",
        "random.sample(range(2**40), -1)",
        "random.choice(range(2**40, 0))",
        "random.choice([])",
    ],
)
def test_random_functions_refuse_what_they_refuse_elsewhere(failing, code):
    with pytest.raises((IndexError, ValueError)) as raised:
        eval(code, dict(HOST))
    error = failing("SELECT py_udf($1, 1)", [f"import {MODULES}\nlambda x: {code}"])
    assert error.type_name == type(raised.value).__name__
    assert f"{raised.value}" in str(error)


def documented():
    """The rows of the page's table of differences: (expression, what the guest gives)."""
    section = PAGE.read_text().partition("\n## Sizes and integers\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [(row[0].strip("| `"), row[1].strip("| `")) for row in rows]


@pytest.mark.parametrize(("code", "expected"), documented())
def test_differences_are_those_of_the_page(con, sandbox, code, expected):
    wrapped = f"def f(x):\n    try: return repr({code})\n    except Exception as error: return type(error).__name__"
    found = con.execute("SELECT py_udf_varchar($1, 1)", [f"import array, decimal, {MODULES}\n{wrapped}"]).fetchall()[0][
        0
    ]
    assert found == expected


def test_an_error_of_a_size_says_where_to_read_more(failing):
    for code in ("len(range(2**40))", "[0] * 2**40", "'a' * 2**33", "bytes(2**33)"):
        error = failing("SELECT py_udf($1, 1)", [f"lambda x: {code}"])
        assert error.type_name == "OverflowError"
        assert "'Sizes and integers' in docs/reference/standard-library.md" in error.guest_traceback
