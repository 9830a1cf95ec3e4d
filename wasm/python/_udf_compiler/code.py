"""One function under construction: values, branches over them, and what is known of its variables."""

import contextlib
import datetime as dt
import decimal

from _udf_compiler import decimals, lists
from _udf_compiler.emitter import CONTEXT, Emitter
from _udf_compiler.encoder import LINE
from _udf_compiler.errors import NotCompiledError
from _udf_compiler.flow import Flow
from _udf_compiler.nodes import name_of, place_of
from _udf_compiler.shapes import kind_of
from _udf_compiler.values import (
    BOOL,
    DATE,
    DATETIME,
    DECIMAL,
    FLOAT,
    INT,
    MAX,
    MIN,
    MOST_DIGITS,
    NEVER,
    NONE,
    STR,
    TAGS,
    TIMEDELTA,
    Value,
    types,
)

_FIRST_ORDINAL = 719163  # of 1970-01-01
_FIRST = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - those without a time zone count from here
_MICROSECOND = dt.timedelta(microseconds=1)
_IS_NOT_ZERO = [("i64.const", 0), "i64.ne"]

# What translates a node of the syntax tree, by its class. An expression's returns its Value, a statement's whether
# control goes on behind it.
EXPRESSIONS = {}
STATEMENTS = {}


def is_users(function):
    """Return whether a function is in the code that the user gave, and not in a package."""
    return function.__code__.co_filename.startswith("<")


def translates(table, *classes):
    """Register a function for nodes of some classes."""

    def register(function):
        table.update(dict.fromkeys(classes, function))
        return function

    return register


class Code(Emitter):
    """A function for arguments of certain types, translated again and again until its variables' types are settled.

    Attributes:
        program: What all functions of the module share.
        scope: What its global names mean.
        names: The names of its variables.
        result: The types of its results.
        changed: More types were found; the next translation may differ.
        flow: What holds at this point.
        renamed: Other names of variables, inside comprehensions.
        bound: The constants of variables of loops whose turns are translated one by one: see unrolling.py.
        local_constants: Variables that hold a constant collection: see statics.local_constants.
        top_level: The identities of the statements that are inside no other.
        place: What identifies the node that is translated, the same in each translation.
        is_row: It is the function whose results are written.
        depth: The instructions of the depth of calls that a called function has.
    """

    def __init__(self, program, scope, names):
        super().__init__()
        self.program, self.scope, self.names = program, scope, set(names)
        self.variables = {}
        self.result = frozenset()
        self.changed = False
        self.top_level = frozenset()
        self.local_constants = {}
        self.depth = []
        self.place = ()
        self.is_row = False
        self._shows_lines = is_users(scope.function)

    def start(self, first_local):
        """Begin a translation."""
        super().start(first_local)
        self.flow, self.renamed, self.bound = Flow(), {}, {}
        self.scope.imported.clear()
        self.changed = False
        self._uncertain = 0
        self.line = None
        self.place = ()
        self.result = self.program.shapes.joined(self.result)
        for variable in self.variables.values():
            variable.t = self.program.shapes.joined(variable.t)
            variable.i = variable.f = variable.tag = variable.bound = None

    def at_line(self, line):
        """Say that what follows is of a line of the source, for errors at compile time and when it is stopped."""
        self.line = line
        if self._shows_lines:
            self.e((LINE, line))

    def expr(self, node):
        """Translate an expression; return its Value."""
        translate = EXPRESSIONS.get(type(node))
        if translate is None:
            return self.unsupported(name_of(node), node)
        self.line = getattr(node, "lineno", self.line)
        before, self.place = self.place, place_of(node) or self.place
        try:
            return translate(self, node)
        finally:
            self.place = before

    # ---- what can't be translated

    def unsupported(self, what, node=None):
        """End the translation. Where there are other types that may do, bail for this one only."""
        if self._uncertain:
            self.bail()
            return NEVER
        raise NotCompiledError(what, getattr(node, "lineno", self.line))

    def error(self, kind):
        """Raise an exception for sure."""
        self.raise_(kind)
        return NEVER

    @contextlib.contextmanager
    def optional(self, ops_before=None):
        """Translate what may not be reached: where that is impossible, the row is left to the interpreter.

        Yields:
            A list, which has the error at the end if there was one.
        """
        flow, handlers, loops = self.flow, list(self.handlers), list(self.loops)
        renamed, bound = self.renamed, self.bound
        finals = list(self.finals)
        uncertain, length, failed = self._uncertain, len(self.ops), []
        try:
            yield failed
        except NotCompiledError as error:
            del self.ops[length:]
            self.flow, self.handlers, self.loops = flow, handlers, loops
            self.renamed, self.bound = renamed, bound
            self.finals = finals
            self._uncertain = uncertain
            self.program.note(error)
            self.bail()
            failed.append(error)

    # ---- values

    def const(self, value):
        """Return a constant."""
        kind = type(value)
        if value is None:
            return Value(NONE, ("i64.const", 0))
        if kind is bool:
            return Value(
                BOOL, ("i64.const", int(value)), lo=int(value), hi=int(value), k=value, c=("i32.const", int(value))
            )
        if kind is int and MIN <= value <= MAX:
            return Value(INT, ("i64.const", value), lo=value, hi=value, k=value)
        if kind is float:
            return Value(FLOAT, f=("f64.const", value), k=value)
        if kind is str:
            offset, length = self.program.constants.text(value)
            place = ("i64.const", offset << 32 | length)
            return Value(STR, self.tmp("i64", ("local.get", self.constants), place, "i64.add"), k=value)
        if kind is tuple:
            items = [self.const(item) for item in value]
            return Value(types(f"tuple of {len(items)}"), items=items) if all(item.t for item in items) else NEVER
        if kind is decimal.Decimal:
            return self._decimal(value)
        if kind is dt.date:
            return Value(DATE, ("i64.const", value.toordinal() - _FIRST_ORDINAL))
        if kind is dt.datetime and value.tzinfo is None:
            return Value(DATETIME, ("i64.const", (value - _FIRST) // _MICROSECOND))
        if kind is dt.timedelta and MIN // 2 < value // _MICROSECOND < MAX // 2:
            return Value(TIMEDELTA, ("i64.const", value // _MICROSECOND))
        return self.unsupported(
            "an integer beyond 64 bits" if kind is int else f"a constant of the type {kind.__name__}"
        )

    def _decimal(self, value):
        decimals.use(self)
        parts = value.as_tuple()
        if not value.is_finite() or len(parts.digits) > MOST_DIGITS:
            return self.unsupported("a Decimal that is special, or of more than 38 digits")
        place = ("i64.const", self.program.constants.decimal(value) << 32)
        return Value(DECIMAL, self.tmp("i64", ("local.get", self.constants), place, "i64.add"), k=value)

    def boolean(self, *condition):
        """Return a bool that instructions compute."""
        c = self.tmp("i32", *condition)
        return Value(BOOL, self.tmp("i64", c, "i64.extend_i32_u"), lo=0, hi=1, c=c)

    def integer(self, *ops, lo=MIN, hi=MAX):
        """Return an int that instructions compute."""
        return Value(INT, self.tmp("i64", *ops), lo=lo, hi=hi)

    def real(self, *ops):
        """Return a float that instructions compute."""
        return Value(FLOAT, f=self.tmp("f64", *ops))

    def as_float(self, v):
        """Return the operand of a number as a float."""
        if v.only == "float":
            return v.f
        if type(v.k) in (int, bool):
            return ("f64.const", float(v.k))
        return self.tmp("f64", v.i, "f64.convert_i64_s")

    def text(self, v):
        """Return the address and the length of a text or list, as operands of 32 bits."""
        at = self.tmp("i32", v.i, ("i64.const", 32), "i64.shr_u", "i32.wrap_i64")
        if type(v.k) is str:
            return at, ("i32.const", len(v.k.encode()))
        return at, self.tmp("i32", v.i, "i32.wrap_i64")

    def kernel_text(self, name, *operands, errors=(), t=STR):
        """Call a kernel that returns a text or list, with the context first."""
        self.uses_arena = True
        result = self.tmp("i64", CONTEXT, *operands, ("call", name))
        self.check_text(result, errors)
        return Value(t, result)

    def kernel_number(self, name, *operands, kind="i64", errors=()):
        """Call a kernel that returns a number, with the context first; return the number's operand."""
        made = self.tmp(kind, CONTEXT, *operands, ("call", name))
        self.check_number(errors)
        return made

    # ---- branches

    def merge(self, cases):
        """Let one of some cases run.

        Args:
            cases: For each a condition (None for the rest), instructions, and their value.

        Returns:
            The value of the one that runs.
        """
        live = [v for _, _, v in cases if v.t]
        t = self.program.shapes.joined(frozenset().union(*(v.t for v in live)))
        if any(v.items is not None for v in live):
            return self._merge_tuples(cases, live, t)
        i = self.local("i64") if t - FLOAT else None
        f = self.local("f64") if t & FLOAT else None
        tag = self.local("i32") if len(t) > 1 else None
        with self.block() as end:
            for condition, ops, v in cases:
                inner = self.label()
                if condition is not None:
                    self.e(*condition, ("if", inner))
                self.ops += ops
                self._store(v, i, f, tag)
                if condition is not None:
                    self.e(("br", end), "end")
        if not t:
            return NEVER
        exact = all(v.t <= {"int", "bool"} for v in live)
        lo, hi = (min(v.lo for v in live), max(v.hi for v in live)) if exact else (MIN, MAX)
        return Value(t, *[None if number is None else ("local.get", number) for number in (i, f, tag)], lo, hi)

    def _merge_tuples(self, cases, live, t):
        """Merge tuples of one length, item by item."""
        if len(t) != 1 or any(v.items is None or not all(item.t for item in v.items) for v in live):
            return self.unsupported("a value that is sometimes a tuple")
        counts = len(live[0].items)
        merged = []
        places = []
        for n in range(counts):
            kinds = self.program.shapes.joined(frozenset().union(*(v.items[n].t for v in live)))
            if any(v.items[n].items is not None for v in live):
                return self.unsupported("a tuple inside a tuple")
            i = self.local("i64") if kinds - FLOAT else None
            f = self.local("f64") if kinds & FLOAT else None
            tag = self.local("i32") if len(kinds) > 1 else None
            places.append((i, f, tag))
            operands = [None if number is None else ("local.get", number) for number in (i, f, tag)]
            merged.append(Value(kinds, *operands))
        with self.block() as end:
            for condition, ops, v in cases:
                inner = self.label()
                if condition is not None:
                    self.e(*condition, ("if", inner))
                self.ops += ops
                for item, place in zip(v.items or (), places, strict=False):
                    self._store(item, *place)
                if condition is not None:
                    self.e(("br", end), "end")
        return Value(t, items=merged)

    def _store(self, v, i, f, tag):
        if not v.t:
            return
        if v.i is not None and i is not None:
            self.e(v.i, ("local.set", i))
        if v.f is not None and f is not None:
            self.e(v.f, ("local.set", f))
        if tag is not None:
            self.e(v.tag if v.tag is not None else ("i32.const", TAGS[v.only]), ("local.set", tag))

    def dispatch(self, v, action):
        """Do `action` with the value as it is of whichever type it has; return what comes of it."""
        if len(v.t) < 2:
            return action(v) if v.t else NEVER
        names = sorted(v.t, key=TAGS.__getitem__)
        before, joined, cases = self.flow, None, []
        self._uncertain += 1
        try:
            for name in names:
                self.flow = before.copy()
                with self.capture() as ops:
                    made = action(v.member(name))
                if made.t:
                    joined = self.flow.joined(joined)
                test = (v.tag, ("i32.const", TAGS[name]), "i32.eq")
                cases.append((None if name == names[-1] else test, ops, made))
        finally:
            self._uncertain -= 1
        self.flow = before if joined is None else joined
        return self.merge(cases)

    def without_none(self, v, kind):
        """Return a value after raising an exception where it is None."""
        if "none" not in v.t or v.items is not None:
            return v
        if len(v.t) == 1:
            return self.error(kind)
        self.raise_if(kind, v.tag, ("i32.const", TAGS["none"]), "i32.eq")
        return v.of(v.t - NONE)

    def over(self, values, action, done=()):
        """Do `action` with several values, for whichever types they have."""
        if not values:
            return action(*done)
        return self.dispatch(values[0], lambda member: self.over(values[1:], action, (*done, member)))

    def branch(self, condition, then, other):
        """Do one of two things; return what comes of it. The condition is an operand, or True or False."""
        if isinstance(condition, bool):
            return then() if condition else other()
        before, joined, cases = self.flow, None, []
        for number, action in enumerate((then, other)):
            self.flow = before.copy()
            with self.capture() as ops:
                made = action()
            if made.t:
                joined = self.flow.joined(joined)
            cases.append(([condition] if number == 0 else None, ops, made))
        self.flow = before if joined is None else joined
        return self.merge(cases)

    # ---- truth

    def truth(self, v):
        """Return an operand that is 1 if the value is true, or True or False if that is known."""
        if not v.t:
            return False
        if v.c is not None:
            return bool(v.c[1]) if v.c[0] == "i32.const" else v.c
        if v.items is not None:
            return bool(v.items)
        if len(v.t) > 1:
            made = self.dispatch(v, self.boolean_of)
            return made.c or self.tmp("i32", made.i, ("i64.const", 0), "i64.ne")
        name = v.only
        if name in ("none", "date", "datetime") or name.startswith("match "):
            return name != "none"
        if v.k is not None:
            return bool(v.k)
        if name == "float":
            return self.tmp("i32", v.f, ("f64.const", 0.0), "f64.ne")
        if name == "decimal":
            return decimals.truth(self, v)
        kind = kind_of(name)
        if kind == "struct":
            return bool(lists.shape_of(self, v).names)
        if kind is not None:
            count = ("i32.load", lists.COUNT if kind == "list" else lists.LIVE)
            return self.tmp("i32", lists.address(self, v), count, ("i32.const", 0), "i32.ne")
        return self.tmp("i32", v.i, *(["i32.wrap_i64", ("i32.const", 0), "i32.ne"] if name == "str" else _IS_NOT_ZERO))

    def boolean_of(self, v):
        """Return a value's truth as a bool."""
        if not v.t:
            return NEVER
        c = self.truth(v)
        return self.const(c) if isinstance(c, bool) else self.boolean(c)

    def condition(self, v):
        """Return a value's truth as an operand."""
        c = self.truth(v)
        return ("i32.const", int(c)) if isinstance(c, bool) else c

    def negated(self, v):
        """Return `not v`."""
        if not v.t:
            return NEVER
        c = self.truth(v)
        return self.const(not c) if isinstance(c, bool) else self.boolean(c, "i32.eqz")
