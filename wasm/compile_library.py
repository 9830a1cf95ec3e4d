"""Compile a tree of Python modules; run by the interpreter of the guest's version, which has no extension modules.

Usage: compile_library.py OUTPUT IMPORTER EXCLUDED,... LIBRARY...

A LIBRARY is a directory of modules, or a module in a folder of a package, which keeps the names of both.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib._bootstrap_external import MAGIC_NUMBER
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# An unchecked hash-based .pyc (PEP 552): nothing ever compares it with a source.
HEADER = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
IMPORTER = "_udf_importer.py"


def main() -> None:
    """Compile every module of the libraries below OUTPUT, the importer into a file of its own."""
    output, importer, excluded, *libraries = sys.argv[1:]
    for path, relative in found(libraries, excluded.split(",")):
        with open(path, "rb") as file:
            code = marshal.dumps(compile(file.read(), f"/stdlib/{relative}", "exec", dont_inherit=True))
        if relative == IMPORTER:
            target, contents = importer, code
        else:
            target, contents = os.path.join(output, relative + "c"), HEADER + code
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(contents)


def found(libraries: list[str], excluded: list[str]) -> Iterator[tuple[str, str]]:
    """The modules, each with its path inside the archive."""
    for library in libraries:
        if os.path.isfile(library):
            yield library, "/".join(library.split(os.sep)[-3:])
            continue
        for folder, subfolders, files in os.walk(library):
            subfolders[:] = sorted(set(subfolders) - set(excluded))
            for name in sorted(files):
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    yield path, os.path.relpath(path, library)


main()
