"""WebAssembly modules that a guest may hand over in place of a compiled function."""


def unsigned(value):
    """A LEB128 number."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def section(number, body):
    return bytes([number]) + unsigned(len(body)) + body


def module(
    types=b"\x01\x60\x03\x7f\x7f\x7f\x01\x7f",
    imports=b"\x01\x01g\x06memory\x02\x00\x01",
    functions=b"\x01\x00",
    exports=b"\x01\x03run\x00\x00",
    body=b"\x00\x20\x00\x0b",
    more=b"",
):
    """A module of five sections, each of which can be replaced. `body` is that of the only function."""
    code = b"\x01" + unsigned(len(body)) + body
    sections = [section(n, part) for n, part in ((1, types), (2, imports), (3, functions), (7, exports), (10, code))]
    return b"\0asm\1\0\0\0" + b"".join(sections) + more


WILD = {
    "nothing": b"",
    "another magic": b"\0asm\2\0\0\0" + module()[8:],
    "too many bytes": module(body=b"\x00" + b"\x41\x00\x1a" * 6000 + b"\x20\x00\x0b"),
    "cut off": module()[:-3],
    "a custom section": module(more=section(0, b"\x01xabc")),
    "a start section": module(more=section(8, b"\x00")),
    "a table": module()[:8] + section(4, b"\x01\x70\x00\x01") + module()[8:],
    "two memories": module(imports=b"\x02\x01g\x06memory\x02\x00\x01\x01g\x06memory\x02\x00\x01"),
    "a shared memory": module(imports=b"\x01\x01g\x06memory\x02\x03\x01\x02"),
    "another module's import": module(imports=b"\x01\x01h\x06memory\x02\x00\x01"),
    "a table as an import": module(imports=b"\x01\x01g\x06memory\x01\x70\x00\x01"),
    "a global as an import": module(imports=b"\x02\x01g\x06memory\x02\x00\x01\x01g\x0f__stack_pointer\x03\x7f\x01"),
    "an export of the guest": module(imports=b"\x02\x01g\x06memory\x02\x00\x01\x01g\x08udf_call\x00\x00"),
    "a kernel of another type": module(imports=b"\x02\x01g\x06memory\x02\x00\x01\x01g\x05k_sin\x00\x00"),
    "two exports": module(exports=b"\x02\x03run\x00\x00\x03rum\x00\x00"),
    "the memory exported": module(exports=b"\x01\x03run\x02\x00"),
    "an export of another type": module(types=b"\x01\x60\x01\x7f\x01\x7f"),
    "an export that isn't there": module(exports=b"\x01\x03run\x00\x05"),
    "a vector type": module(types=b"\x01\x60\x03\x7f\x7f\x7b\x01\x7f"),
    "a reference type": module(types=b"\x01\x60\x03\x7f\x7f\x70\x01\x7f"),
    "a reference local": module(body=b"\x01\x01\x70\x20\x00\x0b"),
    "too many locals": module(body=b"\x01\xff\xff\x03\x7f\x20\x00\x0b"),
    "locals beyond all numbers": module(body=b"\x01\xff\xff\xff\xff\xff\xff\x7f\x20\x00\x0b"),
    "deep blocks": module(body=b"\x00" + b"\x02\x40" * 100 + b"\x0b" * 100 + b"\x20\x00\x0b"),
    "many blocks": module(body=b"\x00" + b"\x02\x40\x0b" * 400 + b"\x20\x00\x0b"),
    "many loops": module(body=b"\x00" + b"\x03\x40\x0b" * 80 + b"\x20\x00\x0b"),
    "a block with a result": module(body=b"\x00\x02\x7f\x20\x00\x0b\x0b"),
    "an end too many": module(body=b"\x00\x20\x00\x0b\x0b"),
    "no end": module(body=b"\x00\x20\x00"),
}
REFUSED = {
    "unreachable": b"\x00",
    "call_indirect": b"\x11\x00\x00",
    "return_call": b"\x12\x00",
    "br_table": b"\x0e\x00\x00",
    "global.get": b"\x23\x00",
    "table.get": b"\x25\x00",
    "memory.size": b"\x3f\x00",
    "memory.grow": b"\x40\x00",
    "i64.div_u": b"\x80",
    "f32.add": b"\x92",
    "ref.null": b"\xd0\x70",
    "memory.copy": b"\xfc\x0a\x00\x00",
    "i64.mul_wide_s": b"\xfc\x15",
    "v128.load": b"\xfd\x00\x00\x00",
    "atomics": b"\xfe\x00\x02\x00",
    "throw": b"\x08\x00",
    "try_table": b"\x1f\x40\x00\x0b",
}
WILD |= {name: module(body=b"\x00" + code + b"\x20\x00\x0b") for name, code in REFUSED.items()}
