"""Methods of str, and its subscripts."""

from _udf_compiler import lists
from _udf_compiler.arithmetic import packed_list
from _udf_compiler.errors import INDEX_ERROR, TYPE_ERROR, VALUE_ERROR
from _udf_compiler.integers import check_size
from _udf_compiler.values import BOOL, INT, MAX, NEVER, STR, Value, tuple_of

_MOST = 2**31  # no text is longer
_NO_BOUND = ("i64.const", -1)


def call(code, v, name, arguments):
    """Return v.name(*arguments) of a str."""
    if any(not argument.t for argument in arguments):
        return NEVER
    method = _METHODS.get(name)
    made = None if method is None else method(code, v, name, arguments)
    if made is None:
        kinds = ", ".join(argument.only or "a value of several types" for argument in arguments)
        return code.unsupported(f"str.{name}({kinds})")
    return made


def item(code, v, i):
    """Return v[i]."""
    return code_text(code, "k_index", *code.text(v), i.i, errors=(INDEX_ERROR,))


def slice_(code, v, start, stop):
    """Return v[start:stop] of operands."""
    return Value(STR, code.tmp("i64", *code.text(v), start, stop, ("call", "k_slice")))


def reversed_(code, v):
    """Return v[::-1]."""
    return code.kernel_text("k_reverse", *code.text(v))


def stepped(code, v, bounds, step):
    """Return v[start:stop:step] of a text.

    Args:
        code: The function.
        v: The text.
        bounds: Start and stop, ints or None.
        step: An int.
    """
    code.raise_if(VALUE_ERROR, step.i, "i64.eqz")
    missing = sum(1 << number for number, bound in enumerate(bounds) if bound.only == "none")
    operands = [("i64.const", 0) if bound.only == "none" else bound.i for bound in bounds]
    return code.kernel_text("k_step", *code.text(v), *operands, step.i, ("i32.const", missing))


def split_item(code, v, separator, most, i):
    """Return v.split(separator, most)[i], without the list."""
    return code.kernel_text("k_split_at", *code.text(v), *code.text(separator), most, i.i, errors=(INDEX_ERROR,))


def length(code, v):
    """Return len(v)."""
    return code.integer(*code.text(v), ("call", "k_len"), lo=0, hi=_MOST)


def code_text(code, kernel, *operands, errors=()):
    """Call a kernel that needs no context and returns a text."""
    made = code.tmp("i64", *operands, ("call", kernel))
    code.check_text(made, errors)
    return Value(STR, made)


def _kinds(arguments):
    return [argument.only for argument in arguments]


def _case(code, v, name, arguments):
    return None if arguments else code.kernel_text(f"k_{name}", *code.text(v))


def _recase(code, v, name, arguments):
    mode = ("i32.const", ("title", "capitalize", "swapcase").index(name))
    return None if arguments else code.kernel_text("k_recase", *code.text(v), mode)


def _strip(code, v, name, arguments):
    mode = ("i32.const", {"lstrip": 1, "rstrip": 2, "strip": 3}[name])
    if _kinds(arguments) in ([], ["none"]):
        return Value(STR, code.tmp("i64", *code.text(v), mode, ("call", "k_strip")))
    if _kinds(arguments) == ["str"]:
        return code_text(code, "k_strip_chars", *code.text(v), *code.text(arguments[0]), mode)
    return None


def _bounds(code, arguments):
    """Return the operands of the start and stop that some methods take; None if these aren't such."""
    made = [START, STOP]
    for number, bound in enumerate(arguments):
        if number > 1 or bound.only not in ("int", "none"):
            return None
        if bound.only == "int":
            made[number] = bound.i
    return made


def _starts(code, v, name, arguments):
    if not arguments:
        return None
    bounds = _bounds(code, arguments[1:])
    if bounds is None:
        return None
    at_end = name == "endswith"
    kernel = [("call", "k_ends" if at_end else "k_starts")]
    if len(arguments) > 1:
        kernel = [("i32.const", int(at_end)), *bounds, ("call", "k_starts_in")]
    options = arguments[:1] if arguments[0].items is None else arguments[0].items
    if any(option.only != "str" for option in options):
        return None
    result = code.local("i32")
    code.e(("i32.const", 1), ("local.set", result))
    with code.block() as end:
        for option in options:
            code.e(*code.text(v), *code.text(option), *kernel, ("br_if", end))
        code.e(("i32.const", 0), ("local.set", result))
    return code.boolean(("local.get", result))


def _find(code, v, name, arguments):
    bounds = _bounds(code, arguments[1:])
    if _kinds(arguments[:1]) != ["str"] or bounds is None:
        return None
    kernel = [("call", "k_find")] if len(arguments) == 1 else [*bounds, ("call", "k_find_in")]
    last = ("i32.const", int(name[0] == "r"))
    place = code.tmp("i64", *code.text(v), *code.text(arguments[0]), last, *kernel)
    if name.endswith("index"):
        code.raise_if(VALUE_ERROR, place, ("i64.const", 0), "i64.lt_s")
        return Value(INT, place, lo=0, hi=_MOST)
    return Value(INT, place, lo=-1, hi=_MOST)


def _count(code, v, name, arguments):
    bounds = _bounds(code, arguments[1:])
    if _kinds(arguments[:1]) != ["str"] or bounds is None:
        return None
    kernel = [("call", "k_count")] if len(arguments) == 1 else [*bounds, ("call", "k_count_in")]
    return code.integer(*code.text(v), *code.text(arguments[0]), *kernel, lo=0, hi=_MOST)


def _replace(code, v, name, arguments):
    if _kinds(arguments) not in (["str", "str"], ["str", "str", "int"]):
        return None
    most = _NO_BOUND
    if len(arguments) == 3:
        check_size(code, arguments[2])
        most = arguments[2].i
    return code.kernel_text("k_replace", *code.text(v), *code.text(arguments[0]), *code.text(arguments[1]), most)


def _split(code, v, name, arguments):
    kernel = f"k_{name}"
    if _kinds(arguments) in ([], ["none"]):
        if name == "rsplit":
            kernel = "k_split"
        nothing = ("i32.const", 0)
        return _list(code, kernel, *code.text(v), nothing, nothing, _NO_BOUND)
    if _kinds(arguments) not in (["str"], ["str", "int"]):
        return None
    separator = code.text(arguments[0])
    if not arguments[0].k:
        code.raise_if(VALUE_ERROR, separator[1], "i32.eqz")
    if len(arguments) == 1:
        most = _NO_BOUND
    else:
        check_size(code, arguments[1])
        most = arguments[1].i
    return _list(code, kernel, *code.text(v), *separator, most)


def _list(code, kernel, *operands):
    return lists.of_texts(code, code.kernel_text(kernel, *operands), kernel)


def _splitlines(code, v, name, arguments):
    if _kinds(arguments) not in ([], ["bool"], ["int"]):
        return None
    keep = code.condition(arguments[0]) if arguments else ("i32.const", 0)
    return _list(code, "k_splitlines", *code.text(v), keep)


def _expandtabs(code, v, name, arguments):
    if _kinds(arguments) not in ([], ["int"]):
        return None
    if arguments:
        check_size(code, arguments[0])
    return code.kernel_text("k_expandtabs", *code.text(v), arguments[0].i if arguments else ("i64.const", 8))


def _partition(code, v, name, arguments):
    if _kinds(arguments) != ["str"]:
        return None
    separator = code.text(arguments[0])
    if not arguments[0].k:
        code.raise_if(VALUE_ERROR, separator[1], "i32.eqz")
    last = ("i32.const", int(name == "rpartition"))
    at, _ = code.text(code.kernel_text("k_partition", *code.text(v), *separator, last))
    return tuple_of([Value(STR, code.tmp("i64", at, ("i64.load", 8 * number))) for number in range(3)])


def _join(code, v, name, arguments):
    if len(arguments) != 1:
        return None
    parts = arguments[0]
    if parts.items is not None:
        if any(part.only != "str" for part in parts.items):
            return code.error(TYPE_ERROR) if all(part.only for part in parts.items) else None
        count = ("i32.const", len(parts.items))
        return code.kernel_text("k_join", *code.text(v), packed_list(code, parts.items), count)
    if parts.only == "str":  # its characters
        return None
    if not lists.is_list(parts.only):
        return None
    held = lists.shape_of(code, parts).keys
    if held.fields is None:  # nothing is ever appended
        return code.const("")
    return code.kernel_text("k_join", *code.text(v), *lists.view(code, parts)) if held.fields == [STR] else None


_QUESTIONS = ("isdigit", "isalpha", "isalnum", "isspace", "isupper", "islower", "isascii", "isdecimal", "isnumeric")
_QUESTIONS += ("isidentifier", "isprintable", "istitle")


def _ask(code, v, name, arguments):
    if arguments:
        return None
    c = code.tmp("i32", *code.text(v), ("i32.const", _QUESTIONS.index(name)), ("call", "k_is"))
    code.bail_if(c, ("i32.const", 2), "i32.eq")
    return Value(BOOL, code.tmp("i64", c, "i64.extend_i32_u"), lo=0, hi=1, c=c)


def _justify(code, v, name, arguments):
    fill = " " if len(arguments) == 1 else arguments[1].k if len(arguments) == 2 and name != "zfill" else None
    if not arguments or arguments[0].only != "int" or type(fill) is not str or len(fill) != 1 or not fill.isascii():
        return None
    mode = ("ljust", "rjust", "center", "zfill").index(name)
    character = ("i32.const", ord("0" if name == "zfill" else fill))
    check_size(code, arguments[0])
    return code.kernel_text("k_just", *code.text(v), arguments[0].i, character, ("i32.const", mode))


def _remove(code, v, name, arguments):
    if _kinds(arguments) != ["str"]:
        return None
    (at, size), (other, cut) = code.text(v), code.text(arguments[0])
    found = code.tmp("i32", at, size, other, cut, ("call", "k_starts" if name == "removeprefix" else "k_ends"))
    cut = code.tmp("i64", cut, "i64.extend_i32_u", found, "i64.extend_i32_u", "i64.mul")
    moved = [cut, ("i64.const", 32), "i64.shl", "i64.add"] if name == "removeprefix" else []
    return Value(STR, code.tmp("i64", v.i, cut, "i64.sub", *moved))


_METHODS = (
    dict.fromkeys(("upper", "lower", "casefold"), _case)
    | dict.fromkeys(("title", "capitalize", "swapcase"), _recase)
    | dict.fromkeys(("strip", "lstrip", "rstrip"), _strip)
    | dict.fromkeys(("startswith", "endswith"), _starts)
    | dict.fromkeys(("find", "rfind", "index", "rindex"), _find)
    | dict.fromkeys(("split", "rsplit"), _split)
    | dict.fromkeys(("partition", "rpartition"), _partition)
    | dict.fromkeys(_QUESTIONS, _ask)
    | dict.fromkeys(("ljust", "rjust", "center", "zfill"), _justify)
    | dict.fromkeys(("removeprefix", "removesuffix"), _remove)
    | {"count": _count, "replace": _replace, "splitlines": _splitlines, "join": _join, "expandtabs": _expandtabs}
)
# For slices without a start or stop.
START, STOP = ("i64.const", 0), ("i64.const", MAX)
