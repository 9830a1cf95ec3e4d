"""Compile a tree of Python modules; run by the interpreter of the guest's version, which has no extension modules.

Usage: compile_library.py OUTPUT IMPORTER EXCLUDED,... LIBRARY...
"""

import marshal
import os
import sys
from importlib._bootstrap_external import MAGIC_NUMBER

# An unchecked hash-based .pyc (PEP 552): nothing ever compares it with a source.
HEADER = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
IMPORTER = "_udf_importer.py"


def main() -> None:
    """Compile every module of the libraries below OUTPUT, the importer into a file of its own."""
    output, importer, excluded, *libraries = sys.argv[1:]
    for library in libraries:
        for folder, subfolders, files in os.walk(library):
            subfolders[:] = sorted(set(subfolders) - set(excluded.split(",")))
            for name in sorted(files):
                if not name.endswith(".py"):
                    continue
                path = os.path.join(folder, name)
                relative = os.path.relpath(path, library)
                with open(path, "rb") as file:
                    code = marshal.dumps(compile(file.read(), f"/stdlib/{relative}", "exec", dont_inherit=True))
                if name == IMPORTER:
                    target, contents = importer, code
                else:
                    target, contents = os.path.join(output, relative + "c"), HEADER + code
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "wb") as file:
                    file.write(contents)


main()
