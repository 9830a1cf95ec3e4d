"""Values as text: str(), f-strings, str.format and %."""

import decimal
import re
import string

from _udf_compiler import decimals
from _udf_compiler.arithmetic import concatenated
from _udf_compiler.dates import span_text, strftime
from _udf_compiler.values import NEVER, Value

_NAMES_OF_DATES = {"date": "k_isodate", "datetime": "k_isodatetime"}
_SAMPLES = {"int": 1, "float": 1.0, "str": "", "decimal": decimal.Decimal(1)}
_SHOWN_ALIKE = ("none", "bool", "int", "float")  # by str and repr
_PERCENT = re.compile(r"%(?:%|([-+ 0#]*\d*(?:\.\d+)?)([sdifFeEgGxXocr]))")


def text_of(code, v, spec=""):
    """Return format(v, spec), or str(v) without a spec. The spec is a text, or a value that is one."""
    if v.items is not None:
        return code.unsupported("a tuple as text")
    if isinstance(spec, Value):
        return code.dispatch(v, lambda member: _by_computed(code, member, spec))
    return code.dispatch(v, lambda member: _text_of(code, member, spec))


def repr_of(code, v):
    """Return repr(v)."""
    if v.items is not None:
        return code.unsupported("a tuple as text")

    def shown(member):
        if member.only == "str":
            return code.kernel_text("k_repr", *code.text(member))
        return (
            _text_of(code, member, "") if member.only in _SHOWN_ALIKE else code.unsupported(f"repr of a {member.only}")
        )

    return code.dispatch(v, shown)


def _by_computed(code, v, spec):
    """Return format(v, spec) for a spec that is computed. CPython itself does it."""
    kernel = {"int": "k_format_int", "float": "k_format_float", "str": "k_format_text"}.get(v.only)
    if kernel is None or spec.only != "str":
        return code.unsupported(f"a computed format of a {v.only}")
    operands = {"int": [v.i], "float": [v.f]}.get(v.only) or code.text(v)
    return code.kernel_text(kernel, *operands, *code.text(spec))


def _text_of(code, v, spec):
    name = v.only
    if spec:
        return _formatted(code, v, spec)
    if name == "str":
        return v
    if name == "int":
        return code.kernel_text("k_itoa", v.i, ("i32.const", 0), ("i32.const", 0))
    if name == "float":
        return code.kernel_text("k_frepr", v.f, ("i32.const", ord("r")), ("i32.const", 0))
    if name == "decimal":
        return decimals.text(code, v)
    if name == "bool":
        return code.branch(code.condition(v), lambda: code.const("True"), lambda: code.const("False"))
    if name == "none":
        return code.const("None")
    if name in _NAMES_OF_DATES:
        separator = [("i32.const", ord(" "))] if name == "datetime" else []
        return code.kernel_text(_NAMES_OF_DATES[name], v.i, *separator)
    if name == "timedelta":
        return span_text(code, v)
    return code.unsupported(f"a {name} as text")


def _formatted(code, v, spec):
    """Return format(v, spec) of a value of one type."""
    name = v.only
    if name in ("date", "datetime"):
        return strftime(code, v, spec)
    if name == "bool":  # an int, with a format
        v, name = Value(frozenset({"int"}), v.i, lo=0, hi=1), "int"
    if name in _SAMPLES and not _is_format(name, spec):
        code.bail()  # it raises
        return NEVER
    digits = re.fullmatch(r"(0?)(\d{0,3})d?", spec)
    if name == "int" and digits:
        width, zeros = int(digits[2] or 0), int(bool(digits[1]))
        return code.kernel_text("k_itoa", v.i, ("i32.const", width), ("i32.const", zeros))
    fixed = re.fullmatch(r"\.(\d\d?)f", spec)
    if name == "float" and fixed:
        return code.kernel_text("k_frepr", v.f, ("i32.const", ord("f")), ("i32.const", int(fixed[1])))
    if name == "decimal":
        return decimals.text(code, v, spec)
    format_ = code.text(code.const(spec))
    if name == "int":
        return code.kernel_text("k_format_int", v.i, *format_)
    if name == "float":
        return code.kernel_text("k_format_float", v.f, *format_)
    if name == "str":
        return code.kernel_text("k_format_text", *code.text(v), *format_)
    return code.unsupported(f"the format {spec!r} of a {name}")


def _is_format(name, spec):
    """Return whether a format can be used at all. `n` depends on the locale, which the guest doesn't have."""
    try:
        return len(spec) <= 16 and len(format(_SAMPLES[name], spec)) <= 1000
    except (ValueError, OverflowError, MemoryError):
        return False


def pieces(code, parts):
    """Return an f-string of parts: texts, and (value, spec)."""
    made = []
    for part in parts:
        text = code.const(part) if isinstance(part, str) else text_of(code, *part)
        if not text.t:
            return NEVER
        if text.only != "str":
            return code.unsupported("a part of a text")
        made.append(text)
    return concatenated(code, made)


def format_method(code, template, arguments, keywords):
    """Return template.format(*arguments, **keywords) of a constant template."""
    parts, number = [], 0
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError:
        code.bail()
        return NEVER
    fields = [name for _, name, _, _ in parsed if name is not None]
    if "" in fields and any(field.isdecimal() for field in fields):
        code.bail()  # it raises
        return NEVER
    for literal, name, spec, conversion in parsed:
        if literal:
            parts.append(literal)
        if name is None:
            continue
        field = name
        if name == "":
            field, number = str(number), number + 1
        value = arguments[int(field)] if field.isdecimal() and int(field) < len(arguments) else keywords.get(field)
        if value is None or conversion not in (None, "s", "r") or "{" in spec:
            return code.unsupported("this call of str.format")
        if conversion is not None:
            value = repr_of(code, value) if conversion == "r" else text_of(code, value)
        parts.append((value, spec))
    return pieces(code, parts)


def percent(code, template, values):
    """Return template % values of a constant template."""
    parts, at, number = [], 0, 0
    for found in _PERCENT.finditer(template):
        parts.append(template[at : found.start()])
        at = found.end()
        if found[0] == "%%":
            parts.append("%")
            continue
        if number == len(values):
            code.bail()
            return NEVER
        part = _percent_part(code, values[number], found[1], found[2])
        if part is None:
            return code.unsupported(f"the format {found[0]!r}")
        parts.append(part)
        number += 1
    if "%" in template[at:] or any("%" in part for part in parts if isinstance(part, str) and part != "%"):
        return code.unsupported("this format of the operator %")
    if number != len(values):
        code.bail()
        return NEVER
    parts.append(template[at:])
    return pieces(code, [part for part in parts if part])


def _percent_part(code, v, flags, letter):
    """Return a value and its format, as `format` takes it."""
    if letter == "s" and not flags:
        return v, ""
    if v.only == "decimal" and letter in "di":
        v = decimals.to_int(code, v, "trunc")
    if v.only == "decimal" and letter in "feEgG":
        v = Value(frozenset({"float"}), f=decimals.to_float(code, v))
    if letter == "r" and not flags:
        return repr_of(code, v), ""
    if letter == "s" and v.only == "str" and (found := re.fullmatch(r"(-?)([1-9]\d*|)((?:\.\d+)?)", flags)):
        return v, f"{'<' if found[1] else '>'}{found[2]}{found[3]}"
    if letter in "dixXo" and v.only in ("int", "bool") and (found := re.fullmatch(r"(-|[+ ]?0?)([1-9]\d*|)", flags)):
        number = Value(frozenset({"int"}), v.i, lo=v.lo, hi=v.hi)
        return number, f"{'<' if found[1] == '-' else found[1]}{found[2]}{'d' if letter == 'i' else letter}"
    if letter in "feEgG" and v.only in ("float", "int") and re.fullmatch(r"0?\d*(\.\d+)?", flags):
        number = v if v.only == "float" else Value(frozenset({"float"}), f=code.as_float(v))
        exact = v.only == "float" or (v.lo >= -(2**53) and v.hi <= 2**53)
        return (number, f"{flags or '.6'}{letter}") if exact and "." in (flags or ".6") else None
    return None
