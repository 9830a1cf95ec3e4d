"""Returned values of another Python type than the declared one, as DuckDB's own functions take them.

Only where nothing is lost: '42' and 42.0 are the BIGINT 42; 1.5 is none.
"""

import datetime as dt
import re
from decimal import Decimal
from uuid import UUID

from duckdb_wasi_udf import Interval

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_SPECIAL = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)
_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d\s*", re.ASCII)
_CLOCK = r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d(:\d\d)?)?)?"
_TIME = re.compile(rf"\s*{_CLOCK}\s*", re.ASCII)
_DATETIME = re.compile(rf"\s*\d{{4}}-\d\d-\d\d([T ]{_CLOCK})?\s*", re.ASCII)
_PART = re.compile(r"([+-]?\d+)\s+([a-z]+)|([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?", re.ASCII | re.IGNORECASE)

# The most digits of an integer that is written with an exponent: those of UHUGEINT.
_MOST_DIGITS = 39

_TRUTHS = {"true": True, "t": True, "1": True, "yes": True, "y": True}
_TRUTHS |= {"false": False, "f": False, "0": False, "no": False, "n": False}

# Of the units of an INTERVAL: months, days, microseconds.
_UNITS = {
    "year": (12, 0, 0),
    "month": (1, 0, 0),
    "week": (0, 7, 0),
    "day": (0, 1, 0),
    "hour": (0, 0, 3_600_000_000),
    "minute": (0, 0, 60_000_000),
    "second": (0, 0, 1_000_000),
    "millisecond": (0, 0, 1000),
    "microsecond": (0, 0, 1),
}


def coerce(kind, declared, value, scale):
    """Return the value that another stands for.

    Args:
        kind: the name of the SQL type that is built.
        declared: the name of the type that was declared, for messages.
        value: what the function returned.
        scale: the digits after the point, of a DECIMAL.

    Returns:
        A value of the Python type that the SQL type has; NotImplemented if the type of `value` never stands for one.

    Raises:
        ValueError: this value stands for none.
    """
    convert = _CONVERTERS.get(kind)
    if convert is None or declared == "ENUM":
        return NotImplemented
    try:
        found = convert(value, scale)
    except (ValueError, ArithmeticError) as error:
        reason = str(error) if type(error) is _LossError else "it is not the text of one"
        raise ValueError(f"the function returned {value!r:.60}, which is no {declared}: {reason}") from None
    return found


class _LossError(ValueError):
    """Something would be lost; the text says what."""


def _integer(value, _):
    if isinstance(value, float):
        if not value.is_integer():
            raise _LossError("it is no whole number; round it")
        return int(value)
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise ValueError
        text = value.strip()
        if text.lstrip("+-").isdecimal():
            return int(text)
        value = Decimal(text)
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() >= _MOST_DIGITS or value != value.to_integral_value():
            raise _LossError("it is no whole number; round it")
        return int(value)
    return NotImplemented


def _boolean(value, _):
    if isinstance(value, str):
        return _TRUTHS[value.strip().lower()] if value.strip().lower() in _TRUTHS else _refuse()
    if isinstance(value, (int, float, Decimal)):
        if value not in (0, 1):
            raise _LossError("only 0 and 1 stand for one; return bool(x)")
        return bool(value)
    return NotImplemented


def _refuse():
    raise ValueError


def _double(value, _):
    if not isinstance(value, str):
        return NotImplemented
    return float(value) if _NUMBER.fullmatch(value) or _SPECIAL.fullmatch(value) else _refuse()


def _decimal(value, scale):
    if isinstance(value, str):
        found = Decimal(value.strip()) if _NUMBER.fullmatch(value) else _refuse()
    elif isinstance(value, float):
        found = Decimal(repr(float(value)))
    else:
        return NotImplemented
    if not found.is_finite():
        raise _LossError("it is no number")
    _, digits, exponent = found.as_tuple()
    if -exponent > scale and any(digits[scale + exponent :]):
        raise _LossError(f"it has more than {scale} digits after the point; round it")
    return found


def _varchar(value, _):
    if isinstance(value, bool):
        return NotImplemented
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else NotImplemented
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, dt.time) and value.tzinfo is None:
        return value.isoformat("microseconds").rstrip("0").rstrip(".")
    return NotImplemented


def _blob(value, _):
    if not isinstance(value, str):
        return NotImplemented
    if not value.isascii() or "\\" in value:
        raise _LossError("only ASCII text without a backslash stands for its bytes; encode it")
    return value.encode()


def _date(value, _):
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None or value.time() != dt.time.min:
            raise _LossError("it has a time; return x.date()")
        return value.date()
    return _from_text(value, dt.date, _DATE)


def _from_text(value, kind, form, *, aware=None):
    """Return the date or time that a str writes in ISO 8601."""
    if not isinstance(value, str):
        return NotImplemented
    found = kind.fromisoformat(value.strip()) if form.fullmatch(value) else _refuse()
    if aware is not None and (found.tzinfo is not None) != aware:
        raise _LossError("it has no offset from UTC" if aware else "it has an offset from UTC")
    return found


def _time(value, _):
    return _from_text(value, dt.time, _TIME, aware=False)


def _timetz(value, _):
    return _from_text(value, dt.time, _TIME, aware=True)


def _timestamp(value, _):
    return _from_text(value, dt.datetime, _DATETIME, aware=False)


def _timestamptz(value, _):
    return _from_text(value, dt.datetime, _DATETIME, aware=True)


def _interval(value, _):
    if not isinstance(value, str):
        return NotImplemented
    months = days = microseconds = 0
    end = 0
    text = value.strip()
    for part in _PART.finditer(text):
        if text[end : part.start()].strip():
            raise ValueError
        end = part.end()
        count, unit, sign, hours, minutes, seconds, fraction = part.groups()
        if unit is None:
            total = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
            total = total * 1_000_000 + int((fraction or "").ljust(6, "0"))
            microseconds += -total if sign == "-" else total
            continue
        of = _UNITS.get(unit.lower().removesuffix("s"))
        if of is None:
            raise ValueError
        months, days, microseconds = (
            sum_ + int(count) * each for sum_, each in zip((months, days, microseconds), of, strict=True)
        )
    if not text or text[end:].strip():
        raise ValueError
    return Interval(months=months, days=days, microseconds=microseconds)


_CONVERTERS = {
    **dict.fromkeys(("BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"), _integer),
    "BOOLEAN": _boolean,
    "DOUBLE": _double,
    "DECIMAL": _decimal,
    "VARCHAR": _varchar,
    "BLOB": _blob,
    "DATE": _date,
    "TIME": _time,
    "TIME WITH TIME ZONE": _timetz,
    "TIMESTAMP": _timestamp,
    "TIMESTAMP WITH TIME ZONE": _timestamptz,
    "INTERVAL": _interval,
}
