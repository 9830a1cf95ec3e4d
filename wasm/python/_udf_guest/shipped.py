"""Callables of the host: functions made of their source text, classes of what they consist of, values unpickled."""

import __future__

import abc
import ast
import base64
import builtins
import collections
import dataclasses
import functools
import inspect
import io
import linecache
import marshal
import pickle
import pkgutil
import sys
import types
import typing

from _udf_guest.sources import sources

MODULE_NAME = "__udf__"

_FLAGS = __future__.annotations.compiler_flag
_ENCLOSING = "<enclosing>"  # no name that a user's function can have


def load(values, units):
    """Make the callable that was shipped, and all it uses.

    Args:
        values: What `duckdb_wasi_udf._functions.shipment` wrote, base64-encoded.
        units: The units of the definition. A "code" that is missing is added to those of functions.

    Returns:
        (The callable, the globals of the first code there is)
    """
    loader = _Loader(values, units)
    made = loader.load()
    while (step := loader.load()) is not None:
        loader.fill(*step)
    for add in loader.last:
        add()
    return made, loader.namespace(0)


class _Loader(pickle.Unpickler):
    """Unpickles values. The stream names this class's public methods by persistent ids."""

    def __init__(self, values, units):
        super().__init__(io.BytesIO(base64.b64decode(values)))
        self.last = []
        self._units = units
        self._classes = set()

    def persistent_load(self, name):
        return getattr(self, name)

    def fill(self, place, owner, name):
        """Read the next value and put it into its place: one of the methods `put_...`."""
        try:
            value = self.load()
        except (ImportError, AttributeError) as error:
            if place == "global":
                text = f"{error}; the variable {name!r} needs it"
                error.args = (text,)
                if isinstance(error, ImportError):
                    error.msg = text
            raise
        getattr(self, f"put_{place}")(owner, name, value)

    def put_global(self, module, name, value):
        self.namespace(module)[name] = value

    @staticmethod
    def put_cell(cell, _, value):
        cell.cell_contents = value

    @staticmethod
    def put_default(function, _, value):
        function.__defaults__ = (*(function.__defaults__ or ()), value)

    @staticmethod
    def put_keyword_default(function, name, value):
        function.__kwdefaults__ = (function.__kwdefaults__ or {}) | {name: value}

    @staticmethod
    def put_attribute(owner, name, value):
        (type.__setattr__ if isinstance(owner, type) else setattr)(owner, name, value)

    @staticmethod
    def put_annotations(owner, _, value):
        owner.__annotations__ = value
        for field in vars(owner).get("__dataclass_fields__", {}).values():
            field.type = value.get(field.name, field.type)

    @staticmethod
    def put_subclasses(owner, _, kinds):
        for kind in kinds:
            owner.register(kind)

    @staticmethod
    def put_members(owner, _, attributes):
        for member, given in attributes.items():
            vars(owner._member_map_[member]).update(given)

    def namespace(self, module):
        """Return the globals of a module of the guest, by its name, or of one of the host's, by its number."""
        if isinstance(module, str):
            return vars(pkgutil.resolve_name(module))
        name = f"{MODULE_NAME}.{module}" if module else MODULE_NAME
        variables = vars(sys.modules.setdefault(name, types.ModuleType(name)))
        variables["__builtins__"] = vars(builtins)  # as in modules that were imported
        return variables

    # ---- what the stream calls ---------------------------------------------------------------------------------------

    imported = staticmethod(pkgutil.resolve_name)
    cell = staticmethod(types.CellType)
    lru_cache = staticmethod(lambda function, parameters: functools.lru_cache(**parameters)(function))

    @staticmethod
    def call(function, arguments, keywords):
        return function(*arguments, **keywords)

    @staticmethod
    def member(kind, name):
        return kind._member_map_[name]

    @staticmethod
    def set_slots(instance, state):
        """Set the attributes of an object, as copying does, whatever its class says to assignments."""
        attributes, slots = state
        for name, value in ((attributes or {}) | (slots or {})).items():
            object.__setattr__(instance, name, value)

    @staticmethod
    def single_dispatch(make, function, implementations):
        dispatching = make(function)
        for kind, implementation in implementations:
            dispatching.register(kind, implementation)
        return dispatching

    def function(self, number, module, name, qualname, cells):
        """Return a function that knows nothing yet: its globals, cells and defaults follow."""
        code = self._compiled(self._units[number])
        closure = tuple(cells.get(name) or types.CellType() for name in code.co_freevars)
        made = types.FunctionType(code, self.namespace(module), name, None, closure or None)
        made.__qualname__ = qualname
        return made

    def new_class(self, metaclass, name, module, bases, namespace):
        """Return a class without its attributes. Of the users' code nothing runs, such as `__init_subclass__`."""
        namespace = {"__module__": self.namespace(module)["__name__"]} | namespace
        return self._keep(self._known(metaclass).__new__(metaclass, name, bases, namespace))

    def new_enum(self, metaclass, name, module, bases, namespace, members, boundary):
        """Return an enumeration with its members. Each is (name, value, the arguments of its data type's `__new__`)."""
        known = self._known(metaclass)
        content = known.__prepare__(name, bases)
        content["__module__"] = self.namespace(module)["__name__"]
        content |= namespace
        if members:
            given = {}

            def make(kind, number):
                value, arguments = given[number[0] if isinstance(number, tuple) else number]
                data_type = kind._member_type_
                made = object.__new__(kind) if data_type is object else data_type.__new__(kind, *arguments)
                made._value_ = value
                return made

            content |= {"__new__": make, "__init__": lambda member, number: None}
            for number, (member, value, arguments) in enumerate(members):
                given[number] = value, arguments
                content[member] = number
        made = known.__new__(metaclass, name, bases, content, boundary=boundary)
        if members:
            type.__delattr__(made, "__init__")
        return self._keep(made)

    def new_named_tuple(self, name, module, bases, qualname, fields):
        made = collections.namedtuple(name, fields, rename=True)  # noqa: PYI024 - no typing.NamedTuple renames fields
        made.__module__ = self.namespace(module)["__name__"]
        if bases != (tuple,):  # as typing.NamedTuple does if Generic is another
            made.__bases__ = bases
            made.__class_getitem__ = classmethod(typing._generic_class_getitem)
        made.__qualname__ = qualname
        return self._keep(made)

    def new_typed_dict(self, name, module, qualname, attributes):
        made = typing.TypedDict(name, {})  # noqa: UP013 - its name is the user's
        made.__module__, made.__qualname__ = self.namespace(module)["__name__"], qualname
        for attribute, value in attributes.items():
            setattr(made, attribute, value)
        return self._keep(made)

    def fill_class(self, made, state):
        """Give a class its methods, and what its decorator `dataclass` generates."""
        before, dataclass, after = state
        for name, value in before.items():
            if name == "__init_subclass__":  # not for the subclasses there are
                self.last.append(functools.partial(type.__setattr__, made, name, value))
            else:
                type.__setattr__(made, name, value)
        if dataclass is not None:
            _make_dataclass(made, *dataclass)
        for name, value in after.items():
            type.__setattr__(made, name, value)
        if issubclass(made, tuple) and "_field_defaults" in after:
            made.__new__.__defaults__ = tuple(made._field_defaults.values())
        if isinstance(made, abc.ABCMeta):
            self.last.append(functools.partial(abc.update_abstractmethods, made))  # methods will say that they are
        if vars(made).get("_is_protocol") and "__protocol_attrs__" not in before:
            made.__protocol_attrs__ = typing._get_protocol_attrs(made)

    def _known(self, metaclass):
        """Return the metaclass, or of a user's the first base that isn't."""
        return next(kind for kind in metaclass.__mro__ if kind not in self._classes)

    def _keep(self, made):
        self._classes.add(made)
        return made

    def _compiled(self, unit):
        filename = f"<{unit['name']}>"
        lines = [line + "\n" for line in unit["source"].splitlines()]
        linecache.cache[filename] = (len(unit["source"]), None, lines, filename)  # lets tracebacks show the lines
        sources.setdefault(filename, []).append(unit)
        if unit["code"]:
            return marshal.loads(base64.b64decode(unit["code"]))
        code = _compile_function(unit, filename)
        unit["code"] = base64.b64encode(marshal.dumps(code)).decode()
        return code


def function_tree(unit, filename):
    """Return the syntax tree of a module with a function alone, inside another that has its free variables.

    Args:
        unit: A dict with these keys.
            "source": A def with the indentation it is written with, or a lambda in parentheses.
            "entry": Its name.
            "free": The names of the variables it has of functions around it.
            "inside": The name of the class it is written in, for names that begin with two underscores; or None.
        filename: Its file in tracebacks.
    """
    source, entry, free, inside = unit["source"], unit["entry"], unit["free"], unit["inside"]
    indented = source[:1].isspace()  # left as it is, for the sake of texts over several lines in it
    tree = compile("if 1:\n" * indented + source, filename, "exec", ast.PyCF_ONLY_AST | _FLAGS, dont_inherit=True)
    (statement,) = tree.body
    if indented:
        ast.increment_lineno(statement, -1)
        (statement,) = statement.body
    node = statement.value if isinstance(statement, ast.Expr) else statement
    given = node.args
    given.defaults, given.kw_defaults = [], [None] * len(given.kwonlyargs)  # they come as values
    if not isinstance(node, ast.Lambda):
        node.returns, node.type_params = None, []
        for parameter in [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]:
            if parameter is not None:
                parameter.annotation = None
    bound = entry
    if inside is not None:
        statement, bound = ast.ClassDef(inside, [], [], [statement], [], []), inside
    # A name that is a global outside stays one here.
    statements = [statement] if bound in (*free, "<lambda>") else [ast.Global([bound]), statement]
    around = ast.arguments([], [ast.arg(name) for name in free], None, [], [], None, [])
    tree.body = [ast.FunctionDef(_ENCLOSING, around, statements, [], None, None, [])]
    return ast.fix_missing_locations(tree)


def _compile_function(unit, filename):
    """Return the code of a function alone."""
    entry = unit["entry"]
    pending = [compile(function_tree(unit, filename), filename, "exec", _FLAGS, dont_inherit=True)]
    for code in pending:
        if code.co_name == entry and code.co_flags & inspect.CO_OPTIMIZED:
            return code
        pending += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    raise AssertionError(filename)


def _make_dataclass(made, fields, parameters):
    """Do what the decorator did.

    Args:
        made: The class, with all attributes that the decorator looks for.
        fields: {name: (its kind: "field", "class" or "init", the parameters of `dataclasses.field`)}
        parameters: Those of the decorator, but `slots`.
    """
    annotations = {"field": object, "class": typing.ClassVar, "init": dataclasses.InitVar[object]}
    slots = {name: value for name, value in vars(made).items() if isinstance(value, types.MemberDescriptorType)}
    made.__annotations__ = {name: annotations[kind] for name, (kind, _) in fields.items()}
    for name, (kind, given) in fields.items():
        if kind != "class":
            type.__setattr__(made, name, dataclasses.field(**given))
    dataclasses.dataclass(**parameters)(made)
    for name, slot in slots.items():
        type.__setattr__(made, name, slot)
