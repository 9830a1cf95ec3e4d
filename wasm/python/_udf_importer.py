"""Finds modules in the zip that is part of the guest's memory.

Frozen into the interpreter and run before the standard library can be imported, so it imports only built-in modules.
The zip is stored uncompressed (format: PKWARE APPNOTE.TXT 6.3, sections 4.3.7 and 4.3.12) and holds `.pyc` files, so
importing a module is one `marshal.loads` over a slice of memory.
"""

import _frozen_importlib as _bootstrap
import marshal
import sys

import _udf

_PYC_HEADER = 16  # bytes before the code object (PEP 552)
_CENTRAL_HEADER = 46
_LOCAL_HEADER = 30


class Importer:
    """Meta path finder and loader over files, of which `read` gives the bytes by their paths below `root`.

    A compiled module's file is the marshalled code alone.
    """

    root = ""  # ends in a slash

    def __repr__(self):
        return f"<importer of {self.root}>"

    def read(self, path):
        """Return the file's bytes, or None if there is none."""
        raise NotImplementedError

    def _find(self, name):
        """Return (path, marshalled code) of a module. A package's path ends in `/__init__.pyc`."""
        stem = name.replace(".", "/")
        for path in (stem + "/__init__.pyc", stem + ".pyc"):
            code = self.read(path)
            if code is not None:
                return path, code
        return None, None

    def find_spec(self, name, path=None, target=None):
        member, code = self._find(name)
        if member is None:
            return None
        is_package = member.endswith("/__init__.pyc")
        spec = _bootstrap.ModuleSpec(
            name, self, origin=self.root + member[:-1], loader_state=code, is_package=is_package
        )
        spec.has_location = True  # gives the module its __file__, which some of the library reads
        if is_package:
            spec.submodule_search_locations.append(self.root + name.replace(".", "/"))
        return spec

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        spec = module.__spec__
        code, spec.loader_state = spec.loader_state, None
        exec(self.get_code(spec.name) if code is None else self.load(spec.name, code), module.__dict__)

    def load(self, name, code):
        return marshal.loads(code)

    def get_code(self, name):
        member, code = self._find(name)
        if member is None:
            raise ImportError(f"no module named {name!r} in {self.root}", name=name)
        return self.load(name, code)

    def is_package(self, name):
        return (self._find(name)[0] or "").endswith("/__init__.pyc")

    def get_source(self, name):
        return None

    def get_data(self, path):
        """Return a file's bytes. Raises OSError if there is none."""
        data = self.read(path.removeprefix(self.root)) if path.startswith(self.root) else None
        if data is None:
            raise FileNotFoundError(2, "there is no such file in the sandbox", path)
        return bytes(data)


def _number(data, offset, size):
    return int.from_bytes(data[offset : offset + size], "little")


def _directory(archive):
    """Return the place of each member's bytes: {name: (start, stop)}."""
    end = bytes(archive[-22:])
    if end[:4] != b"PK\x05\x06":
        raise ImportError("the standard library's zip has no end record")
    members = {}
    position = _number(end, 16, 4)
    for _ in range(_number(end, 10, 2)):
        header = bytes(archive[position : position + _CENTRAL_HEADER])
        size, name_size = _number(header, 24, 4), _number(header, 28, 2)
        local = _number(header, 42, 4)
        name = bytes(archive[position + _CENTRAL_HEADER : position + _CENTRAL_HEADER + name_size]).decode()
        start = local + _LOCAL_HEADER + _number(archive, local + 26, 2) + _number(archive, local + 28, 2)
        members[name] = (start + _PYC_HEADER if name.endswith(".pyc") else start, start + size)
        position += _CENTRAL_HEADER + name_size + _number(header, 30, 2) + _number(header, 32, 2)
    return members


class ArchiveImporter(Importer):
    """The standard library, without its sources: tracebacks through it show no lines."""

    root = "/stdlib/"

    def __init__(self, archive):
        self._archive = archive
        self._members = _directory(archive)

    def read(self, path):
        if path not in self._members:
            return None
        start, stop = self._members[path]
        return self._archive[start:stop]


sys.meta_path.append(ArchiveImporter(_udf.archive()))
