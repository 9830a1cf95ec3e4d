"""The tests of the compiler find a bug in it: each of these is found by an operation or a program of the suite."""

import pytest

from duckdb_wasi_udf import LimitExceeded
from tests.compiled import test_regexes
from tests.compiled.comparing import Comparison
from tests.compiled.operations import operations
from tests.compiled.planted_bugs import BUGS, IMPORTS, REGEX_BUGS
from tests.compiled.test_operations import arguments
from tests.compiled.test_programs import PARTS, PROGRAMS, check
from tests.compiled.values import RESULTS

_DECIMALS = "import math\nfrom decimal import *\n"
# Where each is found: the beginning of an operation, or the number of a program.
FOUND = {
    "addition wraps": "lambda a, b: a + b",
    "multiplication wraps": "lambda a, b: a * b",
    "the rest has C's sign": "lambda a, b: a % b",
    "division of ints rounds to zero": "lambda a, b: a // b",
    "ints are compared with floats as floats": "lambda a, b: a < b",
    "ints beyond 2**53 are divided as floats": "lambda a, b: a / b",
    "min prefers the last": "lambda a, b: min(a, b)",
    "unbound variables are zero": "def f(a, b):\n for k in range(a, b):\n  v = k",
    "tests of None narrow the wrong way": "def f(a):\n x = a if a > 5 else None",
    "a range goes on after the last integer": "def f(a, b):\n n = 0\n for k in range(a, b, 4611686018427387904)",
    "the default of get is computed when it is needed": "T = {'DE': 19",
    "a date of large numbers is a ValueError": "from datetime import date\ndef f(a):\n try",
    "types of variables survive a loop": "def f(a):\n x, s = a, ''",
    "widths of text have 64 bits": "lambda a, b: a.zfill(b)",
    "round goes up at half": "lambda a: round(a)",
    "sums of floats lose digits": "def f(a): return sum([a",
    "nan equals itself": "lambda a, b: a == b",
    "texts of the same length are equal": "lambda a, b: a == b",
    "a handler catches everything": 17,
    "a date outside the calendar is let in": "lambda a: a.year",
    "the sign of a slice is lost": "lambda a, b: a[1:2]",
    "decimals are rounded half up": _DECIMALS + "lambda a: str(round(a,2))",
    "plus keeps a decimal": _DECIMALS + "lambda a: str(+(",
    "dividing a decimal by zero is an InvalidOperation": _DECIMALS
    + "def f(a, b):\n try:\n  return str(a / b)\n except Inv",
    "decimals are divided down": _DECIMALS + "lambda a: str(math.floor",
    "a slice of a list is the list": "p = list(a); q = p",
    "reverse is ignored": 385,
    "a list's truth is its length": "return bool([a, b, 1, 2])",
    "get stores its default": "d = {c: i for",
    "of equal keys the last is the greatest": "return max(a.split(), key=len",
    "insert appends": "p = [3, 1, 2]\n q = p",
    "a Counter raises KeyError": "d = Counter(a)\n try:",
    "finally is forgotten by return": "def f(a):\n try:\n  return a\n finally:",
    "weeks begin on Sunday": "lambda a: a.isocalendar().week",
    "or gives a bool": "lambda a, b: a or b",
    "None in a list is lost": "return [a, None, a // 3]",
    "fields of a dict are in the order of their names": "return a.get('b', '-')",
    "filter lets all through": "return ''.join(filter(",
}
# The numbers of random patterns.
FOUND_BY_PATTERN = {
    "lazy repetitions are greedy": 4,
    "repetitions give nothing back": 45,
    "alternatives are tried from the last on": 15,
}


def finds(comparison, where):
    """Whether an operation or a program shows a difference."""
    if isinstance(where, int):
        assert where < PARTS * PROGRAMS
        try:
            check(comparison, where)
        except AssertionError:
            return True
        return False
    for source, types, result in operations():
        if source.startswith(where) or f"\n {where}".replace("; ", "\n ") in source:
            try:
                compared = comparison.run(source, arguments(types), RESULTS[result])
            except LimitExceeded:  # it doesn't end
                return True
            if compared.why is None and compared.found != compared.wanted:
                return True
    return False


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name):
    assert finds(Comparison(f"{IMPORTS}{BUGS[name]}\n", timeout_seconds=2.0), FOUND[name])


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", REGEX_BUGS)
def test_a_planted_bug_of_regular_expressions_is_found(name):
    case = test_regexes.random_case(FOUND_BY_PATTERN[name])
    with pytest.raises(AssertionError):
        test_regexes.check(Comparison(f"{IMPORTS}{REGEX_BUGS[name]}\n"), *case)
    test_regexes.check(Comparison(IMPORTS), *case)


def test_without_a_bug_nothing_is_found():
    comparison = Comparison(IMPORTS)
    for where in {where for where in FOUND.values() if isinstance(where, int)}:
        assert not finds(comparison, where)
