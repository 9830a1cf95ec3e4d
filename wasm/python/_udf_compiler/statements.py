"""Statements other than loops."""

import ast

from _udf_compiler import narrowing, shapes, variables
from _udf_compiler.code import STATEMENTS, translates
from _udf_compiler.errors import CATCHABLE, RAISED, kinds_caught
from _udf_compiler.nodes import place_of
from _udf_compiler.shapes import kind_of
from _udf_compiler.statics import known_name
from _udf_compiler.targets import assigned_in
from _udf_compiler.values import NEVER, TAGS, tuple_of

_KIND_OF = {raised.__name__: kind for kind, raised in RAISED.items()}
_CLASS_OF = {raised.__name__: raised for raised in CATCHABLE}
_IMPORTABLE = ("math", "datetime", "decimal", "re")


def block(code, statements):
    """Translate statements. Returns whether control goes on behind them."""
    for statement in statements:
        translate = STATEMENTS.get(type(statement))
        code.at_line(statement.lineno)
        code.place = place_of(statement) or code.place
        if translate is None:
            code.unsupported(_NAMES.get(type(statement).__name__, type(statement).__name__), statement)
            return False
        if not translate(code, statement):
            return False
    return True


_NAMES = {
    "AsyncFor": "async for",
    "AsyncWith": "async with",
    "TryStar": "except*",
    "With": "with",
}


def attempt(code, statements):
    """Translate statements that may not be reached: what can't be is left to the interpreter, row by row."""
    going = False
    with code.optional() as failed:
        going = block(code, statements)
    return going and not failed


@translates(STATEMENTS, ast.Return)
def _return(code, node):
    if isinstance(node.value, ast.IfExp) and not code.finals:
        return _if(code, _as_statement(code, node.value))
    v = code.const(None) if node.value is None else _result(code, node.value)
    if v.t and leave(code, 0):
        give(code, v)
    return False


def _as_statement(code, node):
    """Return `return x if c else y` as an if of two returns: what they return may be of different kinds."""
    if id(node) not in code.program.synthetic:
        returns = [ast.copy_location(ast.Return(part), part) for part in (node.body, node.orelse)]
        code.program.synthetic[id(node)] = ast.copy_location(ast.If(node.test, [returns[0]], [returns[1]]), node)
    return code.program.synthetic[id(node)]


def give_node(code, node):
    """Return the value of a lambda's expression."""
    _return(code, ast.copy_location(ast.Return(node), node))


def _result(code, node):
    """Return the value of what is returned. A dict display of the row's function is a struct, if all are the same."""
    names = tuple([key.value for key in node.keys if isinstance(key, ast.Constant)]) if type(node) is ast.Dict else ()
    plain = names and len({*names}) == len(node.keys) and all(type(name) is str for name in names)
    others = [code.program.shapes.of(name).names for name in code.result if kind_of(name) == "struct"]
    if not plain or not code.is_row or any(other != names for other in others):
        return code.expr(node)
    items = [code.expr(value) for value in node.values]
    if not all(item.t for item in items):
        return NEVER
    shape = code.program.shapes.at((id(code), *place_of(node)), "struct", names)
    code.program.shapes.take(code, shape.keys, tuple_of(items))
    return shapes.record(code, shape, tuple_of(items))


def give(code, v):
    """Return a value from the function."""
    if not v.t:
        return
    if v.items is not None:
        v = _record(code, v)
    if any(name not in TAGS for name in v.t):
        code.unsupported("a result of this type")
        return
    if not v.t <= code.result:
        code.result = code.program.shapes.joined(code.result | v.t)
        code.changed = True
    if v.i is not None:
        code.e(v.i, ("local.set", code.out_i))
    if v.f is not None:
        code.e(v.f, ("local.set", code.out_f))
    tag = v.tag if v.tag is not None else ("i32.const", TAGS[v.only])
    code.e(tag, ("local.set", code.out_tag), ("br", code.exit_label))


def _record(code, v):
    """Return a tuple as a value in the arena."""
    shape = code.program.shapes.at((id(code), "result"), "record")
    code.program.shapes.take(code, shape.keys, v)
    return shapes.record(code, shape, v)


@translates(STATEMENTS, ast.Expr)
def _expr(code, node):
    return isinstance(node.value, ast.Constant) or bool(code.expr(node.value).t)


@translates(STATEMENTS, ast.Pass)
def _pass(code, node):
    return True


@translates(STATEMENTS, ast.If)
def _if(code, node):
    v = code.expr(node.test)
    if not v.t:
        return False
    c = code.truth(v)
    if isinstance(c, bool):
        return narrowing.narrowed(
            code, node.test, outcome=c, action=lambda: block(code, node.body if c else node.orelse)
        )
    before, joined = code.flow, None
    with code.block("if", c):
        for outcome, statements in ((True, node.body), (False, node.orelse)):
            code.flow = before.copy()
            if narrowing.narrowed(code, node.test, outcome=outcome, action=lambda s=statements: attempt(code, s)):
                joined = code.flow.joined(joined)
            if outcome:
                code.e("else")
    code.flow = before if joined is None else joined
    return joined is not None


@translates(STATEMENTS, ast.Match)
def _match(code, node):
    """Translate patterns of values as the ifs that they are."""
    v = code.expr(node.subject)
    if not v.t:
        return False
    hidden = f".subject{id(node)}"
    code.names.add(hidden)
    variables.assign(code, hidden, v)
    statements = []
    for case in reversed(node.cases):
        test = _pattern(case.pattern, hidden)
        if test is None:
            code.unsupported("a pattern other than of values", case.pattern)
            return False
        if case.guard is not None:
            test = ast.BoolOp(ast.And(), [test, case.guard])
        statements = [
            ast.copy_location(ast.If(ast.copy_location(test, case.pattern), case.body, statements), case.pattern)
        ]
    return block(code, statements)


def _pattern(pattern, name):
    """Return a pattern as an expression; None if it has none."""
    subject = ast.Name(name, ast.Load())
    match pattern:
        case ast.MatchValue(value=value):
            return ast.Compare(subject, [ast.Eq()], [value])
        case ast.MatchSingleton(value=value):
            return ast.Compare(subject, [ast.Is()], [ast.Constant(value)])
        case ast.MatchOr(patterns=patterns):
            parts = [_pattern(part, name) for part in patterns]
            return None if None in parts else ast.BoolOp(ast.Or(), parts)
        case ast.MatchAs(pattern=None, name=None):
            return ast.Constant(value=True)
        case ast.MatchAs(pattern=None, name=bound):  # bound before the guard is tested
            named = ast.NamedExpr(ast.Name(bound, ast.Store()), subject)
            always = ast.Compare(named, [ast.IsNot()], [ast.Constant(value=None)])
            return ast.BoolOp(ast.Or(), [always, ast.Constant(value=True)])
    return None


@translates(STATEMENTS, ast.Raise)
def _raise(code, node):
    raised, arguments = node.exc, []
    if isinstance(raised, ast.Call):
        raised, arguments = raised.func, raised.args
    kind = None if raised is None else _KIND_OF.get(known_name(code, raised))
    if kind is None or node.cause is not None or not code.handlers:
        code.bail()  # the interpreter raises it
        return False
    if all(code.expr(argument).t for argument in arguments):
        code.raise_(kind)
    return False


@translates(STATEMENTS, ast.Assert)
def _assert(code, node):
    v = code.expr(node.test)
    if not v.t:
        return False
    code.bail_if(code.condition(v), "i32.eqz")  # it raises AssertionError
    return True


@translates(STATEMENTS, ast.Import)
def _import(code, node):
    for alias in node.names:
        _bind_import(code, node, alias.asname or alias.name, alias.name)
    return True


@translates(STATEMENTS, ast.ImportFrom)
def _import_from(code, node):
    for alias in node.names:
        _bind_import(code, node, alias.asname or alias.name, node.module, alias.name)
    return True


def _bind_import(code, node, name, module, attribute=None):
    found = code.scope.import_(module, attribute) if module in _IMPORTABLE and not getattr(node, "level", 0) else None
    if found is None or name in code.names or id(node) not in code.top_level:
        code.unsupported(f"import of {module} inside the function", node)
    code.scope.imported[name] = found


@translates(STATEMENTS, ast.Try)
def _try(code, node):
    if node.finalbody:
        return _finally(code, node)
    for handler in node.handlers:  # where it ends, the name is unbound
        if handler.name in code.variables and code.variables[handler.name].t:
            code.unsupported(f"except ... as {handler.name}, a variable of another use too", handler)
    catches = [(kinds_caught(_caught(code, handler)), code.label(), handler) for handler in node.handlers]
    changed = assigned_in(node)
    before, joined = code.flow.copy(), None
    with code.block() as end:
        for _, label, _ in reversed(catches):
            code.e(("block", label))
        outside = list(code.handlers)
        code.handlers += [(kinds, label) for kinds, label, _ in reversed(catches)]
        going = block(code, node.body)
        code.handlers = outside
        if going and (not node.orelse or block(code, node.orelse)):
            joined = code.flow
        code.e(("br", end))
        for _, _, handler in catches:
            code.e("end")
            code.flow = before.copy()
            code.flow.forget(changed)
            if attempt(code, handler.body):
                joined = code.flow.joined(joined)
            code.e(("br", end))
    code.flow = before if joined is None else joined
    return joined is not None


def _finally(code, node):
    """Translate try with finally. A row with an exception inside is left to the interpreter."""
    body = node.body
    if node.handlers:
        if id(node) not in code.program.synthetic:
            inner = ast.copy_location(ast.Try(node.body, node.handlers, node.orelse, []), node)
            code.program.synthetic[id(node)] = inner
        body = [code.program.synthetic[id(node)]]
    outside = list(code.handlers)
    code.handlers = [*outside, (set(RAISED), code.bail_label)]
    code.finals.append((node.finalbody, outside, len(code.loops)))
    going = block(code, body)
    code.finals.pop()
    code.handlers = outside
    return going and block(code, node.finalbody)


def leave(code, count):
    """Do what is inside the innermost finally's, but for some outer ones. Returns whether control goes on."""
    kept, going = (code.finals, code.handlers, code.loops), True
    while len(code.finals) > count and going:
        body, handlers, loops = code.finals[-1]
        code.finals, code.handlers, code.loops = code.finals[:-1], list(handlers), code.loops[:loops]
        going = block(code, body)
    code.finals, code.handlers, code.loops = kept
    return going


def _caught(code, handler):
    """Return the classes that a handler catches."""
    if handler.type is None:
        return [Exception]
    named = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    classes = [_CLASS_OF.get(known_name(code, name)) for name in named]
    if None in classes:
        code.unsupported("except of other exceptions than builtin ones", handler)
    return classes
