"""Attributes, methods and constructors of date, datetime and timedelta."""

import datetime as dt
import re

from _udf_compiler.arithmetic import checked_span, concatenated, divide
from _udf_compiler.containers import pick
from _udf_compiler.errors import ATTRIBUTE_ERROR, OVERFLOW_ERROR, VALUE_ERROR
from _udf_compiler.integers import absolute, floor_divide_by, operate
from _udf_compiler.values import DATE, DATETIME, DAY_US, INT, MIN, Value, tuple_of

_UNITS = {
    "days": DAY_US,
    "hours": 3_600_000_000,
    "minutes": 60_000_000,
    "seconds": 1_000_000,
    "milliseconds": 1_000,
    "microseconds": 1,
    "weeks": 7 * DAY_US,
}
_OF_DAY = {
    "hour": (3_600_000_000, 24),
    "minute": (60_000_000, 60),
    "second": (1_000_000, 60),
    "microsecond": (1, 1_000_000),
}
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October"]
_MONTHS += ["November", "December"]
_FIELDS = {
    "%Y": ("year", 4),
    "%m": ("month", 2),
    "%d": ("day", 2),
    "%H": ("hour", 2),
    "%M": ("minute", 2),
    "%S": ("second", 2),
}
# What strptime reads by a kernel: fields, and characters that stand for themselves.
_READ = re.compile(r"(?:%[YymbdHMSf]|[ -$&-~])+")
_FIRST_ORDINAL = 719163  # of 1970-01-01
_EXACT = 2**53


def attribute(code, v, name):
    """Return v.name of a value of one type."""
    if v.only in ("date", "datetime") and name in ("year", "month", "day"):
        return _calendar(code, day_of(code, v), name)
    if v.only == "datetime" and name in _OF_DAY:
        by, modulo = _OF_DAY[name]
        of_day = _of_day(code, v)
        return code.integer(
            of_day, ("i64.const", by), "i64.div_s", ("i64.const", modulo), "i64.rem_s", lo=0, hi=modulo - 1
        )
    if v.only == "datetime" and name == "tzinfo":
        return code.const(None)
    if v.only == "timedelta" and name == "days":
        return code.integer(*floor_divide_by(code, v.i, DAY_US), lo=-(2**40), hi=2**40)
    if v.only == "timedelta" and name in ("seconds", "microseconds"):
        operation, hi = ("i64.div_s", 86_399) if name == "seconds" else ("i64.rem_s", 999_999)
        return code.integer(_of_day(code, v), ("i64.const", 1_000_000), operation, lo=0, hi=hi)
    if v.only == "none":
        return code.error(ATTRIBUTE_ERROR)
    return code.unsupported(f"the attribute {name} of a {v.only}")


def call(code, v, name, arguments, keywords):
    """Return v.name(*arguments, **keywords) of a date, datetime or timedelta."""
    method = _METHODS.get((v.only, name))
    made = None if method is None else method(code, v, name, arguments, keywords)
    return code.unsupported(f"{v.only}.{name}") if made is None else made


def make_date(code, year, month, day, of_day=None):
    """Return a date of three ints; a datetime with the microseconds of its day."""
    for part in (year, month, day):
        if part.lo < -(2**31) or part.hi >= 2**31:
            beyond = [part.i, ("i64.const", 2**31), "i64.add", ("i64.const", 2**32), "i64.ge_u"]
            code.raise_if(OVERFLOW_ERROR, *beyond)
    made = code.tmp("i64", year.i, month.i, day.i, ("call", "k_days"))
    code.raise_if(VALUE_ERROR, made, ("i64.const", MIN), "i64.eq")
    if of_day is None:
        return Value(DATE, made)
    return Value(DATETIME, code.tmp("i64", made, ("i64.const", DAY_US), "i64.mul", of_day, "i64.add"))


def make_datetime(code, parts):
    """Return a datetime of three to seven ints."""
    of_day = code.const(0)
    for part, (by, modulo) in zip(parts[3:], _OF_DAY.values(), strict=False):
        code.bail_if(part.i, ("i64.const", modulo), "i64.ge_u")  # it raises
        known = Value(INT, part.i, lo=0, hi=modulo - 1)
        of_day = operate(code, "Add", of_day, operate(code, "Mult", known, code.const(by)))
    return make_date(code, *parts[:3], of_day.i)


def make_span(code, arguments, keywords):
    """Return timedelta(*arguments, **keywords) of ints, or of constants."""
    every = [*arguments, *keywords.values()]
    if any(v.only == "float" for v in every) and all(type(v.k) in (int, float) for v in every):
        try:
            made = dt.timedelta(*[v.k for v in arguments], **{name: v.k for name, v in keywords.items()})
        except (TypeError, ValueError, OverflowError):
            return code.unsupported("a timedelta of this")
        return code.const(made)
    given = dict(zip(("days", "seconds", "microseconds"), arguments, strict=False)) | keywords
    total = code.const(0)
    for name, v in given.items():
        if name not in _UNITS or v.only != "int":
            return code.unsupported("a timedelta of other than ints")
        # timedelta itself has bounds that are further away
        total = operate(code, "Add", total, operate(code, "Mult", v, code.const(_UNITS[name])))
    return checked_span(code, total)


def strptime(code, text, format_):
    """Return datetime.strptime(text, format_) of a constant format."""
    fields = re.findall(r"%.", format_)
    years, months = {"%Y", "%y"} & set(fields), {"%m", "%b"} & set(fields)
    # Of a day without a year CPython warns.
    if not _READ.fullmatch(format_) or len(set(fields)) != len(fields) or len(years) != 1 or len(months) > 1:
        return code.unsupported(f"strptime with the format {format_!r}")
    made = code.kernel_number("k_strptime", *code.text(text), *code.text(code.const(format_)))
    return Value(DATETIME, made)


def from_iso(code, text):
    """Return datetime.fromisoformat(text) of a date, or of a date and a time in seconds."""
    at, length = code.text(text)

    def with_time():
        code.bail_if(length, ("i32.const", 19), "i32.ne")
        is_space = code.tmp("i32", at, ("i32.load8_u", 10), ("i32.const", ord(" ")), "i32.eq")
        formats = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
        return code.branch(is_space, *[lambda f=f: strptime(code, text, f) for f in formats])

    is_date = code.tmp("i32", length, ("i32.const", 10), "i32.eq")
    return code.branch(is_date, lambda: strptime(code, text, "%Y-%m-%d"), with_time)


def strftime(code, v, format_):
    """Return v.strftime(format_) of a constant format."""
    parts = re.findall(r"%.|[^%]+|%", format_)
    if not format_.isascii() or "\0" in format_ or any(part[0] == "%" and part not in _PARTS for part in parts):
        return code.unsupported(f"strftime with the format {format_!r}")
    made = [_PARTS[part](code, v, part) if part[0] == "%" else code.const(part) for part in parts]
    return concatenated(code, made)


def _digits(code, v, part):
    """Return a part of a format that is a number."""
    name, digits = _FIELDS[part]
    if v.only == "date" and part in ("%H", "%M", "%S"):
        return code.const("00")
    number = attribute(code, v, name)
    if part == "%Y":  # C libraries differ on whether to write zeros before it
        code.bail_if(number.i, ("i64.const", 1000), "i64.lt_s")
    return code.kernel_text("k_itoa", number.i, ("i32.const", digits), ("i32.const", 1))


def _named(code, v, part):
    """Return a part of a format that is a name."""
    names = _WEEKDAYS if part in ("%A", "%a") else _MONTHS
    number = _weekday(code, v, "weekday", [], {}) if part in ("%A", "%a") else attribute(code, v, "month")
    shown = names if part in ("%A", "%B") else [name[:3] for name in names]
    place = [number.i, "i32.wrap_i64", *([] if names is _WEEKDAYS else [("i32.const", 1), "i32.sub"])]
    return pick(code, shown, code.tmp("i32", *place))


def _short_year(code, v, part):
    """Return the last two digits of the year."""
    year = attribute(code, v, "year")
    return code.kernel_text("k_itoa", operate(code, "Mod", year, code.const(100)).i, ("i32.const", 2), ("i32.const", 1))


def _hour(code, v):
    return code.const(0) if v.only == "date" else attribute(code, v, "hour")


def _short_hour(code, v, part):
    """Return the hour of 12, from 01 to 12."""
    before = operate(code, "Add", _hour(code, v), code.const(11))
    number = operate(code, "Add", operate(code, "Mod", before, code.const(12)), code.const(1))
    return code.kernel_text("k_itoa", number.i, ("i32.const", 2), ("i32.const", 1))


def _half_of_day(code, v, part):
    half = operate(code, "FloorDiv", _hour(code, v), code.const(12))
    return pick(code, ["AM", "PM"], code.tmp("i32", half.i, "i32.wrap_i64"))


def _fraction(code, v, part):
    if v.only == "date":
        return code.const("000000")
    number = attribute(code, v, "microsecond")
    return code.kernel_text("k_itoa", number.i, ("i32.const", 6), ("i32.const", 1))


def _day_of_year(code, v, part):
    day = day_of(code, v)
    first = code.tmp("i64", _calendar(code, day, "year").i, ("i64.const", 1), ("i64.const", 1), ("call", "k_days"))
    number = code.tmp("i64", day, first, "i64.sub", ("i64.const", 1), "i64.add")
    return code.kernel_text("k_itoa", number, ("i32.const", 3), ("i32.const", 1))


def _weekday_digit(code, v, part):
    number = _weekday(code, v, "isoweekday", [], {})
    if part == "%w":
        number = operate(code, "Mod", number, code.const(7))
    return code.kernel_text("k_itoa", number.i, ("i32.const", 1), ("i32.const", 1))


def _all_of(format_):
    return lambda code, v, part: strftime(code, v, format_)


_PARTS = dict.fromkeys(_FIELDS, _digits) | dict.fromkeys(("%A", "%a", "%B", "%b"), _named) | {"%y": _short_year}
_PARTS |= {"%I": _short_hour, "%p": _half_of_day, "%f": _fraction, "%j": _day_of_year}
_PARTS |= {"%u": _weekday_digit, "%w": _weekday_digit, "%%": lambda code, v, part: code.const("%")}
_PARTS |= {"%F": _all_of("%Y-%m-%d"), "%T": _all_of("%H:%M:%S"), "%R": _all_of("%H:%M")}


def day_of(code, v):
    """Return the day of a date or datetime, as an operand."""
    return v.i if v.only == "date" else code.tmp("i64", *floor_divide_by(code, v.i, DAY_US))


def _of_day(code, v):
    day = code.tmp("i64", *floor_divide_by(code, v.i, DAY_US))
    return code.tmp("i64", v.i, day, ("i64.const", DAY_US), "i64.mul", "i64.sub")


def _calendar(code, day, part):
    packed = code.tmp("i64", day, ("call", "k_civil"))
    if part == "year":
        return code.integer(packed, ("i64.const", 16), "i64.shr_u", lo=1, hi=9999)
    if part == "month":
        return code.integer(packed, ("i64.const", 8), "i64.shr_u", ("i64.const", 255), "i64.and", lo=1, hi=12)
    return code.integer(packed, ("i64.const", 255), "i64.and", lo=1, hi=31)


def _weekday(code, v, name, arguments, keywords):
    if arguments or keywords:
        return None
    # Days from 0001-01-01, which was a Monday, are never negative.
    since = [day_of(code, v), ("i64.const", _FIRST_ORDINAL - 1), "i64.add"]
    weekday = code.tmp("i64", *since, ("i64.const", 7), "i64.rem_s")
    if name == "weekday":
        return Value(INT, weekday, lo=0, hi=6)
    return code.integer(weekday, ("i64.const", 1), "i64.add", lo=1, hi=7)


def _isocalendar(code, v, name, arguments, keywords):
    """Return the year, week and weekday of ISO 8601: those of the week's Thursday."""
    if arguments or keywords:
        return None
    weekday = _weekday(code, v, "isoweekday", [], {})
    thursday = code.tmp("i64", day_of(code, v), ("i64.const", 4), "i64.add", weekday.i, "i64.sub")
    year = _calendar(code, thursday, "year")
    first = code.tmp("i64", year.i, ("i64.const", 1), ("i64.const", 1), ("call", "k_days"))
    since = [thursday, first, "i64.sub", ("i64.const", 7), "i64.div_s", ("i64.const", 1), "i64.add"]
    return tuple_of([year, code.integer(*since, lo=1, hi=53), weekday])


def _toordinal(code, v, name, arguments, keywords):
    if arguments or keywords:
        return None
    return code.integer(day_of(code, v), ("i64.const", _FIRST_ORDINAL), "i64.add", lo=1, hi=3_652_059)


def _date(code, v, name, arguments, keywords):
    return None if arguments or keywords else Value(DATE, day_of(code, v))


def _isoformat(code, v, name, arguments, keywords):
    if keywords or len(arguments) > (v.only == "datetime"):
        return None
    if v.only == "date":
        return code.kernel_text("k_isodate", v.i)
    separator = arguments[0].k if arguments else "T"
    if type(separator) is not str or len(separator) != 1 or not separator.isascii():
        return None
    return code.kernel_text("k_isodatetime", v.i, ("i32.const", ord(separator)))


def _strftime(code, v, name, arguments, keywords):
    if keywords or len(arguments) != 1 or type(arguments[0].k) is not str:
        return None
    return strftime(code, v, arguments[0].k)


def _replace(code, v, name, arguments, keywords):
    names = ("year", "month", "day") if v.only == "date" else ("year", "month", "day", *_OF_DAY)
    given = dict(zip(names, arguments, strict=False)) | keywords
    if not set(given) <= set(names) or any(part.only != "int" for part in given.values()):
        return None
    day = day_of(code, v)
    parts = [given.get(part) or _calendar(code, day, part) for part in ("year", "month", "day")]
    if v.only == "date":
        return make_date(code, *parts)
    if not set(given) & set(_OF_DAY):
        return make_date(code, *parts, _of_day(code, v))
    return make_datetime(code, parts + [given.get(part) or attribute(code, v, part) for part in _OF_DAY])


def _total_seconds(code, v, name, arguments, keywords):
    if arguments or keywords:
        return None
    code.bail_if(v.i, ("i64.const", _EXACT), "i64.add", ("i64.const", 2 * _EXACT), "i64.gt_u")
    return divide(code, Value(INT, v.i, lo=-_EXACT, hi=_EXACT), code.const(1e6))


def span_text(code, v):
    """Return str(v) of a timedelta."""
    days = attribute(code, v, "days")
    seconds, micros = attribute(code, v, "seconds"), attribute(code, v, "microseconds")
    digits = lambda x, width: code.kernel_text("k_itoa", x.i, ("i32.const", width), ("i32.const", 1))  # noqa: E731
    hours, minutes = (
        operate(code, "FloorDiv", seconds, code.const(3600)),
        operate(code, "Mod", seconds, code.const(3600)),
    )
    clock = [digits(hours, 0), code.const(":"), digits(operate(code, "FloorDiv", minutes, code.const(60)), 2)]
    clock += [code.const(":"), digits(operate(code, "Mod", seconds, code.const(60)), 2)]
    one = code.tmp("i32", absolute(code, days).i, ("i64.const", 1), "i64.eq")
    named = lambda: code.branch(one, lambda: code.const(" day, "), lambda: code.const(" days, "))  # noqa: E731
    has_days, has_micros = (code.tmp("i32", x.i, ("i64.const", 0), "i64.ne") for x in (days, micros))
    front = code.branch(has_days, lambda: concatenated(code, [digits(days, 0), named()]), lambda: code.const(""))
    behind = code.branch(
        has_micros, lambda: concatenated(code, [code.const("."), digits(micros, 6)]), lambda: code.const("")
    )
    return concatenated(code, [front, *clock, behind])


ISO_FIELDS = ("year", "week", "weekday")
_OF_BOTH = {
    "weekday": _weekday,
    "isoweekday": _weekday,
    "isocalendar": _isocalendar,
    "toordinal": _toordinal,
    "isoformat": _isoformat,
    "strftime": _strftime,
    "replace": _replace,
}
_METHODS = {(kind, name): method for kind in ("date", "datetime") for name, method in _OF_BOTH.items()}
_METHODS |= {("datetime", "date"): _date, ("timedelta", "total_seconds"): _total_seconds}
