"""Files of packages, as `importlib.resources` and `open` want them; imported when the first is asked for."""

import importlib.resources.abc
import io
import pathlib


class Resource(importlib.resources.abc.Traversable):
    """A file or directory of a package, whether or not there is one."""

    def __init__(self, read, path):
        """`read` gives a file's bytes or, with a slash at its end, a directory's names; None when there is no such."""
        self._read = read
        self._path = path

    def __repr__(self):
        return f"Resource({self._path!r})"

    @property
    def name(self):
        return self._path.rpartition("/")[2]

    def joinpath(self, *descendants):
        return Resource(self._read, str(pathlib.PurePosixPath(self._path, *descendants)))

    def is_dir(self):
        return self._read(self._path + "/") is not None

    def is_file(self):
        return self._read(self._path) is not None

    def iterdir(self):
        names = self._read(self._path + "/")
        if names is None:
            raise NotADirectoryError(20, "there is no such directory in the sandbox", self._path)
        for name in names.decode().split("\n"):
            yield self.joinpath(name.removesuffix("/"))

    def read_text(self, encoding=None, errors=None, newline=None):
        with self.open(
            "r", encoding, errors, newline
        ) as stream:  # the base class's has no `errors`, which callers give
            return stream.read()

    def open(self, mode="r", *arguments, **keywords):
        if mode not in ("r", "rt", "rb"):
            raise ValueError(f"a package's files can only be read, not opened with mode {mode!r}")
        data = self._read(self._path)
        if data is None:
            error = IsADirectoryError if self.is_dir() else FileNotFoundError
            raise error(2, "there is no such file in the sandbox", self._path)
        stream = io.BytesIO(data)
        return stream if mode == "rb" else io.TextIOWrapper(stream, *arguments, **keywords)


class Reader(importlib.resources.abc.TraversableResources):
    """The resources of one package."""

    def __init__(self, package):
        self._package = package

    def files(self):
        return self._package
