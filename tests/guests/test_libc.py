"""The C library's functions inside the guest (wasm/c/libc/), against those of the host."""

import calendar
import json
import math
import platform
import random
import struct
import time
from datetime import datetime
from fractions import Fraction

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="compares with the host's strftime, which isn't glibc's"
)

DATES = [
    datetime(year, month, day, (year + day) % 24, year * 7 % 60, day * 3 % 60)
    for year in (1, 99, 999, 1000, 1899, 1970, 2004, 2010, 2015, 2020, 2021, 2024, 9999)
    for month, day in ((1, 1), (1, 2), (1, 3), (2, 28), (7, 4), (12, 29), (12, 30), (12, 31))
]
PRINTABLE = [chr(code) for code in range(32, 127)]
FORMATS = [f"%{letter}" for letter in PRINTABLE] + [f"%{flag}{letter}" for flag in "_-0^#:.+5%" for letter in PRINTABLE]
FORMATS += [f"%{modifier}{letter}" for modifier in "EO" for letter in PRINTABLE]
FORMATS += [
    "%",
    "5% off",
    "%-",
    "%E",
    "%10",
    "%010Y",
    "%-10Y",
    "%_10d",
    "%^10B",
    "%300d",
    "%%%",
    "%_5C",
    "%+5e",
    "%#10Z",
]
FORMATS = [text for text in FORMATS if not text.endswith("s")]  # %s depends on the host's time zone

# Of these days, %c and the like have texts of every length.
LIKE_GLIBC = {
    "Kl. %-l %P, 100%": "Kl. 3 pm, 100%",
    "5% off": "5% off",
    "%": "%",
    "%k|%l|%P|%p|%I|%j": "15| 3|pm|PM|03|060",
    "%e|%-d|%_d|%0d|%05d": "29|29|29|29|00029",
    "%a %A %b %B %h": "Thu Thursday Feb February Feb",
    "%^a %^B %#p": "THU FEBRUARY pm",
    "%c": "Thu Feb 29 15:04:05 2024",
    "%x %X %D %F %R %T %r": "02/29/24 15:04:05 02/29/24 2024-02-29 15:04 15:04:05 03:04:05 PM",
    "%G %V %u %U %W %w %g %y %C": "2024 09 4 08 09 4 24 24 20",
    "%N %i %J %K %L %q %Q %v %+": "%N %i %J %K %L %q %Q %v %+",
    "%Ey %EY %Od %Oy %E": "24 2024 29 24 %E",
    "%n%t%%": "\n\t%",
    "": "",
}


@pytest.fixture(scope="module")
def in_guest():
    """Call the function `f` of some source text in the guest, with a JSON value; return its result."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=60.0)
    with duckdb.connect() as con, wasi_udf.Sandbox(limits=limits).install(con):
        con.execute("CREATE TABLE arguments (x VARCHAR)")

        def run(source, argument=None):
            source += "\nimport json\ndef main(x): return json.dumps(f(json.loads(x)))"
            con.execute("DELETE FROM arguments")
            con.execute("INSERT INTO arguments VALUES (?)", [json.dumps(argument)])
            return json.loads(con.execute("SELECT py_udf_varchar(?, x) FROM arguments", [source]).fetchone()[0])

        yield run


# ---- strftime --------------------------------------------------------------------------------------------------------

STRFTIME = """
import time
def f(argument):
    formats, dates = argument
    return [[time.strftime(text, tuple(date)) for date in dates] for text in formats]
"""


@needs_glibc
def test_time_strftime_is_glibcs_for_all_directives(in_guest):
    dates = [list(date.timetuple()) for date in DATES]
    dates += [[year, 3, 4, 5, 6, 7, 1, 63, isdst] for year in (-1234, -5, 0, 123456) for isdst in (-1,)]
    expected = [[time.strftime(text, tuple(date)) for date in dates] for text in FORMATS]
    found = in_guest(STRFTIME, [FORMATS, dates])
    assert {text: pair for text, *pair in zip(FORMATS, found, expected, strict=True) if pair[0] != pair[1]} == {}


def test_strftime_of_dates_and_times(in_guest):
    source = """
import datetime
def f(formats):
    day = datetime.datetime(2024, 2, 29, 15, 4, 5, 6)
    return [[day.strftime(text), format(day, text), day.date().strftime(text)] for text in formats]
"""
    for text, (of_datetime, of_format, of_date) in zip(LIKE_GLIBC, in_guest(source, list(LIKE_GLIBC)), strict=True):
        assert of_datetime == LIKE_GLIBC[text]
        assert of_format == (of_datetime or "2024-02-29 15:04:05.000006")
        assert bool(of_date) == bool(text)
    times = "import datetime\ndef f(x): return [datetime.time(15, 4).strftime(t) for t in ('%k%', '%l %P', '%H:%M %N')]"
    assert in_guest(times) == ["15%", " 3 pm", "15:04 %N"]


def test_strftime_knows_zones(in_guest):
    source = """
import time
from datetime import datetime, timedelta, timezone
def f(x):
    zone = timezone(timedelta(hours=-5, minutes=-30), "Here")
    return [datetime(2024, 7, 1, tzinfo=zone).strftime("%Z %z %:z"), datetime(2024, 7, 1).strftime("<%Z%z>"),
            time.strftime("%a, %d %b %Y %T %Z", time.gmtime(1e9)), time.strftime("%Z%z", time.localtime(1e9)),
            time.strftime("%s|%12s|%012s|%#Eb", time.gmtime(1e9))]
"""
    assert in_guest(source) == [
        "Here -0530 -05:30",
        "<>",
        "Sun, 09 Sep 2001 01:46:40 GMT",
        "UTC+0000",
        "1000000000|  1000000000|001000000000|%#EB",
    ]


def test_strptime_reads_what_the_hosts_does(in_guest):
    source = """
import time
def f(cases):
    results = []
    for text, form in cases:
        try:
            results.append(list(time.strptime(text, form)))
        except (ValueError, IndexError) as error:
            results.append(type(error).__name__)
    return results
"""
    cases = [("5%", "%d%%"), ("5", "%"), ("3 PM", "%I %p"), ("2024 53 1", "%Y %W %w"), ("2020 52 5", "%G %V %u")]
    cases += [("Mon Jan  1 00:00:00 2024", "%c"), ("01/02/24", "%x"), ("69 366", "%y %j"), ("12:13:61", "%X")]
    cases += [
        ("2024-02-30", "%Y-%m-%d"),
        ("UTC", "%Z"),
        ("gmt", "%Z"),
        ("+0530", "%z"),
        ("1", "%k"),
        ("", ""),
        ("a", "b"),
    ]
    namespace = {}
    exec(source, namespace)
    assert in_guest(source, cases) == namespace["f"](cases)


# ---- locales ---------------------------------------------------------------------------------------------------------


def test_setlocale_knows_what_linux_has_without_locale_files(in_guest):
    source = """
import locale
def f(names):
    results = []
    for name in names:
        try:
            now = locale.setlocale(locale.LC_ALL, name)
            results.append([now, locale.setlocale(locale.LC_TIME), locale.setlocale(locale.LC_ALL)])
        except locale.Error as error:
            results.append(str(error))
    return results
"""
    known = {"C": "C", "POSIX": "C", "C.UTF-8": "C.UTF-8", "C.utf8": "C.utf8", "": "C.UTF-8"}
    assert in_guest(source, list(known)) == [[name] * 3 for name in known.values()]
    unknown = [
        "de_DE.UTF-8",
        "en_US",
        "de",
        "c",
        "c.utf8",
        "POSIX.UTF-8",
        "C.ISO-8859-1",
        "no such",
        "C;C",
        "*",
        "x" * 99,
    ]
    assert in_guest(source, unknown) == ["unsupported locale setting"] * len(unknown)


def test_setlocale_sets_one_category(in_guest):
    source = """
import locale, os
def f(x):
    first = locale.setlocale(locale.LC_ALL)
    results = [first, locale.setlocale(locale.LC_TIME, "C.UTF-8"), locale.setlocale(locale.LC_NUMERIC)]
    results += [locale.setlocale(locale.LC_ALL, first) == first, locale.setlocale(locale.LC_TIME)]
    os.environ["LC_NUMERIC"] = "de_DE.UTF-8"
    for category in (locale.LC_TIME, locale.LC_NUMERIC, locale.LC_ALL, 12345):
        try:
            results.append(locale.setlocale(category, ""))
        except locale.Error as error:
            results.append(str(error))
    locale.setlocale(locale.LC_ALL, "C")
    return results + [list(locale.getlocale()), locale.localeconv()["decimal_point"], f"{1234567:n}"]
"""
    unsupported = "unsupported locale setting"
    assert in_guest(source) == [
        "LC_CTYPE=C.UTF-8;LC_NUMERIC=C;LC_TIME=C;LC_COLLATE=C;LC_MONETARY=C;LC_MESSAGES=C",
        *("C.UTF-8", "C", True, "C", "C.UTF-8", unsupported, unsupported, unsupported),
        *([None, None], ".", "1234567"),
    ]


# ---- math ------------------------------------------------------------------------------------------------------------

ONE = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "ceil"),
    *("cos", "cosh", "degrees", "erf", "erfc", "exp", "exp2", "expm1"),
    *("fabs", "floor", "gamma", "lgamma", "log", "log10", "log1p", "log2"),
    *("radians", "sin", "sinh", "sqrt", "tan", "tanh", "trunc", "ulp"),
)
TWO = ["atan2", "copysign", "fmod", "hypot", "log", "nextafter", "pow", "remainder"]
EDGES = [0.0, 0.5, 1.0, 2.0, 3.0, 1 / 3, 1e-10, 5e-324, 1e-308, 2.2250738585072014e-308, 1e22, 1e300, 6e7, 7e7, 2.5e8]
EDGES += [math.pi, math.e, 20.0, 26.5, 170.0, 171.7, 172.0, 709.7, 709.8, 745.2, 1023.9, 1074.0, 1.7976931348623157e308]
EDGES += [0.9999999999999999, 1.0000000000000002, math.inf, math.nan]
EDGES += [-x for x in EDGES]

CALLS = """
import math
def call(name, *arguments):
    try:
        return float(getattr(math, name)(*arguments)).hex()
    except (ValueError, ArithmeticError) as error:
        return f"{type(error).__name__}: {error}"
def f(calls):
    return [call(name, *(float.fromhex(x) for x in arguments)) for name, *arguments in calls]
"""


def some_doubles(count):
    chosen = random.Random(7)
    for _ in range(count):
        yield struct.unpack("d", chosen.randbytes(8))[0]
        yield chosen.uniform(-1, 1)
        yield math.ldexp(chosen.uniform(-2, 2), chosen.randint(-60, 60))
        yield math.ldexp(chosen.uniform(1, 2), chosen.randint(-1074, -1022))


def ulps(left, right):
    if left == right or (math.isnan(left) and math.isnan(right)):
        return 0 if math.copysign(1, left) == math.copysign(1, right) or math.isnan(left) else math.inf
    return abs(left - right) / math.ulp(left)


def test_math_is_the_hosts_to_the_last_digits(in_guest):
    """Errors are the same. Last digits may differ, as between any two C libraries, by 4 units at most."""
    numbers = [*EDGES, *some_doubles(100)]
    calls = [(name, x.hex()) for name in ONE for x in numbers if hasattr(math, name)]
    calls += [(name, x.hex(), y.hex()) for name in TWO for x in EDGES for y in EDGES]
    namespace = {}
    exec(CALLS, namespace)
    wrong = []
    for call, found, expected in zip(calls, in_guest(CALLS, calls), namespace["f"](calls), strict=True):
        if found != expected:
            numeric = "Error" not in found + expected and call[0] not in {
                "fmod",
                "remainder",
                "sqrt",
                "nextafter",
                "ulp",
            }
            if not numeric or ulps(float.fromhex(expected), float.fromhex(found)) > 4:
                wrong.append((call, found, expected))
    assert wrong == []


def test_logarithms_of_subnormal_numbers(in_guest):
    numbers = [math.ldexp(1 + k / 64, -1074 + k) for k in range(1, 53)]
    source = """
import math
def f(numbers): return [[math.log2(x), math.log10(x)] for x in numbers]
"""
    for x, (log2, log10) in zip(numbers, in_guest(source, numbers), strict=True):
        mantissa, exponent = math.frexp(x)
        assert log2 == pytest.approx(math.log2(mantissa) + exponent, rel=1e-15)
        assert log10 == pytest.approx(math.log10(mantissa) + exponent * math.log10(2), rel=1e-15)


def test_acosh_below_one_is_an_error(in_guest):
    source = """
import math
def f(numbers):
    passed = []
    for x in numbers:
        try:
            passed.append([x, math.acosh(x)])
        except ValueError:
            pass
    return passed
"""
    numbers = [-math.ldexp(1 + k / 16, e) for k in range(16) for e in range(-30, 60)] + [0.0, 0.5, 0.9999999999999999]
    assert in_guest(source, numbers) == []


def test_fma_rounds_once_and_keeps_the_sign(in_guest):
    chosen = random.Random(3)
    triples = [(0.5, -5e-324, 0.0), (-1e-200, 1e-200, 0.0), (-1e-200, 1e-200, -0.0), (2.0, 3.0, -6.0), (0.0, -1.0, 0.0)]
    for exponent in (0, -400, -530, -537, 500):
        for _ in range(40):
            x, y = (math.ldexp(chosen.uniform(-2, 2), exponent) for _ in "xy")
            triples += [(x, y, -x * y), (x, y, 0.0), (x, y, chosen.uniform(-2, 2)), (x, y, math.nextafter(x * y, 0))]
    source = "import math\ndef f(triples): return [math.fma(*triple).hex() for triple in triples]"
    for (x, y, z), found in zip(triples, in_guest(source, triples), strict=True):
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        expected = math.copysign(float(abs(exact)), exact) if exact else x * y + z
        assert found == expected.hex(), (x, y, z)


def test_powers_of_complex_numbers_without_a_value_are_errors(in_guest):
    source = """
def f(x):
    results = []
    infinite = float("inf")
    for base, exponent in [(infinite + 0j, 0.5j), (2 + 1j, infinite * 1j), (1e300j, 1e308), (0j, -1), (0j, 1j)]:
        try:
            results.append(repr(base ** exponent))
        except ArithmeticError as error:
            results.append(type(error).__name__)
    return results
"""
    namespace = {}
    exec(source, namespace)
    assert in_guest(source) == namespace["f"](None)


# ---- time ------------------------------------------------------------------------------------------------------------


def test_clocks_start_at_zero_or_later_and_advance(in_guest):
    source = """
import time
def f(x):
    results = []
    for name in ("process_time", "perf_counter", "monotonic", "time"):
        clock, first = getattr(time, name), getattr(time, name)()
        while clock() == first:
            pass
        results.append([first, clock() - first, time.get_clock_info(name).monotonic])
    return results
"""
    for name, (first, advanced, _) in zip("ppmt", in_guest(source), strict=True):
        assert first >= 0
        assert advanced > 0
        assert first < 60 or name in "mt"


def test_times_before_and_beyond_the_epoch(in_guest):
    source = """
import calendar, time
def f(seconds):
    return [[list(time.gmtime(s)), time.mktime(time.localtime(s)), time.asctime(time.gmtime(s))] for s in seconds]
"""
    seconds = [0, -1, 2**31 - 1, 2**31, 2**32, -(2**31) - 1, 253402300799, -62135596800, 67767976233532799]
    for second, (parts, again, text) in zip(seconds, in_guest(source, seconds), strict=True):
        if -62135596800 <= second <= 253402300799:
            assert tuple(parts[:6]) == time.gmtime(second)[:6]
            assert calendar.timegm(parts) == second
            assert text == time.asctime(time.gmtime(second))
        assert again == float(second)


# ---- strings ---------------------------------------------------------------------------------------------------------


def test_string_functions_at_every_offset_and_length(in_guest):
    """Python's own loops are the truth: `find` and comparisons use memchr, memrchr and memcmp beyond a few bytes."""
    source = """
def sign(left, right):
    for a, b in zip(left, right):
        if a != b:
            return -1 if a < b else 1
    return (len(left) > len(right)) - (len(left) < len(right))

def f(x):
    data, checked = bytes((i * 7 + i // 13) % 251 for i in range(160)), 0
    for length in [*range(1, 36), 47, 48, 49, 63, 64, 65]:
        for start in range(18):
            piece = data[start : start + length]
            for position in {0, length // 2, length - 1}:
                wanted = piece[position]
                where = [i for i in range(length) if piece[i] == wanted]
                assert data.find(wanted, start, start + length) == start + where[0]
                assert data.rfind(wanted, start, start + length) == start + where[-1]
                assert data.find(255, start, start + length) == data.rfind(255, start, start + length) == -1
                assert piece.split(bytes([wanted]))[0] == bytes(piece[i] for i in range(where[0]))
                for change in (1, 128, 255):
                    other = bytearray(piece)
                    other[position] = (other[position] + change) % 256
                    other = bytes(other)
                    assert (piece < other) == (sign(piece, other) < 0) and (piece > other) == (sign(piece, other) > 0)
                    assert piece != other and not piece == other and piece == bytes(list(piece))
                    checked += 1
    return checked
"""
    assert in_guest(source) > 5000


def test_characters_are_found_at_every_offset_and_length(in_guest):
    source = """
def f(x):
    checked = 0
    for first in ("a", "\u00e9", "\u4e00", "\U0001f600"):  # one, one, two and four bytes a character
        for length in range(1, 70):
            text = first + "".join(chr(ord(first) + i % 5 + 1) for i in range(length))
            for wanted in (text[-1], text[length // 2], first, "z", "\U0001f9ff"):
                where = [i for i, character in enumerate(text) if character == wanted] or [-1]
                assert (text.find(wanted), text.rfind(wanted)) == (where[0], where[-1])
                assert (wanted in text) == (where != [-1]) and text.count(wanted) == len(where) - (where == [-1])
                checked += 1
    return checked
"""
    assert in_guest(source) == 4 * 69 * 5


def test_source_lines_of_every_length_compile(in_guest):
    source = """
def f(x):
    lines = [f"a{n} = {'1' * n}" + " " * (n % 7) for n in range(1, 140)]
    scope = {}
    exec("\\n".join(lines), scope)
    texts = [f"f'{{a{n}}}{'x' * n}'" for n in range(1, 140)]
    return [scope[f"a{n}"] == int("1" * n) and eval(texts[n - 1], scope) == "1" * n + "x" * n for n in range(1, 140)]
"""
    assert in_guest(source) == [True] * 139


def test_compiling_takes_time_by_the_length_of_the_source(in_guest):
    source = """
import time
def seconds(lines):
    text = "a = 1\\n" * lines
    start = time.perf_counter()
    compile(text, "a", "exec")
    return time.perf_counter() - start
def f(x):
    return [min(seconds(n) for _ in range(3)) for n in (2_000, 20_000)]
"""
    short, long = in_guest(source)
    assert long / short < 30  # ten times the lines; it was 100 times the time
