"""Which functions run on the guest that has numpy: those whose code imports it, or a package that does."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb_wasi_udf._guests.definition import Definition, Unit
    from duckdb_wasi_udf._packages.collect import Packages

_NUMPY = "numpy"


def mentions_numpy(definition: Definition, packages: frozenset[str]) -> bool:
    """Return whether a function's code imports numpy.

    The text decides, not what it means. A wrong yes costs some memory. After a wrong no the import fails with a hint.

    Args:
        definition: the function.
        packages: the top-level names of packages that import numpy.
    """
    return any(_unit_mentions(unit, name) for unit in definition.units for name in (_NUMPY, *packages))


def modules_with_numpy(packages: Packages) -> frozenset[str]:
    """Return the top-level names of packages that import numpy, or another one that does."""
    imported = {
        module: {
            name
            for path, contents in packages.files.items()
            if path.endswith(".py") and path.partition("/")[0].removesuffix(".py") == module
            for name in (_NUMPY, *packages.modules)
            if name != module and _imports(contents.decode(errors="replace"), name)
        }
        for module in packages.modules
    }
    found: set[str] = set()
    while more := {module for module, names in imported.items() if names & {_NUMPY, *found}} - found:
        found |= more
    return frozenset(found)


def _unit_mentions(unit: Unit, name: str) -> bool:
    """Return whether a piece of code imports a module."""
    if any(path.partition(":")[0].partition(".")[0] == name for path in unit.imports.values()):
        return True
    if unit.kind == "values":
        try:
            return name.encode() in base64.b64decode(unit.source)
        except binascii.Error:
            return False
    return _imports(unit.source, name)


def _imports(source: str, name: str) -> bool:
    """Return whether a text has an import of a module: a statement, or its name in quotes."""
    if name not in source:
        return False
    quoted = re.escape(name)
    return bool(
        re.search(rf"\b(?:import|from)\b[^\n;#]*?\b{quoted}\b", source)
        or re.search(rf"""(["']){quoted}(?:\.[\w.]*)?\1""", source)
    )
