"""Variables: assignment, reading, and unpacking."""

from _udf_compiler import lists
from _udf_compiler.errors import TYPE_ERROR, VALUE_ERROR
from _udf_compiler.flow import Variable
from _udf_compiler.values import FLOAT, MAX, MIN, NEVER, TAGS, Value


def assign(code, name, value):
    """Bind a variable to a value. A tuple becomes a variable for each item."""
    if not value.t:
        return
    name = code.renamed.get(name, name)
    variable = _variable(code, name)
    if not value.t <= variable.t:
        variable.t = code.program.shapes.joined(variable.t | value.t)
        code.changed = True
    if value.items is not None:
        for number, item in enumerate(value.items):
            assign(code, f"{name}.{number}", item)
    elif not any(map(_is_tuple, variable.t)):
        _place(code, variable)
        code._store(value, variable.i, variable.f, variable.tag)
    if variable.needs_flag:
        _place(code, variable)
        code.e(("i32.const", 1), ("local.set", variable.bound))
    code.flow.assigned.add(name)
    code.flow.known[name] = (value.t, value.lo, value.hi)


def read(code, name):
    """Return a variable's value. The row bails where it isn't bound."""
    name = code.renamed.get(name, name)
    variable = _variable(code, name)
    if not variable.t:  # nothing has been assigned yet
        variable.needs_flag |= name not in code.flow.assigned
        code.bail()
        return NEVER
    if name not in code.flow.assigned:
        code.changed |= not variable.needs_flag
        variable.needs_flag = True
        _place(code, variable)
        code.bail_if(("local.get", variable.bound), "i32.eqz")
    t, lo, hi = code.flow.known.get(name, (variable.t, MIN, MAX))
    t = (t & variable.t) or variable.t
    if any(map(_is_tuple, variable.t)):
        if len(variable.t) > 1:
            return code.unsupported(f"the variable {name}, which is sometimes a tuple")
        count = int(next(iter(variable.t)).removeprefix("tuple of "))
        return Value(t, items=[read(code, f"{name}.{number}") for number in range(count)])
    _place(code, variable)
    i = code.tmp("i64", ("local.get", variable.i)) if t - FLOAT else None
    f = code.tmp("f64", ("local.get", variable.f)) if t & FLOAT else None
    tag = code.tmp("i32", ("local.get", variable.tag)) if len(t) > 1 else None
    return Value(t, i, f, tag, lo, hi)


def unbind(code, name):
    """Make a variable one that isn't bound: the row bails where it is read."""
    variable = _variable(code, name)
    code.flow.assigned.discard(name)
    code.flow.forget([name])
    code.changed |= not variable.needs_flag
    variable.needs_flag = True
    _place(code, variable)
    code.e(("i32.const", 0), ("local.set", variable.bound))


def types_of(code, name):
    """Return the types that a variable may have at this point."""
    return code.flow.known.get(name, (_variable(code, name).t,))[0]


def narrow(code, name, t):
    """Note that a variable has one of some types at this point."""
    before, lo, hi = code.flow.known.get(name, (_variable(code, name).t, MIN, MAX))
    code.flow.known[name] = ((before & t) or before, lo, hi)


def unpack(code, value, count, starred=None):
    """Return the items of a tuple or list that is unpacked, None if the row ends here.

    Args:
        code: The function.
        value: The tuple or list.
        count: The number of targets, the starred one not included.
        starred: The place of the target that takes the rest, None if there is none.
    """
    value = code.without_none(value, TYPE_ERROR)
    if not value.t:
        return None
    if value.items is not None:
        rest = len(value.items) - count
        if rest < 0 or (rest > 0 and starred is None):
            code.raise_(VALUE_ERROR)
            return None
        if starred is None:
            return value.items
        middle = lists.of_values(code, value.items[starred : starred + rest], "rest")
        return [*value.items[:starred], middle, *value.items[starred + rest :]]
    if not lists.is_list(value.only):
        code.unsupported(f"unpacking of {value.only or 'a value of several types'}")
        return None
    data, number = lists.view(code, value)
    code.raise_if(VALUE_ERROR, number, ("i32.const", count), "i32.ne" if starred is None else "i32.lt_u")
    found = [lists.load_at(code, value, data, ("i32.const", n)) for n in range(count if starred is None else starred)]
    if starred is not None:
        behind = count - starred
        rest = code.tmp("i64", number, "i64.extend_i32_u", ("i64.const", behind), "i64.sub")
        found.append(lists.sliced(code, value, ("i64.const", starred), rest, ("i64.const", 1), 3))
        for n in range(behind):
            place = code.tmp("i32", number, ("i32.const", behind - n), "i32.sub")
            found.append(lists.load_at(code, value, data, place))
    return found if all(v.t for v in found) else None


def reset_flags(code):
    """Return the instructions that make variables unbound, for the start of a row."""
    bound = [variable.bound for variable in code.variables.values() if variable.bound is not None]
    return [op for number in bound for op in (("i32.const", 0), ("local.set", number))]


def _is_tuple(name):
    return name not in TAGS


def _variable(code, name):
    if name not in code.variables:
        code.variables[name] = Variable()
    return code.variables[name]


def _place(code, variable):
    """Make the locals that a variable needs."""
    plain = {name for name in variable.t if not _is_tuple(name)}
    if plain - FLOAT and variable.i is None:
        variable.i = code.local("i64")
    if plain & FLOAT and variable.f is None:
        variable.f = code.local("f64")
    if len(plain) > 1 and variable.tag is None:
        variable.tag = code.local("i32")
    if variable.needs_flag and variable.bound is None:
        variable.bound = code.local("i32")
