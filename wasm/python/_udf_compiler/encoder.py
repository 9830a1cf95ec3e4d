"""Instructions to a WebAssembly module.

An instruction is a tuple of its name and at most one immediate; blocks have labels, which are numbers, and no results.
Format: WebAssembly Core Specification 2.0, chapter 5 (https://webassembly.github.io/spec/core/binary/index.html). What
may be said here is what the host lets through (duckdb_wasi_udf/_engine/module_check.py).
"""

import struct

_TYPES = {"i32": 0x7F, "i64": 0x7E, "f64": 0x7C}
_NO_RESULT = 0x40

_PLAIN = {
    "else": 0x05,
    "return": 0x0F,
    "select": 0x1B,
    "i32.eqz": 0x45,
    "i32.eq": 0x46,
    "i32.ne": 0x47,
    "i32.lt_s": 0x48,
    "i32.lt_u": 0x49,
    "i32.gt_s": 0x4A,
    "i32.gt_u": 0x4B,
    "i32.le_s": 0x4C,
    "i32.le_u": 0x4D,
    "i32.ge_s": 0x4E,
    "i32.ge_u": 0x4F,
    "i64.eqz": 0x50,
    "i64.eq": 0x51,
    "i64.ne": 0x52,
    "i64.lt_s": 0x53,
    "i64.lt_u": 0x54,
    "i64.gt_s": 0x55,
    "i64.gt_u": 0x56,
    "i64.le_s": 0x57,
    "i64.le_u": 0x58,
    "i64.ge_s": 0x59,
    "i64.ge_u": 0x5A,
    "f64.eq": 0x61,
    "f64.ne": 0x62,
    "f64.lt": 0x63,
    "f64.gt": 0x64,
    "f64.le": 0x65,
    "f64.ge": 0x66,
    "i32.add": 0x6A,
    "i32.sub": 0x6B,
    "i32.mul": 0x6C,
    "i32.and": 0x71,
    "i32.or": 0x72,
    "i32.shl": 0x74,
    "i32.shr_u": 0x76,
    "i64.add": 0x7C,
    "i64.sub": 0x7D,
    "i64.mul": 0x7E,
    "i64.div_s": 0x7F,
    "i64.rem_s": 0x81,
    "i64.and": 0x83,
    "i64.or": 0x84,
    "i64.xor": 0x85,
    "i64.shl": 0x86,
    "i64.shr_s": 0x87,
    "i64.shr_u": 0x88,
    "f64.abs": 0x99,
    "f64.neg": 0x9A,
    "f64.ceil": 0x9B,
    "f64.floor": 0x9C,
    "f64.trunc": 0x9D,
    "f64.nearest": 0x9E,
    "f64.sqrt": 0x9F,
    "f64.add": 0xA0,
    "f64.sub": 0xA1,
    "f64.mul": 0xA2,
    "f64.div": 0xA3,
    "f64.copysign": 0xA6,
    "i32.wrap_i64": 0xA7,
    "i64.extend_i32_s": 0xAC,
    "i64.extend_i32_u": 0xAD,
    "i64.trunc_f64_s": 0xB0,
    "f64.convert_i64_s": 0xB9,
    "f64.promote_f32": 0xBB,
}
# Loads and stores: the code, and the alignment's exponent.
_MEMORY = {
    "i32.load": (0x28, 2),
    "i64.load": (0x29, 3),
    "f32.load": (0x2A, 2),
    "f64.load": (0x2B, 3),
    "i32.load8_u": (0x2D, 0),
    "i64.load8_s": (0x30, 0),
    "i64.load8_u": (0x31, 0),
    "i64.load16_s": (0x32, 1),
    "i64.load16_u": (0x33, 1),
    "i64.load32_s": (0x34, 2),
    "i64.load32_u": (0x35, 2),
    "i32.store": (0x36, 2),
    "i64.store": (0x37, 3),
    "f64.store": (0x39, 3),
    "i32.store8": (0x3A, 0),
}
_BLOCKS = {"block": 0x02, "loop": 0x03, "if": 0x04}
_BRANCHES = {"br": 0x0C, "br_if": 0x0D}
_END, _CALL, _I32_CONST, _I64_CONST, _F64_CONST = 0x0B, 0x10, 0x41, 0x42, 0x44
_LOCALS = {"local.get": 0x20, "local.set": 0x21}

_TYPE_SECTION, _IMPORT_SECTION, _FUNCTION_SECTION, _EXPORT_SECTION, _CODE_SECTION = 1, 2, 3, 7, 10
# Of an import or export.
_FUNCTION, _MEMORY_IMPORT = 0, 2
_FROM = b"\x01g"
EXPORT = "run"


# No instruction: what follows it is of a line of the user's source.
LINE = "line"

# What the host lets through: see duckdb_wasi_udf/_engine/module_check.py.
MOST_BYTES, MOST_BLOCKS, MOST_LOOPS, MOST_DEPTH, MOST_LOCALS, MOST_FUNCTIONS = 16_384, 300, 64, 48, 4_000, 64


class Function:
    """A function of the module.

    Attributes:
        parameters: Their types.
        results: Their types.
        locals: The types of its variables.
        ops: Its instructions.
    """

    def __init__(self, parameters, results, variables, ops):
        self.parameters, self.results, self.locals, self.ops = tuple(parameters), tuple(results), variables, ops


def unsigned(value):
    """Encode an unsigned integer as LEB128."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value):
    """Encode a signed integer as LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def _depth(stack, label):
    return len(stack) - 1 - stack.index(label)


def _instruction(op, stack, index_of):
    """Encode one instruction. `stack` has the labels of the blocks around it, the innermost last."""
    name = op[0]
    if name in _PLAIN:
        return bytes((_PLAIN[name],))
    if name in _LOCALS:
        return bytes((_LOCALS[name],)) + unsigned(op[1])
    if name in _MEMORY:
        return bytes(_MEMORY[name]) + unsigned(op[1])
    if name in _BLOCKS:
        stack.append(op[1])
        return bytes((_BLOCKS[name], _NO_RESULT))
    if name in _BRANCHES:
        return bytes((_BRANCHES[name],)) + unsigned(_depth(stack, op[1]))
    match name:
        case "end":
            stack.pop()
            return bytes((_END,))
        case "i32.const":
            return bytes((_I32_CONST,)) + signed(op[1])
        case "i64.const":
            return bytes((_I64_CONST,)) + signed(op[1])
        case "f64.const":
            return bytes((_F64_CONST,)) + struct.pack("<d", op[1])
        case "call":
            return bytes((_CALL,)) + unsigned(index_of[op[1]])
    raise ValueError(name)


def _body(function, index_of):
    """Return a function's body, and [offset in it, line] of what its lines begin with."""
    runs = []  # of variables of one type
    for kind in function.locals:
        if runs and runs[-1][1] == kind:
            runs[-1][0] += 1
        else:
            runs.append([1, kind])
    head = unsigned(len(runs)) + b"".join(unsigned(n) + bytes((_TYPES[kind],)) for n, kind in runs)
    code, stack, lines = bytearray(head), [], []
    for op in function.ops:
        if op[0] == LINE:
            lines.append([len(code), op[1]])
        else:
            code += _instruction(op, stack, index_of)
    code.append(_END)
    size = unsigned(len(code))
    return size + code, [[len(size) + offset, line] for offset, line in lines]


def _deepest(function):
    """Return the number of blocks around the innermost instruction, the function's own included."""
    depth = deepest = 1
    for op in function.ops:
        depth += (op[0] in _BLOCKS) - (op[0] == "end")
        deepest = max(deepest, depth)
    return deepest


def fits(functions, module):
    """Return whether the host lets a module of these functions through."""
    names = [op[0] for function in functions for op in function.ops]
    blocks = sum(name in _BLOCKS for name in names)
    sizes = (len(module), blocks, names.count("loop"), max(map(_deepest, functions)), len(functions))
    bounds = (MOST_BYTES, MOST_BLOCKS, MOST_LOOPS, MOST_DEPTH, MOST_FUNCTIONS)
    few_locals = all(len(function.locals) <= MOST_LOCALS for function in functions)
    return few_locals and all(size <= bound for size, bound in zip(sizes, bounds, strict=True))


def _section(number, count, body):
    body = unsigned(count) + body
    return bytes((number,)) + unsigned(len(body)) + body


def _signature(parameters, results):
    return b"\x60" + b"".join(
        unsigned(len(part)) + bytes(_TYPES[kind] for kind in part) for part in (parameters, results)
    )


def _name(text):
    return unsigned(len(text)) + text.encode()


def assemble(functions, kernels, exported):
    """Return the bytes of a module, and [offset, line of the source] in order of what comes of another line.

    Args:
        functions: Its functions by name.
        kernels: The types of all functions that it may import, by name. It imports those that it calls.
        exported: The function that it exports as `EXPORT`.
    """
    called = dict.fromkeys(op[1] for f in functions.values() for op in f.ops if op[0] == "call" and op[1] in kernels)
    types = {}
    imports = [_FROM + _name("memory") + bytes((_MEMORY_IMPORT, 0, 1))]
    index_of = {}
    for name in called:
        index_of[name] = len(index_of)
        number = types.setdefault(kernels[name], len(types))
        imports.append(_FROM + _name(name) + bytes((_FUNCTION,)) + unsigned(number))
    declared = []
    for name, function in functions.items():
        index_of[name] = len(index_of)
        declared.append(unsigned(types.setdefault((function.parameters, function.results), len(types))))
    export = _name(EXPORT) + bytes((_FUNCTION,)) + unsigned(index_of[exported])
    before = b"\0asm\1\0\0\0" + b"".join(
        (
            _section(_TYPE_SECTION, len(types), b"".join(_signature(*signature) for signature in types)),
            _section(_IMPORT_SECTION, len(imports), b"".join(imports)),
            _section(_FUNCTION_SECTION, len(declared), b"".join(declared)),
            _section(_EXPORT_SECTION, 1, export),
        )
    )
    bodies, lines = b"", []
    for function in functions.values():
        body, its_lines = _body(function, index_of)
        lines += [[len(bodies) + offset, line] for offset, line in its_lines]
        bodies += body
    module = before + _section(_CODE_SECTION, len(functions), bodies)
    start = len(module) - len(bodies)
    return module, [[start + offset, line] for offset, line in lines]
