"""The loop over the rows of a batch: arguments from Arrow columns, and results to where the builder has room."""

from _udf_compiler import decimals, functions
from _udf_compiler.context import (
    ARENA_AT,
    ARENA_START,
    COLUMN_BYTES,
    COLUMN_FIELDS,
    COLUMNS,
    DATA,
    DATA_AT,
    NULL_COUNT,
    OFFSETS,
    REASON,
    REASON_BAIL,
    REASON_ROOM,
    VALID,
)
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.encoder import Function
from _udf_compiler.errors import NotCompiledError
from _udf_compiler.shapes import kind_of
from _udf_compiler.values import DAY_US, DECIMAL, FLOAT, MAX_DAY, MAX_US, MIN_DAY, MIN_US, NONE, TAGS, Value, types
from _udf_compiler.variables import reset_flags

_ROW, _STOP = 1, 2  # parameters
_MICROSECONDS = 2  # nanoarrow's number of the unit
_CALENDAR = {"date": (MIN_DAY, MAX_DAY), "datetime": (MIN_US, MAX_US)}

# Integers: the instruction that loads one, and the exponent of its size.
_INTEGERS = {
    "TINYINT": ("i64.load8_s", 0),
    "SMALLINT": ("i64.load16_s", 1),
    "INTEGER": ("i64.load32_s", 2),
    "BIGINT": ("i64.load", 3),
    "UTINYINT": ("i64.load8_u", 0),
    "USMALLINT": ("i64.load16_u", 1),
    "UINTEGER": ("i64.load32_u", 2),
    "UBIGINT": ("i64.load", 3),
}
_ARGUMENTS = dict.fromkeys(_INTEGERS, "int") | {
    "BOOLEAN": "bool",
    "FLOAT": "float",
    "DOUBLE": "float",
    "VARCHAR": "str",
    "DATE": "date",
    "TIMESTAMP": "datetime",
    "DECIMAL": "decimal",
}
# Result types: which Python types they take. What else is returned is for the interpreter.
_RESULTS = {
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


class RowLoop:
    """`run(context, row, stop)`: runs from a row on and returns the first that it could not finish.

    Attributes:
        code: The function under construction, with the function's body inside the loop.
        function: Its instructions, once it is translated.
        result: The SQL type of the results.
    """

    def __init__(self, program, arguments, declared):
        """Prepare to translate.

        Args:
            program: The program.
            arguments: (SQL type, whether NULL arrives as None, unit of time or scale) of each argument.
            declared: The result type; None to go by what the function returns.
        """
        self.code, self._node = program.new_code(0)
        self.function = None
        self.result = declared
        self._declared, self._arguments = declared, arguments
        for name, _, unit in arguments:
            if name not in _ARGUMENTS or (name == "TIMESTAMP" and unit != _MICROSECONDS):
                raise NotCompiledError(f"an argument of the type {name if name != 'NULL' else 'NULL alone'}")
        if declared is not None and declared not in _RESULTS:
            raise NotCompiledError(f"a result of the type {declared}")

    def translate(self):
        """Translate it once more. Returns whether more types were found."""
        code = self.code
        code.start(3)
        code.depth = [("i32.const", 1)]
        functions.load_constants(code)
        columns = [self._column(number) for number in range(len(self._arguments))]
        data = code.tmp("i32", CONTEXT, ("i32.load", DATA))
        arena = code.tmp("i32", CONTEXT, ("i32.load", ARENA_START))
        row = ("local.get", _ROW)
        end, top, null, going = (code.label() for _ in range(4))
        code.e(("block", end), ("loop", top), row, ("local.get", _STOP), "i32.ge_u", ("br_if", end))
        code.e(("block", going), ("block", null), ("i32.const", 0), ("local.set", code.status))
        start_of_row = len(code.ops)
        loaded = self._load(columns, null)
        code.e(("block", code.exit_label), ("block", code.bail_label))
        values = [
            self._checked(name, detail, *pair) for (name, _, detail), pair in zip(self._arguments, loaded, strict=True)
        ]
        functions.bind_parameters(code, self._node, values)
        functions.translate_body(code, self._node)
        code.finish()
        with code.block("if", ("local.get", code.status)):
            self._leave(REASON_BAIL, end)
        self._write_result(data, null, end)
        code.e(("br", going), "end")
        self._write_null(data)
        code.e("end", row, ("i32.const", 1), "i32.add", ("local.set", _ROW), ("br", top), "end", "end", row)
        empty = [CONTEXT, arena, ("i32.store", ARENA_AT)] if code.uses_arena else []
        code.ops[start_of_row:start_of_row] = [*empty, *reset_flags(code)]
        self.function = Function(["i32"] * 3, ["i32"], code.locals, code.ops)
        return code.changed

    # ---- arguments

    def _column(self, number):
        """Return validity, data, offsets and first row of a column, as operands."""
        at = COLUMNS + COLUMN_BYTES * number
        return [self.code.tmp("i32", CONTEXT, ("i32.load", at + 4 * field)) for field in range(COLUMN_FIELDS)]

    def _load(self, columns, null):
        """Return the (value, whether it is valid) of each argument; go to `null` where one is NULL and not wanted.

        All are looked at before any is loaded.
        """
        code, found = self.code, []
        for (_, sees_null, _), (validity, _, _, first) in zip(self._arguments, columns, strict=True):
            at = code.tmp("i32", ("local.get", _ROW), first, "i32.add")
            valid = code.tmp("i32", ("i32.const", 1))
            with code.block("if", validity):
                bit = [("i32.load8_u", 0), at, ("i32.const", 7), "i32.and", "i32.shr_u", ("i32.const", 1), "i32.and"]
                code.e(validity, at, ("i32.const", 3), "i32.shr_u", "i32.add", *bit, ("local.set", valid[1]))
                if not sees_null:
                    code.e(valid, "i32.eqz", ("br_if", null))
            found.append((at, valid))
        loaded = []
        for (name, sees_null, _), (_, data, offsets, _), (at, valid) in zip(
            self._arguments, columns, found, strict=True
        ):
            v = self._loaded(name, data, offsets, at)
            if sees_null:
                t = next(iter(v.t))
                tag = code.tmp("i32", ("i32.const", TAGS[t]), ("i32.const", 0), valid, "select")
                v = Value(v.t | NONE, v.i or ("i64.const", 0), v.f, tag, v.lo, v.hi)
            loaded.append((v, valid))
        return loaded

    def _loaded(self, name, data, offsets, at):
        code, kind = self.code, _ARGUMENTS[name]

        def place(exponent):
            return [data, at, ("i32.const", exponent), "i32.shl", "i32.add"]

        if name in _INTEGERS:
            load, exponent = _INTEGERS[name]
            bits = 8 << exponent
            lo, hi = (0, 2**bits - 1) if name[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            return code.integer(*place(exponent), (load, 0), lo=lo, hi=min(hi, 2**63 - 1))
        if name == "DOUBLE":
            return code.real(*place(3), ("f64.load", 0))
        if name == "FLOAT":
            return code.real(*place(2), ("f32.load", 0), "f64.promote_f32")
        if name == "BOOLEAN":
            byte = [data, at, ("i32.const", 3), "i32.shr_u", "i32.add", ("i64.load8_u", 0)]
            bit = [at, ("i32.const", 7), "i32.and", "i64.extend_i32_u", "i64.shr_u", ("i64.const", 1), "i64.and"]
            return Value(types("bool"), code.tmp("i64", *byte, *bit), lo=0, hi=1)
        if name == "VARCHAR":
            offset = code.tmp("i32", offsets, at, ("i32.const", 2), "i32.shl", "i32.add")
            start = code.tmp("i32", offset, ("i32.load", 0))
            high = [data, start, "i32.add", "i64.extend_i32_u", ("i64.const", 32), "i64.shl"]
            length = [offset, ("i32.load", 4), start, "i32.sub", "i64.extend_i32_u", "i64.or"]
            return Value(types("str"), code.tmp("i64", *high, *length))
        if name == "DECIMAL":  # the place of it, until it may bail
            return Value(types(kind), code.tmp("i64", *place(4), "i64.extend_i32_u"))
        load = [*place(2), ("i64.load32_s", 0)] if name == "DATE" else [*place(3), ("i64.load", 0)]
        return Value(types(kind), code.tmp("i64", *load))

    def _checked(self, name, scale, v, valid):
        """Return an argument that Python's type can hold; the interpreter raises for others."""
        low, high = _CALENDAR.get(_ARGUMENTS[name], (None, None))
        if name == "UBIGINT":
            low, high = 0, 2**63 - 1
        if low is not None:
            outside = [v.i, ("i64.const", low), "i64.sub", ("i64.const", high - low), "i64.gt_u"]
            self.code.bail_if(valid, *outside, "i32.and")
        if name == "DECIMAL":
            at = self.code.tmp("i32", v.i, "i32.wrap_i64")
            low, high = (self.code.tmp("i64", at, ("i64.load", offset)) for offset in (0, 8))
            made = decimals.make(self.code, low, high, -scale)
            return Value(v.t, made.i, None, v.tag)
        return v

    # ---- results

    def _leave(self, reason, end):
        self.code.e(CONTEXT, ("i32.const", reason), ("i32.store", REASON), ("br", end))

    def _settle_result(self):
        """Decide the result type where none is declared."""
        returned = self.code.result - NONE
        if self._declared is not None or not returned:
            return
        if len(returned) > 1 or not returned <= set(_INFERRED):
            names = " and ".join(sorted((kind_of(name) or name).replace("record", "tuple") for name in returned))
            raise NotCompiledError(f"results of the types {names} without a declared result type")
        self.result = _INFERRED[next(iter(returned))]

    def _write_result(self, data, null, end):
        made = [kind_of(name) for name in self.code.result if kind_of(name) is not None]
        if made and self.code.result <= NONE | {name for name in self.code.result if kind_of(name) is not None}:
            raise NotCompiledError(f"a {made[0].replace('record', 'tuple')} as a result")
        self._settle_result()
        code, t = self.code, self.code.result
        if t >= NONE:
            code.e(
                *(() if t == NONE else (("local.get", code.out_tag), "i32.eqz")), ("br" if t == NONE else "br_if", null)
            )
        if self.result is None:
            return
        for name in sorted(t - _RESULTS[self.result] - NONE):  # the interpreter has an error for it
            with code.block("if", ("local.get", code.out_tag), ("i32.const", TAGS[name]), "i32.eq"):
                self._leave(REASON_BAIL, end)
        _WRITERS[self.result](self, data, end)

    def _place(self, data, exponent):
        return [data, ("local.get", _ROW), ("i32.const", exponent), "i32.shl", "i32.add"]

    def _write_integer(self, data, end):
        code = self.code
        if self.result == "UBIGINT":
            with code.block("if", ("local.get", code.out_i), ("i64.const", 0), "i64.lt_s"):
                self._leave(REASON_BAIL, end)
        code.e(*self._place(data, 3), ("local.get", code.out_i), ("i64.store", 0))

    def _write_hugeint(self, data, end):
        code = self.code
        code.e(*self._place(data, 4), ("local.get", code.out_i), ("i64.store", 0))
        sign = [("local.get", code.out_i), ("i64.const", 63), "i64.shr_s"]
        code.e(*self._place(data, 4), *sign, ("i64.store", 8))

    def _write_decimal(self, data, end):
        code, t = self.code, self.code.result
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
            self._leave(REASON_BAIL, end)
        with code.block("if", CONTEXT, at, *self._place(data, 4), ("call", "k_decimal_out"), "i32.eqz"):
            self._leave(REASON_BAIL, end)

    def _write_double(self, data, end):
        code, t = self.code, self.code.result
        if "decimal" in t:
            at = [("local.get", code.out_i), ("i64.const", 32), "i64.shr_u", "i32.wrap_i64"]
            with code.block("if", *(_is(code, "decimal") if len(t - NONE) > 1 else [("i32.const", 1)])):
                f = code.tmp("f64", CONTEXT, *at, ("call", "k_decimal_float"))
                with code.block("if", f, f, "f64.sub", ("f64.const", 0.0), "f64.ne"):  # it doesn't fit
                    self._leave(REASON_BAIL, end)
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
        code, t = self.code, self.code.result
        if "date" in t:  # midnight
            midnight = [("local.get", code.out_i), ("i64.const", DAY_US), "i64.mul", ("local.set", code.out_i)]
            with code.block("if", ("local.get", code.out_tag), ("i32.const", TAGS["date"]), "i32.eq"):
                code.e(*midnight)
        code.e(*self._place(data, 3), ("local.get", code.out_i), ("i64.store", 0))

    def _write_date(self, data, end):
        self.code.e(*self._place(data, 2), ("local.get", self.code.out_i), "i32.wrap_i64", ("i32.store", 0))

    def _write_boolean(self, data, end):
        row = ("local.get", _ROW)
        self.code.e(data, row, "i32.add", ("local.get", self.code.out_i), "i32.wrap_i64", ("i32.store8", 0))

    def _write_text(self, data, end):
        code = self.code
        text = code.text(Value(types("str"), ("local.get", code.out_i)))
        with code.block("if", CONTEXT, ("local.get", _ROW), *text, ("call", "k_out"), "i32.eqz"):
            self._leave(REASON_ROOM, end)

    def _write_null(self, data):
        """Emit what makes a row NULL, with zeros for its value."""
        code, row = self.code, ("local.get", _ROW)
        code.e(CONTEXT, ("i32.load", VALID), row, "i32.add", ("i32.const", 0), ("i32.store8", 0))
        code.e(CONTEXT, CONTEXT, ("i32.load", NULL_COUNT), ("i32.const", 1), "i32.add", ("i32.store", NULL_COUNT))
        if self.result == "VARCHAR":
            offset = [CONTEXT, ("i32.load", OFFSETS), row, ("i32.const", 2), "i32.shl", "i32.add"]
            code.e(*offset, CONTEXT, ("i32.load", DATA_AT), ("i32.store", 4))
        elif self.result == "BOOLEAN":
            code.e(data, row, "i32.add", ("i32.const", 0), ("i32.store8", 0))
        elif self.result == "DATE":
            code.e(*self._place(data, 2), ("i32.const", 0), ("i32.store", 0))
        elif self.result is not None:
            wide = self.result in ("HUGEINT", "DECIMAL")
            for offset in (0, 8)[: 1 + wide]:
                code.e(*self._place(data, 3 + wide), ("i64.const", 0), ("i64.store", offset))


def _is(code, name):
    """Return the condition that the result is of a type."""
    return [("local.get", code.out_tag), ("i32.const", TAGS[name]), "i32.eq"]


_WRITERS = {
    "BOOLEAN": RowLoop._write_boolean,
    "BIGINT": RowLoop._write_integer,
    "UBIGINT": RowLoop._write_integer,
    "HUGEINT": RowLoop._write_hugeint,
    "DOUBLE": RowLoop._write_double,
    "VARCHAR": RowLoop._write_text,
    "DECIMAL": RowLoop._write_decimal,
    "DATE": RowLoop._write_date,
    "TIMESTAMP": RowLoop._write_timestamp,
}
