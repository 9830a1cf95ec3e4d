"""Constant dicts, sets, lists and tuples."""

import datetime as dt
import decimal
import math

from _udf_compiler import decimals, lists
from _udf_compiler.comparison import any_equal, compare
from _udf_compiler.errors import INDEX_ERROR, KEY_ERROR, TYPE_ERROR
from _udf_compiler.values import BOOL, DECIMAL, INT, MAX, MIN, MOST_DIGITS, NEVER, STR, Value

_MOST_COMPARED = 64  # keys that are compared one after the other
_MOST_TEXTS_COMPARED = 3
_SCALARS = (bool, int, float, str, type(None))
_SPANS = (dt.date, dt.datetime, dt.timedelta)
_EMPTY = {bool: False, int: 0, float: 0.0, str: "", type(None): None, decimal.Decimal: decimal.Decimal(0)}
_EMPTY |= {dt.date: dt.date.min, dt.datetime: dt.datetime.min, dt.timedelta: dt.timedelta()}  # noqa: DTZ901


def look_up(code, mapping, key, default):
    """Return mapping[key] of a constant dict; `default` makes the value of a key that isn't there, None to raise."""
    if key.items is not None:
        return _look_up_tuple(code, mapping, key, default)
    return code.dispatch(key, lambda member: _look_up(code, mapping, member, default))


def _missing(code, default):
    return code.error(KEY_ERROR) if default is None else default()


def _look_up(code, mapping, key, default):
    keys, values = list(mapping), list(mapping.values())
    if not keys:
        return _missing(code, default)
    kinds = {type(k) for k in keys}
    if key.only == "str" and kinds == {str}:
        found = code.tmp(
            "i32",
            ("local.get", 0),
            ("i32.const", code.program.constants.keys(keys)),
            *code.text(key),
            ("call", "k_dict"),
        )
        return _chosen(code, values, found, default)
    if (
        key.only in ("int", "bool")
        and kinds <= {int, bool}
        and len(keys) <= _MOST_COMPARED
        and all(MIN <= k <= MAX for k in keys)
    ):
        found = code.local("i32")
        with code.block() as end:
            for number, k in enumerate(keys):
                code.e(
                    ("i32.const", number), ("local.set", found), key.i, ("i64.const", int(k)), "i64.eq", ("br_if", end)
                )
            code.e(("i32.const", -1), ("local.set", found))
        return _chosen(code, values, ("local.get", found), default)
    if key.only == "none" and None not in mapping:
        return _missing(code, default)
    return code.unsupported(f"a look-up of a {key.only} in this dict")


def _look_up_tuple(code, mapping, key, default):
    """Look up a tuple, which is compared with the keys one after the other."""
    keys = list(mapping)
    if len(keys) > _MOST_COMPARED or not all(type(k) is tuple and len(k) == len(key.items) for k in keys):
        return code.unsupported("a look-up of a tuple in this dict")
    found = code.local("i32")
    with code.block() as end:
        for number, k in enumerate(keys):
            code.e(("i32.const", number), ("local.set", found))
            same = compare(code, "Eq", key, code.const(k))
            if same.t:
                code.e(code.condition(same), ("br_if", end))
        code.e(("i32.const", -1), ("local.set", found))
    return _chosen(code, list(mapping.values()), ("local.get", found), default)


def _chosen(code, values, found, default):
    absent = code.tmp("i32", found, ("i32.const", 0), "i32.lt_s")
    return code.branch(absent, lambda: _missing(code, default), lambda: pick(code, values, found))


def pick(code, values, number):
    """Return values[number], which is in range, of constants."""
    kinds = {type(v) for v in values}
    if len(kinds) == 1 and kinds <= {tuple} and len({len(v) for v in values}) == 1:
        items = [pick(code, [v[n] for v in values], number) for n in range(len(values[0]))]
        return Value(frozenset({f"tuple of {len(items)}"}), items=items) if all(item.t for item in items) else NEVER
    if not kinds <= {*_SCALARS, *_SPANS, decimal.Decimal}:
        return code.unsupported("a collection of other values than numbers, texts and dates")
    if decimal.Decimal in kinds:
        if any(
            type(v) is decimal.Decimal and (not v.is_finite() or len(v.as_tuple().digits) > MOST_DIGITS) for v in values
        ):
            return code.unsupported("a Decimal that is special, or of more than 38 digits")
        decimals.use(code)
    if len(kinds) > 1:
        return _pick_mixed(code, values, number)
    kind = kinds.pop()
    if kind is type(None):
        return code.const(None)
    base = code.tmp("i32", ("local.get", code.constants), ("i64.const", 32), "i64.shr_u", "i32.wrap_i64")
    address = [base, number, ("i32.const", 3), "i32.shl", "i32.add"]
    if kind is float:
        return code.real(*address, ("f64.load", code.program.constants.numbers(values)))
    if kind in (str, decimal.Decimal):
        constants = code.program.constants
        place = (constants.texts if kind is str else constants.decimals)(values)
        made = code.tmp("i64", *address, ("i64.load", place), ("local.get", code.constants), "i64.add")
        return Value(STR if kind is str else DECIMAL, made)
    if kind in _SPANS:
        made = [code.const(v) for v in values]
        if not all(v.t for v in made):
            return NEVER
        return Value(
            made[0].t, code.tmp("i64", *address, ("i64.load", code.program.constants.words([v.i[1] for v in made])))
        )
    if not all(MIN <= v <= MAX for v in values):
        return code.unsupported("an integer beyond 64 bits")
    place = code.program.constants.words([int(v) for v in values])
    made = code.tmp("i64", *address, ("i64.load", place))
    return Value(BOOL if kind is bool else INT, made, lo=int(min(values)), hi=int(max(values)))


def _pick_mixed(code, values, number):
    """Return values[number] of constants of several types: each type has an array of its own."""
    kinds = sorted({type(v) for v in values}, key=lambda kind: kind.__name__)
    place = code.program.constants.words([kinds.index(type(v)) for v in values])
    base = code.tmp("i32", ("local.get", code.constants), ("i64.const", 32), "i64.shr_u", "i32.wrap_i64")
    which = code.tmp("i32", base, number, ("i32.const", 3), "i32.shl", "i32.add", ("i32.load", place))

    def of(position):
        kind = kinds[position]
        own = [v if type(v) is kind else _EMPTY[kind] for v in values]
        if position == len(kinds) - 1:
            return pick(code, own, number)
        test = code.tmp("i32", which, ("i32.const", position), "i32.eq")
        return code.branch(test, lambda: pick(code, own, number), lambda: of(position + 1))

    return of(0)


def contains(code, item, values):
    """Return `item in values` of a constant collection."""
    values = list(values)
    if not item.t:
        return NEVER
    if any(type(v) is not tuple and (type(v) not in _SCALARS or (type(v) is float and math.isnan(v))) for v in values):
        return code.unsupported("in a collection of other values than numbers and texts")
    if item.items is not None:
        tuples = [v for v in values if type(v) is tuple and len(v) == len(item.items)]
        return any_equal(code, item, [code.const(v) for v in tuples])
    values = [v for v in values if type(v) is not tuple]

    def member(v):
        texts = [x for x in dict.fromkeys(values) if type(x) is str]
        if v.only == "str" and len(texts) > _MOST_TEXTS_COMPARED:
            place = ("i32.const", code.program.constants.keys(texts))
            found = [("local.get", 0), place, *code.text(v), ("call", "k_dict"), ("i32.const", 0), "i32.ge_s"]
            return code.boolean(*found)
        return any_equal(code, v, [code.const(x) for x in values])

    return code.dispatch(item, member)


def constant_item(code, values, i):
    """Return values[i] of a constant tuple or list."""
    count = len(values)
    if count == 0:
        return code.error(INDEX_ERROR)
    if type(i.k) is int:
        return code.const(values[i.k]) if -count <= i.k < count else code.error(INDEX_ERROR)
    code.raise_if(INDEX_ERROR, i.i, ("i64.const", count), "i64.add", ("i64.const", 2 * count - 1), "i64.gt_u")
    number = [i.i, i.i, ("i64.const", 63), "i64.shr_s", ("i64.const", count), "i64.and", "i64.add", "i32.wrap_i64"]
    return pick(code, list(values), code.tmp("i32", *number))


def tuple_item(code, v, i):
    """Return v[i] of a tuple."""
    if type(i.k) is not int:
        return code.unsupported("a tuple's item at a place that is no constant")
    return v.items[i.k] if -len(v.items) <= i.k < len(v.items) else code.error(INDEX_ERROR)


def subscript(code, v, i):
    """Return v[i] of what is no text, and of one type."""
    if v.items is not None:
        return tuple_item(code, v, i)
    if lists.is_list(v.only):
        return lists.item(code, v, i)
    if v.only in ("none", "int", "float", "bool"):
        return code.error(TYPE_ERROR)
    return code.unsupported(f"a subscript of a {v.only}")
