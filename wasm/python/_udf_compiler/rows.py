"""The loop over the rows of a batch: arguments from Arrow columns, and results to where the builder has room."""

from _udf_compiler import decimals, functions, tables
from _udf_compiler.context import (
    ARENA_AT,
    ARENA_START,
    COLUMN_BYTES,
    COLUMN_FIELDS,
    COLUMNS,
    DATA,
    NEXT,
    REASON,
    REASON_BAIL,
)
from _udf_compiler.described import describe
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.encoder import Function
from _udf_compiler.errors import NotCompiledError
from _udf_compiler.results import Results
from _udf_compiler.values import MAX_DAY, MAX_US, MIN_DAY, MIN_US, NONE, TAGS, Value, types
from _udf_compiler.variables import reset_flags

_ROW, _STOP = 1, 2  # parameters
_MICROSECONDS = 2  # nanoarrow's number of the unit
_NESTED = ("LIST", "STRUCT", "MAP")
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


class RowLoop:
    """`run(context, row, stop)`: runs from a row on and returns the first that it could not finish.

    Attributes:
        code: The function under construction, with the function's body inside the loop.
        function: Its instructions, once it is translated.
        results: Writes the results.
    """

    def __init__(self, program, arguments, declared):
        """Prepare to translate.

        Args:
            program: The program.
            arguments: (SQL type, whether NULL arrives as None, detail) of each argument. The detail is the unit of time
                or the scale; of a LIST the type of its items; of a STRUCT and a MAP (name, type) of each field.
            declared: The result type; None to go by what the function returns.
        """
        self.code, self._node = program.new_code(0)
        self.code.is_row = True
        self.function = None
        self._arguments = arguments
        self._types = [self._types_of((number,), *argument) for number, argument in enumerate(arguments)]
        self.results = Results(self.code, declared)

    def _types_of(self, place, name, _, detail):
        """Return the types of an argument's values, as a set."""
        shapes = self.code.program.shapes
        if name == "LIST":
            shape = shapes.at(("argument", *place), "list")
            shapes.hold(shape.keys, [self._types_of((*place, 0), *detail)])
        elif name == "STRUCT":
            shape = shapes.at(("argument", *place), "struct", tuple([field for field, _ in detail]))
            fields = [self._types_of((*place, number), *inner) for number, (_, inner) in enumerate(detail)]
            shapes.hold(shape.keys, [NONE | t for t in fields])
        elif name == "MAP":
            shape = shapes.at(("argument", *place), "dict")
            for number, part in enumerate((shape.keys, shape.values)):
                shapes.hold(part, [self._types_of((*place, number), *detail[number][1])])
            shape.defaults.add(tables.PLAIN)
        else:
            if name not in _ARGUMENTS or (name == "TIMESTAMP" and detail != _MICROSECONDS):
                inside = " inside another" if len(place) > 1 else ""
                raise NotCompiledError(f"an argument of the type {name if name != 'NULL' else 'NULL alone'}{inside}")
            if name == "DECIMAL":
                decimals.use(self.code)
            return types(_ARGUMENTS[name])
        return types(shape.name)

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
            self._checked(number, name, detail, *pair)
            for number, ((name, _, detail), pair) in enumerate(zip(self._arguments, loaded, strict=True))
        ]
        functions.bind_parameters(code, self._node, values)
        functions.translate_body(code, self._node)
        code.finish()
        with code.block("if", ("local.get", code.status)):
            code.e(CONTEXT, ("i32.const", REASON_BAIL), ("i32.store", REASON), ("br", end))
        self.results.write(data, null, end)
        code.e(("br", going), "end")
        self.results.write_null(data, end)
        code.e("end", row, ("i32.const", 1), "i32.add", ("local.set", _ROW), ("br", top), "end", "end", row)
        empty = [CONTEXT, arena, ("i32.store", ARENA_AT)] if code.uses_arena else []
        begun = [CONTEXT, row, ("i64.extend_i32_u",), ("i64.const", 1), ("i64.add",), ("i64.store", NEXT)]
        code.ops[start_of_row:start_of_row] = [*begun, *empty, *reset_flags(code)]
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
        for (name, sees_null, _), t, (_, data, offsets, _), (at, valid) in zip(
            self._arguments, self._types, columns, found, strict=True
        ):
            v = self._loaded(name, self.code.program.shapes.joined(t), data, offsets, at)
            if sees_null:
                tag = code.tmp("i32", ("i32.const", TAGS[next(iter(v.t))]), ("i32.const", 0), valid, "select")
                v = Value(v.t | NONE, v.i or ("i64.const", 0), v.f, tag, v.lo, v.hi)
            loaded.append((v, valid))
        return loaded

    def _loaded(self, name, t, data, offsets, at):
        code = self.code

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
        if name in _NESTED:  # it is read when it may bail
            return Value(t, ("i64.const", 0))
        if name == "DECIMAL":  # the place of it, until it may bail
            return Value(t, code.tmp("i64", *place(4), "i64.extend_i32_u"))
        load = [*place(2), ("i64.load32_s", 0)] if name == "DATE" else [*place(3), ("i64.load", 0)]
        return Value(t, code.tmp("i64", *load))

    def _checked(self, number, name, scale, v, valid):
        """Return an argument that Python's type can hold; the interpreter raises for others."""
        if name in _NESTED:
            return self._nested(number, v, valid)
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

    def _nested(self, number, v, valid):
        """Return an argument that nests. The row bails where it doesn't fit: NULL inside a list, for example."""
        code, made = self.code, self.code.local("i64")
        with code.block("if", valid):
            operands = ("i32.const", number), ("local.get", _ROW), *describe(code, v.t)
            code.e(code.kernel_text("k_argument", *operands).i, ("local.set", made))
        return Value(v.t, ("local.get", made), None, v.tag)
