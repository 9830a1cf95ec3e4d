"""Finds modules, and the files that belong to them, in the zip that is part of the guest's memory.

Frozen into the interpreter and run before the standard library can be imported, so it imports only built-in modules.
In the zip (format: PKWARE APPNOTE.TXT 6.3, sections 4.3.7 and 4.3.12) a module is twice: as an uncompressed `.pyc`, so
that importing it is one `marshal.loads` over a slice of memory, and as its source, compressed, for tracebacks.

Its name in tracebacks is that of one of CPython's own importers, so that `warnings` doesn't count its frames.
"""

import _frozen_importlib as _bootstrap
import marshal
import sys

import _udf

_PYC_HEADER = 16  # bytes before the code object (PEP 552)
_CENTRAL_HEADER = 46
_LOCAL_HEADER = 30

# That of a 64-bit CPython. Programs use it as a number larger than all others, which 2**31 - 1 isn't. The interpreter
# takes it for the largest size it has (wasm/guest.mk).
sys.maxsize = 2**63 - 1


class Importer:
    """Meta path finder and loader over files, of which `read` gives the bytes by their paths below `root`.

    A compiled module's file is the marshalled code alone.
    """

    root = ""  # ends in a slash

    def __repr__(self):
        return f"<importer of {self.root}>"

    def read(self, path):
        """Return the file's bytes, or None if there is none.

        A path that is empty or ends in a slash is a directory's: its bytes are the names in it, one a line, with a
        slash after those of directories, and without those of compiled modules.
        """
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
        if not spec.has_location:  # a package without an __init__ (PEP 420)
            return
        code, spec.loader_state = spec.loader_state, None
        exec(self.get_code(spec.name) if code is None else self.load(spec.name, code), module.__dict__)

    def load(self, name, code):
        return marshal.loads(code)

    def get_code(self, name):
        return self.load(name, self._member(name)[1])

    def is_package(self, name):
        return self._member(name)[0].endswith("/__init__.pyc")

    def get_filename(self, name):
        return self.root + self._member(name)[0][:-1]

    def get_source(self, name):
        """Return the source, for tracebacks and `inspect`; None if there is none."""
        source = self.read(self._member(name)[0][:-1])
        if source is None:
            return None
        import importlib.util

        return importlib.util.decode_source(bytes(source))

    def get_data(self, path):
        """Return a file's bytes. Raises OSError if there is none."""
        import posixpath

        normal = posixpath.normpath(path)
        data = self.read(normal.removeprefix(self.root)) if normal.startswith(self.root) else None
        if data is None:
            raise FileNotFoundError(2, "there is no such file in the sandbox", path)
        return bytes(data)

    def get_resource_reader(self, name):
        """Return a reader, for `importlib.resources`."""
        from _udf_files import resources

        return resources.Reader(self.root + name.replace(".", "/"))

    def _member(self, name):
        member, code = self._find(name)
        if member is None:
            raise ImportError(f"no module named {name!r} in {self.root}", name=name)
        return member, code


def _number(data, offset, size):
    return int.from_bytes(data[offset : offset + size], "little")


def _directory(archive):
    """Return the place of each member's bytes: {name: (start, stop, whether it is compressed)}."""
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
        stop = start + size
        members[name] = (
            (start + _PYC_HEADER, stop, False) if name.endswith(".pyc") else (start, stop, name[-3:] == ".py")
        )
        position += _CENTRAL_HEADER + name_size + _number(header, 30, 2) + _number(header, 32, 2)
    return members


class ArchiveImporter(Importer):
    """One of the folders of the zip: the standard library, or packages that are part of the guest."""

    def __init__(self, archive, members, folder):
        """`archive` has the bytes of `members`, which `_directory` returned. `folder` ends in a slash, or is empty."""
        self.root = "/stdlib/" + folder
        self._archive = archive
        self._members = members
        self._folder = folder
        self._directories = None

    def read(self, path):
        member = self._members.get(self._folder + path)
        if member is None:
            return self._names(path) if not path or path.endswith("/") else None
        start, stop, is_compressed = member
        data = self._archive[start:stop]
        if not is_compressed:
            return data
        import zlib

        return zlib.decompress(data)

    def exec_module(self, module):
        super().exec_module(module)
        completion = module.__spec__.name.replace(".", "_")
        if f"_udf_completions/{completion}.pyc" in self._members:
            __import__(f"_udf_completions.{completion}")

    def _names(self, folder):
        if self._directories is None:
            self._directories = directories = {}
            for member in self._members:
                if not member.startswith(self._folder) or member.endswith(".pyc"):
                    continue
                parts = member.removeprefix(self._folder).split("/")
                for depth, name in enumerate(parts):
                    inside = directories.setdefault("".join([part + "/" for part in parts[:depth]]), set())
                    inside.add(name if depth == len(parts) - 1 else name + "/")
        names = self._directories.get(folder)
        return None if names is None else "\n".join(sorted(names)).encode()


_archive = _udf.archive()
_members = _directory(_archive)
library = ArchiveImporter(_archive, _members, "")
site_packages = ArchiveImporter(_archive, _members, "site-packages/")
sys.meta_path.append(library)
