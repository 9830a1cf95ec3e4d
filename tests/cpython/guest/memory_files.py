"""Files in memory, so that tests which write one on their way to something else can run.

What passes with them says nothing about files, which a guest has not, but all the more about the rest of those tests.
Everything outside `/packages/`, where the guest sees its packages, can be written.
"""

import builtins
import errno
import glob
import importlib.abc
import importlib.util
import io
import os
import posixpath
import shutil
import stat
import sys
import tempfile
import tokenize

ROOT = "/packages/"
WRITTEN_AT = 1_000_000_000  # all files, in 2001
FIRST_DESCRIPTOR = 1000  # of those that `mkstemp` returns

real_open, real_close = io.open, os.close


def error_of(number, path):
    return OSError(number, os.strerror(number), path)


class MemoryFile(io.RawIOBase):
    """One opening of a file."""

    def __init__(self, data, name, mode):
        self.data, self.name, self.mode, self.position = data, name, mode, 0
        self.can_read, self.can_write = "r" in mode or "+" in mode, mode[0] in "wax" or "+" in mode

    def readable(self):
        return self.can_read

    def writable(self):
        return self.can_write

    def seekable(self):
        return True

    def readinto(self, buffer):
        if not self.can_read:
            raise io.UnsupportedOperation("File not open for reading")
        piece = self.data[self.position : self.position + len(buffer)]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)

    def write(self, buffer):
        if not self.can_write:
            raise io.UnsupportedOperation("File not open for writing")
        piece = memoryview(buffer).cast("B")
        if self.mode[0] == "a":
            self.position = len(self.data)
        self.data.extend(bytes(max(0, self.position - len(self.data))))
        self.data[self.position : self.position + len(piece)] = piece
        self.position += len(piece)
        return len(piece)

    def seek(self, offset, whence=0):
        self.position = offset + (0, self.position, len(self.data))[whence]
        if self.position < 0:
            self.position = 0
            raise OSError(errno.EINVAL, "Invalid argument")
        return self.position

    def tell(self):
        return self.position

    def truncate(self, size=None):
        size = self.position if size is None else size
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))
        return size


class Files:
    """A file system in which everything not below ROOT can be written."""

    def __init__(self):
        self.files = {}
        self.folder = "/"
        self.descriptors = {}  # the paths of those that `mkstemp` returned
        self.folders = {"/", "/tmp", ROOT.rstrip("/")}
        self.read = sys.modules["test"].__loader__.read  # of a directory, with a slash at its end, the names in it

    def path(self, path):
        if isinstance(path, int):
            raise OSError(errno.EBADF, "Bad file descriptor")
        path = os.fsdecode(os.fspath(path))
        if "\0" in path:
            raise ValueError("embedded null byte")
        return posixpath.normpath(posixpath.join(self.folder, path))

    def find(self, path):
        """A file's contents, None of a folder; OSError when there is neither."""
        at = self.path(path)
        if at in self.folders:
            return None
        if at in self.files:
            return self.files[at]
        if at.startswith(ROOT):
            if self.read(at.removeprefix(ROOT) + "/") is not None:
                return None
            found = self.read(at.removeprefix(ROOT))
            if found is not None:
                return bytearray(found)
        raise error_of(errno.ENOENT, path)

    def parent(self, at, path):
        if self.find(posixpath.dirname(at)) is not None:
            raise error_of(errno.ENOTDIR, path)

    def open(self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
        file = self.descriptors.get(file, file) if isinstance(file, int) else file
        if isinstance(file, int) or not isinstance(file, (str, bytes, os.PathLike)):
            return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        kind = mode.replace("b", "").replace("t", "")
        if kind not in ("r", "w", "a", "x", "r+", "w+", "a+", "x+") or ("b" in mode and encoding is not None):
            return real_open(file, mode, buffering, encoding, errors, newline)
        at = self.path(file)
        try:
            data = self.find(at)
        except OSError:
            if kind[0] == "r":
                raise error_of(errno.ENOENT, file) from None
            self.parent(at, file)
            data = self.files[at] = bytearray()
        else:
            if data is None:
                raise error_of(errno.EISDIR, file)
            if kind[0] == "x":
                raise error_of(errno.EEXIST, file)
            if kind[0] == "w":
                del data[:]
        raw = MemoryFile(data, file, kind + "b" if kind != "w+" else "rb+")
        if buffering == 0:
            if "b" not in mode:
                raise ValueError("can't have unbuffered text I/O")
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        both = "+" in kind
        buffered = (io.BufferedRandom if both else io.BufferedReader if kind == "r" else io.BufferedWriter)(raw, size)
        if kind[0] == "a":
            buffered.seek(0, 2)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, io.text_encoding(encoding), errors, newline, line_buffering=buffering == 1)
        text.mode = mode
        return text

    def stat(self, path, *, dir_fd=None, follow_symlinks=True):
        data = self.find(path)
        mode = stat.S_IFDIR | 0o755 if data is None else stat.S_IFREG | 0o644
        size = 0 if data is None else len(data)
        return os.stat_result(
            (mode, hash(self.path(path)) & 0xFFFFFF, 1, 1, 0, 0, size, WRITTEN_AT, WRITTEN_AT, WRITTEN_AT)
        )

    def listdir(self, path="."):
        if self.find(path) is not None:
            raise error_of(errno.ENOTDIR, path)
        at = self.path(path).rstrip("/") + "/"
        listing = self.read(at.removeprefix(ROOT)) if at.startswith(ROOT) else None
        names = set() if listing is None else {name.removesuffix("/") for name in listing.decode().split("\n")}
        names |= {
            each.removeprefix(at).partition("/")[0] for each in [*self.files, *self.folders] if each.startswith(at)
        }
        names.discard("")
        return [os.fsencode(name) for name in names] if isinstance(path, bytes) else list(names)

    def remove(self, path, *, dir_fd=None):
        if self.find(path) is None:
            raise error_of(errno.EISDIR, path)
        self.files.pop(self.path(path), None)

    def mkdir(self, path, mode=0o777, *, dir_fd=None):
        at = self.path(path)
        try:
            self.find(at)
        except OSError:
            self.parent(at, path)
            self.folders.add(at)
        else:
            raise error_of(errno.EEXIST, path)

    def chdir(self, path):
        if self.find(path) is not None:
            raise error_of(errno.ENOTDIR, path)
        self.folder = self.path(path)

    def getcwd(self):
        return self.folder

    def getcwdb(self):
        return os.fsencode(self.folder)

    def rmdir(self, path, *, dir_fd=None):
        if self.find(path) is not None:
            raise error_of(errno.ENOTDIR, path)
        if self.listdir(path):
            raise error_of(errno.ENOTEMPTY, path)
        self.folders.discard(self.path(path))

    def rename(self, source, target, **options):
        self.find(source)
        old, new = self.path(source), self.path(target)
        self.folders = {
            new + each.removeprefix(old) if each == old or each.startswith(old + "/") else each for each in self.folders
        }
        self.files = {
            new + each.removeprefix(old) if each == old or each.startswith(old + "/") else each: data
            for each, data in self.files.items()
        }

    def rmtree(self, path, ignore_errors=False, **options):
        at = self.path(path)
        self.folders = {each for each in self.folders if each != at and not each.startswith(at + "/")}
        self.files = {each: data for each, data in self.files.items() if not each.startswith(at + "/")}

    def temporary(
        self,
        mode="w+b",
        buffering=-1,
        encoding=None,
        newline=None,
        suffix=None,
        prefix=None,
        dir=None,
        *,
        errors=None,
        **options,
    ):
        return self.open(
            tempfile.mktemp(suffix or "", prefix or "tmp", dir), mode, buffering, encoding, errors, newline
        )

    def mkstemp(self, suffix=None, prefix=None, dir=None, text=False):
        path = tempfile.mktemp(suffix or "", prefix or "tmp", dir)
        self.open(path, "x").close()
        descriptor = FIRST_DESCRIPTOR + len(self.descriptors)
        self.descriptors[descriptor] = path
        return descriptor, path

    def mkdtemp(self, suffix=None, prefix=None, dir=None):
        path = tempfile.mktemp(suffix or "", prefix or "tmp", dir)
        self.mkdir(path)
        return path

    def close(self, descriptor):
        if self.descriptors.pop(descriptor, None) is None:
            real_close(descriptor)

    def scandir(self, path="."):
        return Scan(FolderEntry(self, path, name) for name in self.listdir(path))


class FolderEntry:
    """What is in it."""

    def __init__(self, files, folder, name):
        self.files, self.name, self.path = files, name, os.path.join(folder, name)

    def __fspath__(self):
        return self.path

    def stat(self, *, follow_symlinks=True):
        return self.files.stat(self.path)

    def is_dir(self, *, follow_symlinks=True):
        return self.files.find(self.path) is None

    def is_file(self, *, follow_symlinks=True):
        return not self.is_dir()

    def is_symlink(self):
        return False

    is_junction = is_symlink


class Scan:
    """What `os.scandir` returns."""

    def __init__(self, entries):
        self.entries = entries

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.entries)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def close(self):
        pass


class Function:
    """A function that doesn't become a method, as those in C don't."""

    def __init__(self, function):
        self.function = function
        self.__name__ = self.__qualname__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *arguments, **keywords):
        return self.function(*arguments, **keywords)


def provide():
    """Let `open`, `os`, `tempfile` and the like work on files in memory."""
    files = Files()
    builtins.open = io.open = tokenize._builtin_open = Function(files.open)
    for name in ("stat", "listdir", "scandir", "remove", "mkdir", "rmdir", "rename", "chdir", "getcwd", "getcwdb"):
        setattr(os, name, Function(getattr(files, name)))
    os.lstat, os.unlink, os.replace = os.stat, os.remove, os.rename
    os.access = lambda path, mode, **options: os.path.exists(path)
    os.chmod = os.utime = os.truncate = lambda *arguments, **keywords: None
    os.close = Function(files.close)
    shutil.rmtree = files.rmtree
    glob._StringGlobber.scandir = staticmethod(os.scandir)
    tempfile.tempdir = "/tmp"
    tempfile.TemporaryFile = files.temporary
    tempfile.mkstemp = files.mkstemp
    tempfile.mkdtemp = files.mkdtemp
    tempfile.NamedTemporaryFile = lambda *arguments, **keywords: NamedFile(files, *arguments, **keywords)
    sys.meta_path.append(Finder(files))


class NamedFile:
    """What `tempfile.NamedTemporaryFile` returns."""

    def __init__(self, files, *arguments, delete=True, delete_on_close=True, **keywords):
        self.file = files.temporary(*arguments, **keywords)
        self.name = self.file.name
        self.delete = delete

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __iter__(self):
        return iter(self.file)

    def close(self):
        self.file.close()
        if self.delete and os.path.exists(self.name):
            os.remove(self.name)


class Finder:
    """Imports modules that tests have written, from the folders of `sys.path`."""

    def __init__(self, files):
        self.files = files

    def find_spec(self, name, path=None, target=None):
        last = name.rpartition(".")[2]
        for folder in sys.path if path is None else path:
            for file, is_package in ((f"{last}/__init__.py", True), (f"{last}.py", False)):
                found = posixpath.join("/", folder, file)
                if found in self.files.files:
                    places = [posixpath.dirname(found)] if is_package else None
                    return importlib.util.spec_from_file_location(
                        name, found, loader=Loader(self.files, found), submodule_search_locations=places
                    )
        return None


class Loader(importlib.abc.SourceLoader):
    """Loads one of them."""

    def __init__(self, files, path):
        self.files, self.path = files, path

    def get_filename(self, name):
        return self.path

    def get_data(self, path):
        return bytes(self.files.find(path))
