"""Results: where the row loop writes what the function returned."""

from _udf_compiler import decimals
from _udf_compiler.context import DATA_AT, NULL_COUNT, OFFSETS, REASON, REASON_BAIL, REASON_ROOM, VALID
from _udf_compiler.described import describe
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.errors import NotCompiledError
from _udf_compiler.shapes import kind_of
from _udf_compiler.values import DAY_US, DECIMAL, FLOAT, NONE, TAGS, Value, types

_ROW = 1  # the parameter
# Result types that are written in place: which Python types they take. What else is returned is for the interpreter.
_IN_PLACE = {
    "BOOLEAN": types("bool"),
    "BIGINT": types("int", "bool"),
    "UBIGINT": types("int", "bool"),
    "HUGEINT": types("int", "bool"),
    "DOUBLE": types("int", "bool", "float", "decimal"),
    "DECIMAL": types("int", "decimal"),
    "VARCHAR": types("str"),
    "DATE": types("date"),
    "TIMESTAMP": types("date", "datetime"),
}
# Of results without a declared type.
_INFERRED = {
    "bool": "BOOLEAN",
    "int": "BIGINT",
    "float": "DOUBLE",
    "str": "VARCHAR",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "decimal": "DECIMAL",
}
# Result types to which C appends: which types they take beside None; None: any.
_APPENDED = {
    "LIST": ("list", "record"),
    "ARRAY": ("list", "record"),
    "STRUCT": ("dict", "record", "struct"),
    "MAP": ("dict", "struct"),
    "UNION": None,
    "INTERVAL": ("timedelta",),
    "ENUM": ("str",),
    "TIMESTAMP_NS": ("date", "datetime"),
}
_APPENDED_INFERRED = frozenset({*_INFERRED, "timedelta", "list", "dict", "record", "struct"})
_IS_CALLED = {"record": "tuple", "struct": "dict"}


class Results:
    """Writes the results of a row loop.

    Attributes:
        kind: The SQL type that is written in place; "NULL" for what C appends row by row. None as long as nothing is
            known.
    """

    def __init__(self, code, declared):
        """Prepare to write.

        Args:
            code: The function.
            declared: The result type; None to go by what the function returns.
        """
        if declared is not None and declared not in _IN_PLACE and declared not in _APPENDED:
            raise NotCompiledError(f"a result of the type {declared}")
        self._code, self._declared = code, declared
        self.kind = declared if declared in _IN_PLACE else None if declared is None else "NULL"

    def _settle(self):
        """Decide how results are written where none is declared, and refuse those that no column takes."""
        returned = self._code.result - NONE
        kinds = {kind_of(name) or name for name in returned}
        if self._declared is None and returned:
            self.kind = _INFERRED.get(next(iter(kinds))) if len(kinds) == 1 else None
            self.kind = self.kind or "NULL"
        taken = _IN_PLACE.get(self.kind) or _APPENDED.get(self._declared, _APPENDED_INFERRED) or _APPENDED_INFERRED
        if kinds and not kinds & {*taken}:
            names = " or ".join(sorted(_IS_CALLED.get(kind, kind) for kind in kinds))
            raise NotCompiledError(f"a {names} as a result" + (f" of the type {self._declared}" * bool(self._declared)))
        return kinds - {*taken}

    def write(self, data, null, end):
        """Emit what writes the result of a row: goes to `null` for None, and to `end` if the loop ends here."""
        others = self._settle()
        code, t = self._code, self._code.result
        if t >= NONE:
            code.e(
                *(() if t == NONE else (("local.get", code.out_tag), "i32.eqz")), ("br" if t == NONE else "br_if", null)
            )
        if self.kind is None or not t - NONE:
            return
        for name in sorted(others):  # the interpreter has an error for it
            with code.block("if", ("local.get", code.out_tag), ("i32.const", TAGS[name]), "i32.eq"):
                self._bail(end)
        _WRITERS[self.kind](self, data, end)

    def _leave(self, reason, end):
        self._code.e(CONTEXT, ("i32.const", reason), ("i32.store", REASON), ("br", end))

    def _bail(self, end):
        self._leave(REASON_BAIL, end)

    def _append(self, data, end):
        code, t = self._code, self._code.result
        i = ("local.get", code.out_i) if t - FLOAT else ("i64.const", 0)
        f = ("local.get", code.out_f) if t & FLOAT else ("f64.const", 0.0)
        value = [CONTEXT, i, f, ("local.get", code.out_tag), *describe(code, t)]
        with code.block("if", *value, ("call", "k_out_value"), "i32.eqz"):
            self._bail(end)

    def _place(self, data, exponent):
        return [data, ("local.get", _ROW), ("i32.const", exponent), "i32.shl", "i32.add"]

    def _write_integer(self, data, end):
        code = self._code
        if self.kind == "UBIGINT":
            with code.block("if", ("local.get", code.out_i), ("i64.const", 0), "i64.lt_s"):
                self._bail(end)
        code.e(*self._place(data, 3), ("local.get", code.out_i), ("i64.store", 0))

    def _write_hugeint(self, data, end):
        code = self._code
        code.e(*self._place(data, 4), ("local.get", code.out_i), ("i64.store", 0))
        sign = [("local.get", code.out_i), ("i64.const", 63), "i64.shr_s"]
        code.e(*self._place(data, 4), *sign, ("i64.store", 8))

    def _write_decimal(self, data, end):
        code, t = self._code, self._code.result
        i = ("local.get", code.out_i)
        if "int" in t:
            decimals.use(code)
            made = [CONTEXT, i, i, ("i64.const", 63), "i64.shr_s", ("i32.const", 0), ("call", "k_decimal_make")]
            is_int = [("i32.const", 1)] if t & types("int", "decimal") == types("int") else _is(code, "int")
            code.uses_arena = True
            with code.block("if", *is_int):
                code.e(*made, ("local.set", code.out_i))
        at = code.tmp("i32", i, ("i64.const", 32), "i64.shr_u", "i32.wrap_i64")
        with code.block("if", at, "i32.eqz"):
            self._bail(end)
        with code.block("if", CONTEXT, at, *self._place(data, 4), ("call", "k_decimal_out"), "i32.eqz"):
            self._bail(end)

    def _write_double(self, data, end):
        code, t = self._code, self._code.result
        if "decimal" in t:
            at = [("local.get", code.out_i), ("i64.const", 32), "i64.shr_u", "i32.wrap_i64"]
            with code.block("if", *(_is(code, "decimal") if len(t - NONE) > 1 else [("i32.const", 1)])):
                f = code.tmp("f64", CONTEXT, *at, ("call", "k_decimal_float"))
                with code.block("if", f, f, "f64.sub", ("f64.const", 0.0), "f64.ne"):  # it doesn't fit
                    self._bail(end)
                code.e(f, ("local.set", code.out_f), ("i32.const", TAGS["float"]), ("local.set", code.out_tag))
            t = (t - DECIMAL) | FLOAT
        converted = [("local.get", code.out_i), "f64.convert_i64_s", ("local.set", code.out_f)]
        if t & {"int", "bool"} and t & FLOAT:
            with code.block("if", ("local.get", code.out_tag), ("i32.const", TAGS["float"]), "i32.ne"):
                code.e(*converted)
        elif not t & FLOAT:
            code.e(*converted)
        code.e(*self._place(data, 3), ("local.get", code.out_f), ("f64.store", 0))

    def _write_timestamp(self, data, end):
        code, t = self._code, self._code.result
        if "date" in t:  # midnight
            midnight = [("local.get", code.out_i), ("i64.const", DAY_US), "i64.mul", ("local.set", code.out_i)]
            with code.block("if", ("local.get", code.out_tag), ("i32.const", TAGS["date"]), "i32.eq"):
                code.e(*midnight)
        code.e(*self._place(data, 3), ("local.get", code.out_i), ("i64.store", 0))

    def _write_date(self, data, end):
        self._code.e(*self._place(data, 2), ("local.get", self._code.out_i), "i32.wrap_i64", ("i32.store", 0))

    def _write_boolean(self, data, end):
        row = ("local.get", _ROW)
        self._code.e(data, row, "i32.add", ("local.get", self._code.out_i), "i32.wrap_i64", ("i32.store8", 0))

    def _write_text(self, data, end):
        code = self._code
        text = code.text(Value(types("str"), ("local.get", code.out_i)))
        with code.block("if", CONTEXT, ("local.get", _ROW), *text, ("call", "k_out"), "i32.eqz"):
            self._leave(REASON_ROOM, end)

    def write_null(self, data, end):
        """Emit what makes a row NULL, with zeros for its value."""
        code, row = self._code, ("local.get", _ROW)
        if self.kind == "NULL":
            with code.block("if", CONTEXT, ("call", "k_out_null"), "i32.eqz"):
                self._bail(end)
            return
        code.e(CONTEXT, ("i32.load", VALID), row, "i32.add", ("i32.const", 0), ("i32.store8", 0))
        code.e(CONTEXT, CONTEXT, ("i32.load", NULL_COUNT), ("i32.const", 1), "i32.add", ("i32.store", NULL_COUNT))
        if self.kind == "VARCHAR":
            offset = [CONTEXT, ("i32.load", OFFSETS), row, ("i32.const", 2), "i32.shl", "i32.add"]
            code.e(*offset, CONTEXT, ("i32.load", DATA_AT), ("i32.store", 4))
        elif self.kind == "BOOLEAN":
            code.e(data, row, "i32.add", ("i32.const", 0), ("i32.store8", 0))
        elif self.kind == "DATE":
            code.e(*self._place(data, 2), ("i32.const", 0), ("i32.store", 0))
        elif self.kind is not None:
            wide = self.kind in ("HUGEINT", "DECIMAL")
            for offset in (0, 8)[: 1 + wide]:
                code.e(*self._place(data, 3 + wide), ("i64.const", 0), ("i64.store", offset))


def _is(code, name):
    """Return the condition that the result is of a type."""
    return [("local.get", code.out_tag), ("i32.const", TAGS[name]), "i32.eq"]


_WRITERS = {
    "NULL": Results._append,
    "BOOLEAN": Results._write_boolean,
    "BIGINT": Results._write_integer,
    "UBIGINT": Results._write_integer,
    "HUGEINT": Results._write_hugeint,
    "DOUBLE": Results._write_double,
    "VARCHAR": Results._write_text,
    "DECIMAL": Results._write_decimal,
    "DATE": Results._write_date,
    "TIMESTAMP": Results._write_timestamp,
}
