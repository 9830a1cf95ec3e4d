"""The functions of the guest that compiled code may import, with their exact types: a closed list.

They are the C functions of wasm/c/compiled that are exported under these names. The host's check of modules and the
guest's compiler read this list; tests/engine/test_module_check.py compares it with the artifact.
"""

from __future__ import annotations

_I, _L, _F = "i32", "i64", "f64"
_TEXT = (_I, _I)  # its address and its length
_CONTEXT = (_I,)

Types = tuple[str, ...]

# Functions of `math` that take one float.
MATH = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "cos", "cosh", "exp", "exp2", "expm1"),
    *("log", "log10", "log1p", "log2", "sin", "sinh", "tan", "tanh"),
)
_TO_TEXT: dict[str, Types] = {
    "k_upper": _TEXT,
    "k_lower": _TEXT,
    "k_casefold": _TEXT,
    "k_recase": (*_TEXT, _I),
    "k_reverse": _TEXT,
    "k_chr": (_L,),
    "k_replace": (*_TEXT, *_TEXT, *_TEXT, _L),
    "k_translate": (_I, *_TEXT),
    "k_expandtabs": (*_TEXT, _L),
    "k_step": (*_TEXT, _L, _L, _L, _I),
    "k_int_base": (*_TEXT, _L),
    "k_repr": _TEXT,
    "k_concat": (*_TEXT, *_TEXT),
    "k_repeat": (*_TEXT, _L),
    "k_join": (*_TEXT, *_TEXT),
    "k_just": (*_TEXT, _L, _I, _I),
    "k_split": (*_TEXT, *_TEXT, _L),
    "k_rsplit": (*_TEXT, *_TEXT, _L),
    "k_split_at": (*_TEXT, *_TEXT, _L, _L),
    "k_splitlines": (*_TEXT, _I),
    "k_partition": (*_TEXT, *_TEXT, _I),
    "k_itoa": (_L, _I, _I),
    "k_int": _TEXT,
    "k_frepr": (_F, _I, _I),
    "k_format_int": (_L, *_TEXT),
    "k_format_float": (_F, *_TEXT),
    "k_format_text": (*_TEXT, *_TEXT),
    "k_isodate": (_L,),
    "k_isodatetime": (_L, _I),
    "k_strptime": (*_TEXT, *_TEXT),
    "k_re_match": (_I, *_TEXT, _I),
    "k_re_all": (_I, *_TEXT, _I),
    "k_re_iter": (_I, *_TEXT),
    "k_re_split": (_I, *_TEXT, _L),
    "k_re_sub": (_I, *_TEXT, _I, _L),
    "k_decimal_text": (_I,),
    "k_decimal_format": (_I, *_TEXT),
}
# A decimal is passed by its address, and returned as a text is.
_TO_DECIMAL: dict[str, Types] = {
    "k_decimal_make": (_L, _L, _I),
    "k_decimal_parse": _TEXT,
    "k_decimal": (_I, _I, _I),
    "k_decimal_quantize": (_I, _I, _I),
    "k_decimal_integral": (_I, _I),
}
# So is a list, a set or a dict.
_TO_CONTAINER: dict[str, Types] = {
    "k_list_new": (_I, _I, _I),
    "k_list_of": (_I, _I, _I),
    "k_list_slice": (_I, _L, _L, _L, _I),
    "k_list_repeat": (_I, _L),
    "k_argument": (_I, _I, _I),
}

# The types of the parameters and of the results, by name.
KERNELS: dict[str, tuple[Types, Types]] = {f"k_{name}": ((_F,), (_F,)) for name in MATH}
KERNELS |= {
    name: ((*_CONTEXT, *parameters), (_L,)) for name, parameters in (_TO_TEXT | _TO_DECIMAL | _TO_CONTAINER).items()
}
KERNELS |= {
    "k_float": ((*_CONTEXT, *_TEXT), (_F,)),
    "k_fmod": ((_F, _F), (_F,)),
    "k_frem": ((_F, _F), (_F,)),
    "k_ffloordiv": ((_F, _F), (_F,)),
    "k_fpow": ((_F, _F), (_F,)),
    "k_pow": ((_F, _F), (_F,)),
    "k_atan2": ((_F, _F), (_F,)),
    "k_hypot": ((_F, _F), (_F,)),
    "k_round": ((_F, _L), (_F,)),
    "k_cmp_if": ((_L, _F), (_I,)),
    "k_civil": ((_L,), (_L,)),
    "k_days": ((_L, _L, _L), (_L,)),
    "k_strip": ((*_TEXT, _I), (_L,)),
    "k_strip_chars": ((*_TEXT, *_TEXT, _I), (_L,)),
    "k_len": (_TEXT, (_L,)),
    "k_find": ((*_TEXT, *_TEXT, _I), (_L,)),
    "k_contains": ((*_TEXT, *_TEXT), (_I,)),
    "k_starts": ((*_TEXT, *_TEXT), (_I,)),
    "k_ends": ((*_TEXT, *_TEXT), (_I,)),
    "k_equal": ((*_TEXT, *_TEXT), (_I,)),
    "k_count": ((*_TEXT, *_TEXT), (_L,)),
    "k_find_in": ((*_TEXT, *_TEXT, _I, _L, _L), (_L,)),
    "k_count_in": ((*_TEXT, *_TEXT, _L, _L), (_L,)),
    "k_starts_in": ((*_TEXT, *_TEXT, _I, _L, _L), (_I,)),
    "k_cmp": ((*_TEXT, *_TEXT), (_I,)),
    "k_slice": ((*_TEXT, _L, _L), (_L,)),
    "k_index": ((*_TEXT, _L), (_L,)),
    "k_is": ((*_TEXT, _I), (_I,)),
    "k_ord": (_TEXT, (_L,)),
    "k_dict": ((*_CONTEXT, _I, *_TEXT), (_I,)),
    "k_out": ((*_CONTEXT, _I, *_TEXT), (_I,)),
    "k_out_value": ((*_CONTEXT, _L, _F, _I, _I), (_I,)),
    "k_out_null": (_CONTEXT, (_I,)),
    "k_decimal_compare": ((*_CONTEXT, _I, _I), (_I,)),
    "k_decimal_compare_float": ((*_CONTEXT, _I, _F), (_I,)),
    "k_decimal_int": ((*_CONTEXT, _I, _I), (_L,)),
    "k_decimal_float": ((*_CONTEXT, _I), (_F,)),
    "k_decimal_out": ((*_CONTEXT, _I, _I), (_I,)),
    "k_list_room": ((*_CONTEXT, _I, _I), (_I,)),
    "k_list_open": ((*_CONTEXT, _I, _L), (_I,)),
    "k_list_close": ((_I, _I), (_I,)),
    "k_list_reverse": ((_I,), (_I,)),
    "k_list_extend": ((*_CONTEXT, _I, _I), (_I,)),
    "k_list_splice": ((*_CONTEXT, _I, _L, _L, _I, _I), (_I,)),
    "k_list_find": ((*_CONTEXT, _I, _I, _I), (_L,)),
    "k_list_equal": ((_I, _I), (_I,)),
    "k_list_sort": ((*_CONTEXT, _I, _I, _I), (_I,)),
    "k_table_find": ((*_CONTEXT, _I, _I), (_I,)),
    "k_table_add": ((*_CONTEXT, _I, _I), (_I,)),
    "k_table_remove": ((_I, _I), (_I,)),
}
