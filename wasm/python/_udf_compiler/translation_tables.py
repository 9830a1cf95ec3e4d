"""str.translate with a table that is the same in every row."""

import ast

from _udf_compiler.errors import ATTRIBUTE_ERROR, NotCompiledError
from _udf_compiler.statics import NO_CONSTANT, constant, constant_text, local_call, static

_STAYS = 0xFFFFFFFF  # see k_translate (wasm/c/compiled/text_change.c)
_ASCII = 128


def translate(code, v, node):
    """Return v.translate(table) for the node of a table."""
    table = table_of(code, node)
    if type(table) is not dict:
        return code.unsupported("translate with a table that is computed", node)
    words = ("i32.const", code.program.constants.half_words(_words(code, table, node)))

    def translated(member):
        if member.only == "str":
            return code.kernel_text("k_translate", words, *code.text(member))
        plain = member.only in ("none", "bool", "int", "float", "date", "datetime", "timedelta")
        return code.error(ATTRIBUTE_ERROR) if plain else code.unsupported(f"translate of a {member.only}", node)

    return code.dispatch(v, translated)


def table_of(code, node):
    """Return the table of a node, a constant dict or str.maketrans of constants; None if it is computed."""
    node = local_call(code, node)
    if not isinstance(node, ast.Call):
        made = constant(code, node)
        return made if type(made) is dict else None
    found = static(code, node.func)
    if found is None or found.name != "str.maketrans" or node.keywords:
        return None
    arguments = [constant_text(code, argument) for argument in node.args]
    if NO_CONSTANT in arguments:
        return None
    try:
        return str.maketrans(*arguments)
    except (TypeError, ValueError):
        return None


def _words(code, table, node):
    """Return a table as the kernel reads it."""
    constants, entries = code.program.constants, {}
    for key, value in table.items():
        if type(key) is str:  # a character is looked up by its number
            continue
        is_text = value is None or type(value) is str or (type(value) is int and 0 <= value <= 0x10FFFF)
        if type(key) not in (int, bool) or not is_text:
            code.unsupported("translate with a table of other things than characters", node)
        text = "" if value is None else value if type(value) is str else chr(value)
        try:
            entries[int(key)] = constants.text(text)
        except NotCompiledError as error:
            code.unsupported(error.construct, node)
    others = sorted((point, *place) for point, place in entries.items() if point >= _ASCII)
    words = [len(others)]
    for point in range(_ASCII):
        words += entries.get(point, (_STAYS, 0))
    return words + [word for entry in others for word in entry]
