"""Finds modules in the zip that is part of the guest's memory.

Frozen into the interpreter and run before the standard library can be imported, so it imports only built-in modules.
The zip is stored uncompressed (format: PKWARE APPNOTE.TXT 6.3, sections 4.3.7 and 4.3.12) and holds `.pyc` files, so
importing a module is one `marshal.loads` over a slice of memory.
"""

import marshal
import sys

import _frozen_importlib as _bootstrap
import _udf

ROOT = "/stdlib"
_PYC_HEADER = 16  # bytes before the code object (PEP 552)
_CENTRAL_HEADER = 46
_LOCAL_HEADER = 30


def _number(data, offset, size):
    return int.from_bytes(data[offset : offset + size], "little")


def _directory(archive):
    """Where each member's bytes are: {name: (start, stop)}."""
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
        members[name] = (start, start + size)
        position += _CENTRAL_HEADER + name_size + _number(header, 30, 2) + _number(header, 32, 2)
    return members


class ArchiveImporter:
    """Meta path finder and loader over the zip in memory."""

    def __init__(self, archive):
        self._archive = archive
        self._members = _directory(archive)

    def __repr__(self):
        return "<importer of the guest's standard library>"

    def _find(self, name):
        stem = name.replace(".", "/")
        for path, is_package in ((stem + "/__init__.pyc", True), (stem + ".pyc", False)):
            if path in self._members:
                return path, is_package
        return None, False

    def find_spec(self, name, path=None, target=None):
        member, is_package = self._find(name)
        if member is None:
            return None
        spec = _bootstrap.ModuleSpec(name, self, origin=f"{ROOT}/{member[:-1]}", is_package=is_package)
        spec.has_location = True  # gives the module its __file__, which some of the library reads
        if is_package:
            spec.submodule_search_locations.append(f"{ROOT}/{name.replace('.', '/')}")
        return spec

    def create_module(self, spec):
        return None

    def get_code(self, name):
        member, _ = self._find(name)
        if member is None:
            raise ImportError(f"no module named {name!r} in the guest's standard library", name=name)
        start, stop = self._members[member]
        return marshal.loads(self._archive[start + _PYC_HEADER : stop])

    def exec_module(self, module):
        exec(self.get_code(module.__spec__.name), module.__dict__)

    def is_package(self, name):
        return self._find(name)[1]

    def get_source(self, name):
        """Sources are not shipped; tracebacks through the library show no lines."""
        return None

    def get_data(self, path):
        """A data file of the library, such as lib2to3's grammars: OSError when there is none."""
        member = path.removeprefix(ROOT + "/")
        if member not in self._members:
            raise FileNotFoundError(f"{path} is not in the guest's standard library")
        start, stop = self._members[member]
        return bytes(self._archive[start:stop])


sys.meta_path.append(ArchiveImporter(_udf.archive()))
