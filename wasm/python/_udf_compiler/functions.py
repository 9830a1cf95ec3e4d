"""Functions: their parameters, their bodies, and those that a function calls."""

import ast

from _udf_compiler import lists, shapes, variables
from _udf_compiler.code import Code
from _udf_compiler.constants import Constants
from _udf_compiler.context import CONSTANTS
from _udf_compiler.emitter import CONTEXT
from _udf_compiler.encoder import Function
from _udf_compiler.errors import RAISED, NotCompiledError
from _udf_compiler.shapes import Shapes, kind_of
from _udf_compiler.statements import block, give, give_node
from _udf_compiler.statics import Scope, local_constants
from _udf_compiler.syntax import Sources
from _udf_compiler.targets import local_names
from _udf_compiler.values import FLOAT, NEVER, TAGS, Value, tuple_of

# The deepest that functions call each other: within Python's own limit, and far within the machine's stack.
_MOST_CALLS = 200
_MOST_FUNCTIONS = 40


class Program:
    """What all functions of a module share.

    Attributes:
        lookups: What names mean.
        constants: Texts and tables.
        sources: Syntax trees.
        helpers: The functions that are called, by number, types of arguments, and names of keyword arguments.
        numbers: The number of each function among the look-ups, by identity: functions find each other on many ways.
        notes: Errors of what is left to the interpreter, by line.
        shapes: What containers hold.
        patterns: Regular expressions, as (number, pattern), by source and flags.
        mixed_sums: The variables of sums whose items are ints and floats.
        synthetic: Nodes that stand for others, by what they stand for: the same ones in each translation.
    """

    def __init__(self, lookups):
        self.lookups, self.constants, self.sources = lookups, Constants(), Sources()
        self.helpers = {}
        self.notes = {}
        self.patterns = {}
        self.synthetic = {}
        self.numbers = {}
        self.mixed_sums = set()
        self.shapes = Shapes()
        self._made = 0

    def start(self):
        """Begin another round of translations: shapes may have become one."""
        self.notes.clear()
        self.shapes.changed = False
        helpers = {}
        for (number, arguments, names), helper in self.helpers.items():
            helpers.setdefault((number, tuple(map(self.shapes.joined, arguments)), names), helper)
        self.helpers = helpers

    def label(self, function):
        """Return a name in the module for a function."""
        self._made += 1
        return f"{function.__name__}.{self._made}"

    def note(self, error):
        """Note what is left to the interpreter where it is reached."""
        self.notes[error.line, error.construct] = error

    def new_code(self, number):
        """Return a Code for the function that is object `number` of the look-ups, and its syntax tree."""
        function = self.lookups.objects[number]
        node = self.sources.find(function)
        scope = Scope(self.lookups, number)
        code = Code(self, scope, local_names(node) | {argument.arg for argument in _all_arguments(node.args)})
        if isinstance(node, ast.FunctionDef):
            code.top_level = set(map(id, node.body))
            code.local_constants = local_constants(node)
            imports = [s for s in ast.walk(node) if isinstance(s, (ast.Import, ast.ImportFrom))]
            scope.local_imports = {a.asname or a.name.partition(".")[0] for s in imports for a in s.names}
        return code, node


def _all_arguments(arguments):
    rest = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]


def bind_parameters(code, node, values, keywords=()):
    """Bind a function's parameters to arguments, and to defaults.

    Raises:
        NotCompiledError: They don't fit; the interpreter has the error for it.
    """
    function, arguments = code.scope.function, node.args
    positional = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    keywords = dict(keywords)
    given = dict(zip(positional, values, strict=False))
    only_positional = {a.arg for a in arguments.posonlyargs}
    if keywords.keys() & given.keys() or keywords.keys() & only_positional:
        raise NotCompiledError(
            "a call with an argument that is given twice, or by a name that it doesn't have", node.lineno
        )
    given |= keywords
    defaults = function.__defaults__ or ()
    given = dict(zip(positional[len(positional) - len(defaults) :], map(_Default, defaults), strict=True)) | given
    given = {name: _Default(value) for name, value in (function.__kwdefaults__ or {}).items()} | given
    if arguments.kwarg is not None:
        raise NotCompiledError("a parameter with **", node.lineno)
    rest = values[len(positional) :]
    names = [*positional, *[a.arg for a in arguments.kwonlyargs]]
    if set(given) != set(names) or (rest and arguments.vararg is None):
        raise NotCompiledError("a call with other arguments than the function has", node.lineno)
    for name in names:
        value = given[name]
        variables.assign(code, name, code.const(value.value) if isinstance(value, _Default) else value)
    if arguments.vararg is not None:
        variables.assign(code, arguments.vararg.arg, tuple_of(rest))


class _Default:
    """A default, until it is known whether it is needed."""

    def __init__(self, value):
        self.value = value


def translate_body(code, node):
    """Translate a function's statements, or a lambda's expression."""
    if isinstance(node, ast.Lambda):
        code.at_line(node.lineno)
        give_node(code, node.body)
    elif block(code, node.body):
        give(code, code.const(None))


class Helper:
    """A function that is called, for arguments of certain types: a WebAssembly function of its own.

    It receives the context, the depth of calls, and three operands for each argument (the value unless it is a float,
    the value if it is one, the tag). It returns a status, the tag, and the value in both forms.

    Attributes:
        label: Its name in the module.
        result: The types of its results so far.
        function: Its instructions; None before the first translation.
        error: Why it can't be translated; None if it can.
    """

    def __init__(self, program, number, arguments, names):
        """Prepare to translate.

        Args:
            program: The program.
            number: The function's among the look-ups.
            arguments: The types of each argument, the keyword arguments last.
            names: The names of these.
        """
        self.code, self._node = program.new_code(number)
        self.label = program.label(self.code.scope.function)
        self.result = frozenset()
        self.function = self.error = None
        self._arguments, self._names = arguments, names

    def translate(self):
        """Translate it once more. Returns whether something about it is new."""
        if self.error is not None:
            return False
        try:
            return self._translate()
        except NotCompiledError as error:
            self.error, self.function = error, None
            return True

    def _translate(self):
        code = self.code
        code.start(2 + 3 * len(self._arguments))
        code.depth = [("local.get", 1), ("i32.const", 1), "i32.add"]
        load_constants(code)
        values = []
        for number, t in enumerate(map(code.program.shapes.joined, self._arguments)):
            i, f, tag = (("local.get", 2 + 3 * number + part) for part in range(3))
            v = Value(t, i if t - FLOAT else None, f if t & FLOAT else None, tag if len(t) > 1 else None)
            values.append(_unboxed(code, v) if kind_of(v.only) == "record" else v)
        positional = len(values) - len(self._names)
        keywords = zip(self._names, values[positional:], strict=True)
        bind_parameters(code, self._node, values[:positional], keywords)
        code.e(("block", code.exit_label), ("block", code.bail_label))
        code.bail_if(("local.get", 1), ("i32.const", _MOST_CALLS), "i32.gt_u")
        translate_body(code, self._node)
        code.finish(*[("local.get", n) for n in (code.status, code.out_tag, code.out_i, code.out_f)])
        changed = code.changed or code.result != self.result or code.program.shapes.changed
        self.result = code.result
        parameters = ["i32", "i32", *["i64", "f64", "i32"] * len(self._arguments)]
        ops = code.ops
        self.function = Function(parameters, ["i32", "i32", "i64", "f64"], code.locals, ops)
        return changed


def load_constants(code):
    """Emit what puts the address of the constants where the function's code expects it."""
    code.e(CONTEXT, ("i64.load32_u", CONSTANTS), ("i64.const", 32), "i64.shl", ("local.set", code.constants))


def call(code, found, arguments, keywords):
    """Return what another function of the source returns."""
    function = found.value
    names, values = tuple(keywords), [*arguments, *keywords.values()]
    values = [v if v.items is None else _boxed(code, number, v) for number, v in enumerate(values)]
    if not all(v.t for v in values):
        return NEVER
    number = code.program.numbers.setdefault(id(function), found.number)
    key = number, tuple(code.program.shapes.joined(v.t) for v in values), names
    helpers = code.program.helpers
    if key not in helpers:
        if len(helpers) >= _MOST_FUNCTIONS:
            return code.unsupported("so many functions")
        try:
            helpers[key] = Helper(code.program, *key)
        except NotCompiledError as error:
            return code.unsupported(f"a call of {function.__name__}: {error.construct}")
        code.changed = True
    helper = helpers[key]
    if helper.error is not None:
        return code.unsupported(
            f"a call of {function.__name__}, because of line {helper.error.line}: {helper.error.construct}"
        )
    operands = []
    for v in values:
        operands += [v.i or ("i64.const", 0), v.f or ("f64.const", 0.0), v.tag or ("i32.const", TAGS[v.only])]
    status, tag, i, f = (code.local(kind) for kind in ("i32", "i32", "i64", "f64"))
    code.uses_arena = True
    code.e(CONTEXT, *code.depth, *operands, ("call", helper.label))
    code.e(*[("local.set", number) for number in (f, i, tag, status)])
    _pass_on(code, ("local.get", status))
    t = helper.result
    if not t:
        code.bail()
        return NEVER
    place = ("local.get", i) if t - FLOAT else None
    real = ("local.get", f) if t & FLOAT else None
    record = next((name for name in t if kind_of(name) == "record"), None)
    if record is not None:
        if len(t) > 1:
            return code.unsupported(f"{function.__name__}, which returns a tuple sometimes")
        return _unboxed(code, Value(t, place))
    return Value(t, place, real, ("local.get", tag) if len(t) > 1 else None)


def _boxed(code, number, v):
    """Return a tuple as an argument."""
    shape = code.program.shapes.at((id(code), *code.place, "argument", number, len(v.items)), "record")
    code.program.shapes.take(code, shape.keys, v)
    if shape.keys.fields is None and v.items:
        code.bail()
        return NEVER
    return shapes.record(code, shape, v)


def _unboxed(code, v):
    """Return the tuple that is a record."""
    shape = code.program.shapes.of(v.only)
    return shapes.load(code, lists.address(code, v), shape.keys, shape.key_fields())


def _pass_on(code, status):
    """Raise here what a called function raised, or end the row as it did."""
    with code.block("if", status):
        if code.handlers:
            code.give_up(status, RAISED)
        else:
            code.e(status, ("local.set", code.status), ("br", code.exit_label))
