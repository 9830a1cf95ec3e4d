"""The texts of errors in the sources: fixed parts, with an ellipsis for what differs."""

import ast
import re

from tests.support.repository import ROOT, bodies, files

GAP = "…"


def python_messages(path):
    """The messages that a module raises or returns errors with: (error class, message)."""
    for body in bodies(ast.parse(path.read_text())):
        yield from _of_statements(body)


def _of_statements(body):
    assigned = {}
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            assigned[statement.targets[0].id] = statement.value
        value = getattr(statement, "exc", None) or getattr(statement, "value", None)
        if not isinstance(statement, (ast.Raise, ast.Return)) or not isinstance(value, ast.Call) or not value.args:
            continue
        error, text = ast.unparse(value.func).rpartition(".")[2], value.args[0]
        if isinstance(text, ast.Name) and text.id in assigned:
            text = assigned[text.id]
        for message in _texts(text, assigned):
            if error[:1].isupper() and len(message.strip(GAP + " :")) > 1:
                yield error, message


def _texts(node, assigned):
    """The forms of a text; an expression inside it is an ellipsis."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield " ".join(node.value.split())
    elif isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
        yield " ".join(re.sub(f"{GAP}+", GAP, "".join(parts)).split())
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, assigned)
        yield from _texts(node.orelse, assigned)
    elif isinstance(node, ast.Name) and node.id in assigned:
        yield from _texts(assigned[node.id], {})


def c_messages(path):
    """The messages of Python exceptions that a C file raises: (exception class, message)."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    string = r'"(?:[^"\\]|\\.)*"'
    call = rf"(?:PyErr_Format|PyErr_SetString)\(\s*PyExc_(\w+),((?:[^;\"]|{string})*);"
    for error, arguments in re.findall(call, text):
        for literal in re.findall(rf"(?:{string}\s*)+", arguments):
            joined = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal)).replace('\\"', '"')
            if len(joined) > 3:
                yield error, re.sub(r"%(?:\.\d+)?(?:l{0,2}|z)?[sdRUSAiuT]", GAP, joined)
    for literal in re.findall(r'\brefuse\("([^"]*)"\)', text):
        yield "RuntimeError", literal


def of_the_host():
    """All messages of the package."""
    for name in files(".py"):
        if name.startswith("duckdb_wasi_udf/"):
            yield from python_messages(ROOT / name)


def of_the_guest():
    """All messages that the guest's own code raises exceptions with."""
    for name in files(".c", ".py"):
        if name.startswith("wasm/") and name.endswith(".c"):
            yield from c_messages(ROOT / name)
        elif name.startswith("wasm/python/"):
            yield from python_messages(ROOT / name)


def matches(form, message):
    """Whether a message has the fixed parts of a catalogued form, in their order."""
    at = 0
    for part in filter(None, (part.strip() for part in form.split(GAP))):
        found = message.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True
