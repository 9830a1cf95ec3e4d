"""Instructions of one WebAssembly function under construction, and the ways a row ends before its result."""

import contextlib

from _udf_compiler.context import ERROR
from _udf_compiler.errors import BAIL

CONTEXT = ("local.get", 0)  # the first parameter of every function


class Emitter:
    """Collects instructions.

    Attributes:
        ops: The instructions so far.
        locals: The types of the variables so far, without parameters.
        handlers: The exceptions that the handlers around this point catch, with the label of each.
        finals: Of each try with finally around this point: the statements, and the handlers and the number of loops
            around it.
        loops: The labels of the loops around this point: (after it, its next turn), and a list of its breaks.
        uses_arena: Temporary text is made.
    """

    def __init__(self):
        self.ops, self.locals = [], []
        self.handlers, self.loops, self.finals = [], [], []
        self.uses_arena = False
        self._first_local = 0
        self._labels = 0

    def start(self, first_local):
        """Begin again, with as many parameters."""
        self.ops, self.locals = [], []
        self.handlers, self.loops, self.finals = [], [], []
        self.uses_arena = False
        self._first_local = first_local
        self._labels = 0
        self.status, self.out_tag = self.local("i32"), self.local("i32")
        self.out_i, self.out_f = self.local("i64"), self.local("f64")
        # The address of the constants in the high half, so that texts in it are one addition away.
        self.constants = self.local("i64")
        self.exit_label, self.bail_label = self.label(), self.label()

    def local(self, kind):
        """Return the number of a new variable."""
        self.locals.append(kind)
        return self._first_local + len(self.locals) - 1

    def label(self):
        """Return a new label."""
        self._labels += 1
        return self._labels

    def e(self, *ops):
        """Emit instructions; one without an immediate may be its name alone."""
        for op in ops:
            self.ops.append(op if type(op) is tuple else (op,))

    def tmp(self, kind, *ops):
        """Emit instructions that compute a value; return it as an operand."""
        number = self.local(kind)
        self.e(*ops)
        self.ops.append(("local.set", number))
        return ("local.get", number)

    @contextlib.contextmanager
    def capture(self):
        """Collect what is emitted inside in a list of its own."""
        before, self.ops = self.ops, []
        try:
            yield self.ops
        finally:
            self.ops = before

    @contextlib.contextmanager
    def block(self, kind="block", *condition):
        """Emit a block, a loop or an if around what is emitted inside."""
        label = self.label()
        self.e(*condition, (kind, label))
        yield label
        self.e("end")

    # ---- ends of a row

    def bail(self):
        """Leave the row to the interpreter."""
        self.e(("br", self.bail_label))

    def bail_if(self, *condition):
        """Leave the row to the interpreter if a condition holds."""
        self.e(*condition, ("br_if", self.bail_label))

    def raise_(self, kind):
        """Raise an exception, by its number: jump to its handler, or end the row."""
        for caught, label in reversed(self.handlers):
            if kind in caught:
                self.e(("br", label))
                return
        self.e(("i32.const", kind), ("local.set", self.status), ("br", self.exit_label))

    def raise_if(self, kind, *condition):
        """Raise an exception if a condition holds."""
        with self.block("if", *condition):
            self.raise_(kind)

    def give_up(self, status, kinds):
        """Raise one of some exceptions by the number in `status`, and bail for any other."""
        for kind in kinds:
            self.raise_if(kind, status, ("i32.const", kind), "i32.eq")
        self.bail()

    def check_number(self, kinds):
        """Do what a kernel that returned a number wants: it has an error in the context unless it succeeded."""
        error = self.tmp("i32", CONTEXT, ("i32.load", ERROR))
        with self.block("if", error):
            self.e(CONTEXT, ("i32.const", 0), ("i32.store", ERROR))
            self.give_up(error, kinds)

    def check_text(self, result, kinds):
        """Do what a kernel that returned a text or a list wants: its address is 0 if it failed."""
        with self.block("if", result, ("i64.const", 32), "i64.shr_u", "i64.eqz"):
            for kind in kinds:
                self.raise_if(kind, result, ("i64.const", kind), "i64.eq")
            self.bail()

    def finish(self, *before):
        """Emit the end of a row: what was emitted inside came to a bail, unless it left through the exit."""
        self.e(("br", self.exit_label), "end", ("i32.const", BAIL), ("local.set", self.status), "end", *before)
