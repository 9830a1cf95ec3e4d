"""What the sandbox doesn't have, said in the errors of code that looks for it."""

import errno
import sys

import _udf

from _udf_guest.numpy_part import numpy_part

_PACKAGES = "/packages/"
_PACKAGES_SHOWN = 20
_CHAINED_EXCEPTIONS = 20

# Well-known packages that can't run in the guest, with what to do. For others the hint says how packages are granted.
_TABLES = "a function gets rows or Column, and py_map_batches a whole table"
_INSTEAD = {
    "scipy": "use math and statistics",
    "pandas": _TABLES,
    "polars": _TABLES,
    "pyarrow": _TABLES,
    "duckdb": "leave queries to the SQL around the function",
    "sklearn": "let a host function compute it",
    "torch": "let a host function compute it",
    "tensorflow": "let a host function compute it",
    "matplotlib": "return the numbers, and draw them outside",
    "PIL": "let a host function compute it",
    "cv2": "let a host function compute it",
    "lxml": "use xml.etree or html.parser",
    "orjson": "use json",
    "ujson": "use json",
    "pydantic": "use dataclasses",
    "regex": "use re",
    "rapidfuzz": "use difflib",
    "Levenshtein": "use difflib",
    "statsmodels": "use statistics",
    "pyspark": "write a plain function of a row's values",
    "transformers": "let a host function compute it",
    "spacy": "let a host function compute it",
    "xgboost": "let a host function compute it",
    "psycopg2": "let a host function ask the database",
    "psycopg": "let a host function ask the database",
    "cryptography": "use hashlib and hmac, or a host function",
}
_NETWORKING = {
    "requests",
    "httpx",
    "aiohttp",
    "urllib3",
    "boto3",
    "botocore",
    "openai",
    "anthropic",
    "websockets",
    "redis",
}

_NO_FILES = "the sandbox has no files"
_OF_SOCKETS = ("/stdlib/socket.py", "/stdlib/_udf_completions/socket.py")
_NO_NETWORK = "the sandbox has no network; a host function can make requests"
_NO_PROCESSES = "the sandbox has no processes"
_NO_THREADS = "the sandbox has no threads"
_NO_INPUT = "the sandbox has no input; take the value as a parameter"
_NO_VARIABLES = "the sandbox has no environment variables; take the value as a parameter"
_NO_LOOP = (
    "async functions await host functions, without an event loop; asyncio.run in a plain def runs other coroutines"
)

_OF_PROCESSES = {"fork", "forkpty", "system", "popen", "posix_spawn", "execv", "execve", "kill", "waitpid", "WNOHANG"}
_OF_FILES = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EBADF,
    errno.ENOTDIR,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EROFS,
}
# What CPython says, to find what is behind it.
_OF_MESSAGES = {
    (RuntimeError, "can't start new thread"): _NO_THREADS,
    (RuntimeError, "no running event loop"): _NO_LOOP,
    (EOFError, "EOF when reading a line"): _NO_INPUT,
}
_SECURE = "HTTPSConnection"  # needs _ssl, so http.client is without it
_UNKNOWN_URL = "unknown url type: https"  # which urllib says for the same reason
_FILE_MODULES = ("/stdlib/os.py", "/stdlib/tempfile.py", "/stdlib/shutil.py", "/stdlib/pathlib/", "/stdlib/glob.py")


def add_hints(exception):
    """Say in an exception, and in those behind it, what the sandbox doesn't have.

    Returns:
        True if it was said of any.
    """
    said = False
    for _ in range(_CHAINED_EXCEPTIONS):
        if exception is None:
            break
        hint = _hint(exception)
        if hint is not None:
            said = True
            _append(exception, hint)
        behind = exception.__cause__
        exception = behind if behind is not None or exception.__suppress_context__ else exception.__context__
    return said


def _hint(exception):
    if isinstance(exception, ModuleNotFoundError):
        return _of_module(exception.name) if type(exception.name) is str else None
    files = [frame.f_code.co_filename for frame in _frames(exception)]
    if any(file.startswith(("/stdlib/multiprocessing/", "/stdlib/subprocess.py")) for file in files):
        return _NO_PROCESSES
    if type(exception) is AttributeError:
        return _of_attribute(exception)
    said = _OF_MESSAGES.get((type(exception), str(exception)))
    if said is not None:
        return said
    if type(exception) is KeyError and files and files[-1] == "/stdlib/os.py":
        return _NO_VARIABLES
    if getattr(exception, "reason", None) == _UNKNOWN_URL:
        return _NO_NETWORK
    if isinstance(exception, OSError) and type(exception.errno) is int:
        return _of_os_error(exception, files)
    return None


def _of_attribute(exception):
    if exception.obj is sys.modules.get("os") and exception.name in _OF_PROCESSES:
        return _NO_PROCESSES
    client = sys.modules.get("http.client")
    return _NO_NETWORK if client is not None and exception.obj is client and exception.name == _SECURE else None


def _of_os_error(exception, files):
    if files and files[-1] in _OF_SOCKETS:
        return _NO_NETWORK
    if exception.errno not in _OF_FILES or str(exception.filename).startswith(_PACKAGES):
        return None
    return _NO_FILES if exception.filename is not None or (files and files[-1].startswith(_FILE_MODULES)) else None


def _of_module(name):
    root = name.partition(".")[0]
    if root == "numpy":
        return _of_numpy()
    if root in sys.stdlib_module_names:
        return "the sandbox's standard library is without it" if "." not in name else None
    granted = _granted()
    if root in granted:
        return None  # a module that the package doesn't have
    has = f"the packages {', '.join(granted)}" if granted else "no packages"
    hint = f"the sandbox has the standard library and {has}; "
    if root in _INSTEAD:
        return f"{hint}{root} is native code, which can't run in it: {_INSTEAD[root]}"
    if root in _NETWORKING:
        return f"{hint}it has no network either, so that {root} is of no use: a host function can make requests"
    return f"{hint}pure Python can be granted, with Sandbox(packages=[{root!r}])"


def _of_numpy():
    if numpy_part() is not None:
        return "the sandbox's numpy is without it"
    return "the sandbox has numpy for functions whose code imports it by name: write `import numpy` into this one's"


def _granted():
    """Return the top-level names of the packages that the sandbox was given."""
    names = bytes(_udf.host_import(_PACKAGES) or b"").decode().split("\n")
    stems = [name.removesuffix("/").removesuffix(".py") for name in names]
    found = [stem for stem in stems if stem.isidentifier()]
    return found[:_PACKAGES_SHOWN]


def _frames(exception):
    frames, traceback = [], exception.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


def _append(exception, hint):
    """Add a hint to the text of an exception, once: the same object may be raised again."""
    if hint in str(exception):
        return
    if isinstance(exception, ImportError):
        exception.msg = f"{exception.msg}: {hint}"
    elif getattr(exception, "reason", None) == _UNKNOWN_URL:
        exception.reason = f"{_UNKNOWN_URL} ({hint})"
    elif type(exception) is KeyError:  # whose text is the repr of what is missing
        exception.args = (f"{exception.args[0]} ({hint})",)
    elif isinstance(exception, OSError):
        exception.strerror = f"{exception.strerror} ({hint})"
    else:
        exception.args = (f"{exception}: {hint}",)
