"""What goes along with one callable: a pickle of all it uses, and the source of each function in it.

The guest's half is `_udf_guest.shipped`. The pickle consists of several, which share their memory of what was written:
first the callable, then, for each function and class in it, the globals, closures, defaults and attributes it uses.
They come last because they may lead back to it, and because what is in sets and dictionaries must have its methods.
"""

from __future__ import annotations

import base64
import functools
import io
import pickle
import sys
import types
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import LimitExceeded, SignatureError
from duckdb_wasi_udf._functions.classes import parts_of
from duckdb_wasi_udf._functions.importable import is_compiled
from duckdb_wasi_udf._functions.names import annotation_names, annotations_of, docstring, global_names
from duckdb_wasi_udf._functions.reduction import GuestMethod, Reduction, reduction_of, single_dispatch
from duckdb_wasi_udf._functions.refusal import (
    INSIDE,
    RefusedError,
    compiled_package,
    find_path,
    kind_of,
    module_refused,
)
from duckdb_wasi_udf._functions.source import SourceNotFoundError, find_source
from duckdb_wasi_udf._guests.definition import Unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from duckdb_wasi_udf._functions.importable import Importable

_PROTOCOL = 5

_PLAIN = (type(None), bool, int, float, complex, str, bytes)

# What `functools.singledispatch` returns has this code.
_SINGLE_DISPATCH: Any = getattr(functools.singledispatch(len), "__code__")  # noqa: B009 - unknown to its type stubs


@dataclass(frozen=True, slots=True)
class _Step:
    """A value that follows: where the guest puts it, and what it is called in errors."""

    place: str
    owner: Any
    name: str
    value: Any
    called: str


class Shipment:
    """The units of one callable."""

    def __init__(
        self, label: str, importable: Importable, *, limit_bytes: int, trial_of: Shipment | None = None
    ) -> None:
        """Begin with nothing.

        Args:
            label: how errors name the callable.
            importable: what the guest imports.
            limit_bytes: how much may be shipped.
            trial_of: the one that wants to know whether something can be shipped at all.
        """
        self._label = label
        self._importable = importable
        self._limit_bytes = limit_bytes
        self._is_trial = trial_of is not None
        self._shippable: dict[int, bool] = {} if trial_of is None else trial_of._shippable  # by ids: see `_alive`
        self._alive: list[object] = [] if trial_of is None else trial_of._alive
        self._units: list[Unit] = []
        self._modules: dict[int, int] = {}  # by the ids of their globals
        self._on_their_way: set[tuple[Any, ...]] = set()
        self._steps: deque[_Step] = deque()

    def units(self, function: object) -> tuple[Unit, ...]:
        """Return the units of a callable, the one that makes it last.

        Raises:
            SignatureError: it, or something it uses, can't be shipped.
            LimitExceeded: it is more than the limit.
        """
        sink = self._write(function)
        sink.count(sum(len(unit.source) for unit in self._units))
        values = Unit(kind="values", source=base64.b64encode(sink.getvalue()).decode(), name=self._label)
        return (*self._units, values)

    def _write(self, value: object) -> _Sink:
        sink = _Sink(self._label, self._limit_bytes)
        pickler = _Pickler(sink, self)
        self._dump(pickler, value, "this", getattr(value, "__name__", ""))
        while self._steps:
            step = self._steps.popleft()
            self._dump(pickler, (step.place, step.owner, step.name), step.called)
            self._dump(pickler, step.value, step.called, step.name)
        pickler.dump(None)
        return sink

    def _dump(self, pickler: _Pickler, value: object, called: str, name: str = "") -> None:
        try:
            pickler.dump(value)
        except (SignatureError, LimitExceeded):
            raise
        except RefusedError as error:
            raise self._refusal(value, called, name, error) from error.__cause__
        except RecursionError as error:
            raise self._refusal(value, called, name, RefusedError(value, "it nests too deep", INSIDE)) from error
        except Exception as error:
            refused = RefusedError(value, f"pickling it raised {type(error).__name__}: {error}", INSIDE)
            raise self._refusal(value, called, name, refused) from error

    def _refusal(self, value: object, called: str, name: str, refused: RefusedError) -> SignatureError:
        """Return the error of a value that can't be shipped: which, what it is, why, and what to do."""
        because = ""
        if refused.culprit is not value:
            path = find_path(value, refused.culprit)
            because = f" because of {name + path if path else 'what it uses'}, {kind_of(refused.culprit)}"
        msg = (
            f"{self._label}: {called} is {kind_of(value)}, which can't be shipped to the guest{because}: "
            f"{refused.why}; {refused.cure}"
        )
        return SignatureError(msg)

    # ---- called by the pickler ---------------------------------------------------------------------------------------

    def reduce(self, value: Any) -> Reduction:
        """Return how to pickle an object: see `pickle.Pickler.reducer_override`."""
        path = self._importable.path(value)
        if path is not None:
            return GuestMethod("imported"), (path,)
        if isinstance(value, types.ModuleType):
            raise module_refused(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        return reduction_of(value, self._importable, is_trial=self._is_trial)

    def _function(self, function: Any) -> Reduction:
        """Return how to make a function; what it uses follows."""
        code = function.__code__
        if code is _SINGLE_DISPATCH:
            return single_dispatch(functools.singledispatch, function)
        package = str(function.__module__).partition(".")[0]
        if any(folder in code.co_filename for folder in ("site-packages", "dist-packages")) and is_compiled(package):
            raise RefusedError(function, compiled_package(package), INSIDE)
        try:
            source = find_source(function)
        except SourceNotFoundError as error:
            why = f"the source of {function.__qualname__} {error}"
            raise RefusedError(function, why, "pass the source as text, or put it into a module") from error
        unit = Unit(
            kind="function",
            source=source.text,
            name=self._unit_name(function),
            entry=code.co_name,
            free=code.co_freevars,
            inside=source.inside,
        )
        self._units.append(unit)
        number = len(self._units) - 1
        module = self._module(function.__globals__)
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        name = f" of {function.__name__}"
        self._use_globals(function.__globals__, global_names(code))
        for variable, cell in cells.items():
            self._use_cell(variable, cell)
        parameters = code.co_varnames[: code.co_argcount]
        defaults = function.__defaults__ or ()
        for parameter, value in zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True):
            self._follow("default", function, parameter, value, f"the default of the parameter {parameter!r}{name}")
        for parameter, value in (function.__kwdefaults__ or {}).items():
            self._follow(
                "keyword_default", function, parameter, value, f"the default of the parameter {parameter!r}{name}"
            )
        for attribute, value in vars(function).items():
            self._follow("attribute", function, attribute, value, f"the attribute {attribute!r}{name}")
        if function.__doc__ != docstring(source.node):
            self._follow("attribute", function, "__doc__", function.__doc__, f"the docstring{name}")
        self._annotate(function, annotations_of(function, source.node), function.__globals__)
        return GuestMethod("function"), (number, module, function.__name__, _short(function), cells)

    def _class(self, kind: type) -> Reduction:
        """Return how to make a class; what its attributes lead to follows."""
        why = self._importable.why_not_shippable(kind)
        if why is not None:
            raise RefusedError(kind, why, INSIDE)
        parts = parts_of(kind)
        variables = _globals_of(kind)
        for name, value in parts.later.items():
            self._follow("attribute", kind, name, value, f"the attribute {name!r} of {kind.__name__}")
        if parts.members:
            self._follow("members", kind, "", parts.members, f"what the members of {kind.__name__} have")
        if parts.registered:
            self._follow("subclasses", kind, "", parts.registered, f"what was registered with {kind.__name__}")
        if parts.annotations:
            self._annotate(kind, {name: (None, value) for name, value in parts.annotations.items()}, variables)
        first = () if parts.metaclass is None else (parts.metaclass,)
        arguments = (*first, kind.__name__, self._module(variables), *parts.arguments)
        return GuestMethod(parts.maker), arguments, parts.state, None, None, GuestMethod("fill_class")

    # ---- what follows ------------------------------------------------------------------------------------------------

    def _follow(self, place: str, owner: object, name: str, value: object, called: str) -> None:
        self._steps.append(_Step(place, owner, name, value, called))

    def _use_globals(self, variables: dict[str, Any], names: Iterable[str], *, if_shippable: bool = False) -> None:
        """Let the globals of these names follow. Names that don't exist are left to the guest, which reports them."""
        module = self._module(variables)
        if isinstance(module, str):  # the guest's own
            return
        for name in sorted(set(names)):
            # A module's own names, such as __name__, are those of the guest's.
            if name not in variables or (name.startswith("__") and name.endswith("__")):
                continue
            if (module, name) in self._on_their_way or (if_shippable and not self._can_ship(variables[name])):
                continue
            self._on_their_way.add((module, name))
            self._follow("global", module, name, variables[name], f"the variable {name!r}")

    def _use_cell(self, name: str, cell: types.CellType) -> None:
        if ("cell", id(cell)) in self._on_their_way:
            return
        self._on_their_way.add(("cell", id(cell)))
        try:
            value = cell.cell_contents
        except ValueError:  # nothing was assigned yet
            return
        self._follow("cell", cell, name, value, f"the variable {name!r}")

    def _annotate(self, owner: Any, annotations: dict[str, tuple[str | None, Any]], variables: dict[str, Any]) -> None:
        """Let annotations follow, as far as they can be shipped: what the guest doesn't find it reports with them.

        Args:
            owner: a function or class.
            annotations: (as written, the value) of each; the first may be None.
            variables: the globals they are read in.
        """
        shipped = {}
        for name, (written, value) in annotations.items():
            text = value if isinstance(value, str) and written is None else written
            if text is not None:
                self._use_globals(variables, annotation_names(text), if_shippable=True)
            elif not self._can_ship(value):
                text = str(getattr(value, "__name__", value))
            shipped[name] = value if text is None else text
        if shipped:
            self._follow("annotations", owner, "", shipped, f"the annotations of {owner.__name__}")

    def _can_ship(self, value: object) -> bool:
        if isinstance(value, _PLAIN) or self._importable.path(value) is not None:
            return True
        if id(value) not in self._shippable:
            self._alive.append(value)
            self._shippable[id(value)] = True  # while it is tried, of what leads back to it
            trial = Shipment(self._label, self._importable, limit_bytes=self._limit_bytes, trial_of=self)
            try:
                trial._write(value)
            except (SignatureError, LimitExceeded):
                self._shippable[id(value)] = False
        return self._shippable[id(value)]

    def _module(self, variables: dict[str, Any]) -> int | str:
        """Return the module of these globals: a number, or the name under which the guest imports the same."""
        name = variables.get("__name__")
        if self._importable.has(name) and vars(sys.modules.get(str(name), types)) is variables:
            return str(name)
        self._alive.append(variables)
        return self._modules.setdefault(id(variables), len(self._modules))

    def _unit_name(self, function: types.FunctionType) -> str:
        """Return a file name for tracebacks that no other unit has."""
        name = first = self._label if not self._units else _short(function).strip("<>")
        number = 1
        while any(unit.name == name for unit in self._units):
            number += 1
            name = f"{first} {number}"
        return name


class _Pickler(pickle.Pickler):
    """Asks the shipment how to pickle what isn't built in."""

    def __init__(self, sink: _Sink, shipment: Shipment) -> None:
        super().__init__(sink, _PROTOCOL)
        self._shipment = shipment

    def persistent_id(self, value: object) -> str | None:
        return value.name if type(value) is GuestMethod else None

    def reducer_override(self, value: Any) -> Reduction:
        return self._shipment.reduce(value)


class _Sink(io.BytesIO):
    """Collects what is pickled, up to a limit."""

    def __init__(self, label: str, limit_bytes: int) -> None:
        super().__init__()
        self._label = label
        self._limit_bytes = limit_bytes

    def write(self, data: Any) -> int:
        self.count(len(data))
        return super().write(data)

    def count(self, more: int) -> None:
        """Raise `LimitExceeded` if these bytes are beyond the limit."""
        if self.tell() + more > self._limit_bytes:
            msg = (
                f"{self._label}: with all it uses the function is larger than shipped_bytes={self._limit_bytes:,} "
                "allows; pass large data as arguments, or raise ResourceLimits.shipped_bytes"
            )
            raise LimitExceeded(msg, limit="shipped_bytes", allowed=self._limit_bytes)


def _short(value: types.FunctionType) -> str:
    """Return its name with the class it is in, but not the functions."""
    return value.__qualname__.rpartition("<locals>.")[2]


def _globals_of(kind: type) -> dict[str, Any]:
    """Return the globals of the module a class is written in."""
    for value in vars(kind).values():
        if (
            isinstance(value, types.FunctionType)
            and value.__module__ == kind.__module__
            and value.__code__.co_filename != "<string>"
        ):
            return value.__globals__
    return vars(sys.modules[kind.__module__]) if kind.__module__ in sys.modules else {}
