"""sum(): as CPython adds since 3.12, ints in one piece, floats with what is lost by rounding (bltinmodule.c)."""

from _udf_compiler import arithmetic, variables

_LONG = 2**31  # a C long of the guest: CPython adds larger ints in another way


class Sum:
    """A sum under construction.

    Attributes:
        name: The variable with the sum of ints and decimals, before the first float.
    """

    def __init__(self, code, node, start):
        """Begin with a number.

        Args:
            code: The function.
            node: What is summed.
            start: The number.
        """
        self._code, self._node, self._start = code, node, start
        self.name = f".total{id(node)}"
        self._is_mixed = self.name in code.program.mixed_sums
        self._real, self._rest, self._found = code.local("f64"), code.local("f64"), code.local("i32")
        is_real = start.only == "float"
        variables.assign(code, self.name, code.const(0) if is_real else start)
        self._kinds = {"float"} if is_real else {"int"} if start.only == "decimal" or start.k != 0 else set()
        code.e(start.f if is_real else ("f64.const", 0.0), ("local.set", self._real))
        code.e(("f64.const", 0.0), ("local.set", self._rest), ("i32.const", int(is_real)), ("local.set", self._found))

    def add(self, item):
        """Add an item of one type. Returns None as a value; NEVER where the row ends."""
        code = self._code
        if item.only not in ("int", "bool", "float", "decimal"):
            return code.unsupported("sum of these values", self._node)
        self._kinds.add("float" if item.only == "float" else "int")
        if len(self._kinds) > 1 and not self._is_mixed:
            code.program.mixed_sums.add(self.name)
            code.changed = True
        if self._is_mixed:
            return self._add_mixed(item)
        if item.only == "float":
            self._add_exactly(item.f)
            code.e(("i32.const", 1), ("local.set", self._found))
        else:
            self._add_whole(item)
        return code.const(None)

    def result(self):
        """Return the sum."""
        code, is_found = self._code, ("local.get", self._found)
        if "float" not in self._kinds:
            return variables.read(code, self.name)
        f, c = ("local.get", self._real), ("local.get", self._rest)
        useful = [c, ("f64.const", 0.0), "f64.ne", c, c, "f64.sub", ("f64.const", 0.0), "f64.eq", "i32.and"]
        whole = (lambda: variables.read(code, self.name)) if self._is_mixed else lambda: code.const(0)
        return code.branch(is_found, lambda: code.real(f, c, "f64.add", f, *useful, "select"), whole)

    def _add_whole(self, item):
        code = self._code
        variables.assign(code, self.name, arithmetic.binary(code, "Add", variables.read(code, self.name), item))

    def _add_mixed(self, item):
        """Add to ints as long as there was no float, and to floats from then on. Large ints are the interpreter's."""
        code, f = self._code, ("local.get", self._real)
        total = variables.read(code, self.name)
        if "decimal" in (item.only, self._start.only) or not total.t <= {"int", "bool"}:
            return code.unsupported("sum of Decimals and floats", self._node)
        if item.only == "float":

            def begin():
                code.e(code.as_float(total), item.f, "f64.add", ("local.set", self._real))
                code.e(("i32.const", 1), ("local.set", self._found))
                return code.const(None)

            def go_on():
                self._add_exactly(item.f)
                return code.const(None)

            return code.branch(("local.get", self._found), go_on, begin)

        def add_real():
            self._bail_beyond(item)
            code.e(f, code.as_float(item), "f64.add", ("local.set", self._real))
            return code.const(None)

        def add_whole():
            self._bail_beyond(item)
            self._add_whole(item)
            self._bail_beyond(variables.read(code, self.name))
            return code.const(None)

        return code.branch(("local.get", self._found), add_real, add_whole)

    def _bail_beyond(self, v):
        self._code.bail_if(v.i, ("i64.const", _LONG), "i64.add", ("i64.const", 2 * _LONG - 1), "i64.gt_u")

    def _add_exactly(self, x):
        """Add a float with what is lost by rounding, after Neumaier."""
        code, f, c = self._code, ("local.get", self._real), ("local.get", self._rest)
        t = code.tmp("f64", f, x, "f64.add")
        larger = [f, t, "f64.sub", x, "f64.add"]
        smaller = [x, t, "f64.sub", f, "f64.add"]
        lost = [*larger, *smaller, f, "f64.abs", x, "f64.abs", "f64.ge", "select"]
        code.e(c, *lost, "f64.add", ("local.set", self._rest), t, ("local.set", self._real))
