"""`open`, and the functions of `os` that look at files, with the files of the trees among those there are."""

import builtins
import errno
import functools
import io
import os
import posixpath
import stat
import zlib

from _udf_files.trees import locate, names

_NO_FILE = "there is no such file in the sandbox"


class Builtin:
    """A function that doesn't become a method where it is the attribute of a class, as those written in C don't."""

    def __init__(self, function, original):
        """`original` is the function that it stands in for, whose name and signature it has."""
        functools.update_wrapper(self, original)
        self._function = function

    def __call__(self, *arguments, **keywords):
        return self._function(*arguments, **keywords)

    def __repr__(self):
        return repr(self.__wrapped__)

    def __reduce__(self):
        return self.__name__  # pickled by its name, as functions are


def _replace(module, name):
    """Return a decorator: the function takes the place of one of a module. It is passed the original first."""

    def replace(function):
        original = getattr(module, name)
        stand_in = Builtin(functools.partial(function, original), original)
        stand_in.__module__ = module.__name__
        setattr(module, name, stand_in)
        return stand_in

    return replace


@_replace(io, "open")
def _open(original, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *arguments, **keywords):
    read, path = locate(file)
    if read is None:
        return original(file, mode, buffering, encoding, errors, newline, *arguments, **keywords)
    if not {"r", "b", "t", "U"}.issuperset(mode):
        raise OSError(errno.EROFS, "the files of the sandbox can only be read", file)
    data = read(path) if path else None
    if data is None:
        if names(read, path) is not None:
            raise IsADirectoryError(errno.EISDIR, "is a directory", file)
        raise FileNotFoundError(errno.ENOENT, _NO_FILE, file)
    stream = io.BytesIO(data)
    stream.name, stream.mode = file, "rb"
    return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)


builtins.open = io.open


@_replace(io, "open_code")
def _open_code(original, path):
    return original(path) if locate(path)[0] is None else _open(path, "rb")


def _status(file):
    """Return the `os.stat_result` of what is in a tree; None for what isn't below one."""
    read, path = locate(file)
    if read is None:
        return None
    data = read(path) if path else None
    if data is not None:
        mode, size = stat.S_IFREG | 0o444, len(data)
    elif names(read, path) is not None:
        mode, size = stat.S_IFDIR | 0o555, 0
    else:
        raise FileNotFoundError(errno.ENOENT, _NO_FILE, file)
    return os.stat_result((mode, zlib.crc32(repr((read, path)).encode()), 1, 1, 0, 0, size, 0, 0, 0))


@_replace(os, "stat")
def _stat(original, path, *, dir_fd=None, follow_symlinks=True):
    return _status(path) or original(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)


@_replace(os, "lstat")
def _lstat(original, path, *, dir_fd=None):
    return _status(path) or original(path, dir_fd=dir_fd)


@_replace(os, "access")
def _access(original, path, mode, **keywords):
    try:
        status = _status(path)
    except FileNotFoundError:
        return False
    return not mode & os.W_OK if status else original(path, mode, **keywords)


def _listed(path):
    """Return the names in a directory of a tree; None for what isn't below one."""
    read, below = locate(path)
    if read is None:
        return None
    found = names(read, below)
    if found is None:
        error = FileNotFoundError if read(below) is None else NotADirectoryError
        number = errno.ENOENT if error is FileNotFoundError else errno.ENOTDIR
        raise error(number, "there is no such directory in the sandbox", path)
    return found


@_replace(os, "listdir")
def _listdir(original, path="."):
    found = _listed(path)
    if found is None:
        return original(path)
    found = [name.removesuffix("/") for name in found]
    return [os.fsencode(name) for name in found] if isinstance(path, bytes) else found


@_replace(os, "scandir")
def _scandir(original, path="."):
    found = _listed(path)
    return original(path) if found is None else _Entries(path, found)


class _Entries:
    """What `os.scandir` returns."""

    def __init__(self, folder, found):
        self._entries = iter([_Entry(folder, name) for name in found])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._entries = iter(())


class _Entry:
    """An `os.DirEntry`."""

    def __init__(self, folder, name):
        folder = os.fspath(folder)
        own = name.removesuffix("/")
        self.name = os.fsencode(own) if isinstance(folder, bytes) else own
        self.path = posixpath.join(folder, self.name)
        self._is_dir = own != name

    def __repr__(self):
        return f"<DirEntry {self.name!r}>"

    def __fspath__(self):
        return self.path

    def is_dir(self, *, follow_symlinks=True):
        return self._is_dir

    def is_file(self, *, follow_symlinks=True):
        return not self._is_dir

    def is_symlink(self):
        return False

    def is_junction(self):
        return False

    def stat(self, *, follow_symlinks=True):
        return _status(self.path)

    def inode(self):
        return self.stat().st_ino
