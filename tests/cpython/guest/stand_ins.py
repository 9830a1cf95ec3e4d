"""Stand-ins for other things that the guest lacks, where tests need them on their way to something else."""

import fnmatch
import os
import sys
import types
import unittest

ROOT = "/packages/"
TEST_MODULES = (
    "_testcapi",
    "_testinternalcapi",
    "_testlimitedcapi",
    "_testsinglephase",
    "_testmultiphase",
    "_ctypes_test",
)


class Missing:
    """An attribute of a module that isn't there: the test that uses it is skipped."""

    def __init__(self, name):
        self.name = name

    def __call__(self, *arguments, **keywords):
        raise unittest.SkipTest(f"needs {self.name}")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise unittest.SkipTest(f"needs {self.name}")

    def __mro_entries__(self, bases):
        return ()

    def __mul__(self, other):
        raise unittest.SkipTest(f"needs {self.name}")


class MissingModule(types.ModuleType):
    """A module of which every attribute is missing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(f"{self.__name__}.{name}")


def provide_test_modules():
    """Let test modules import CPython's C modules for tests, which the guest is built without."""
    for name in TEST_MODULES:
        sys.modules[name] = MissingModule(name)
    sys.modules["_testinternalcapi"].get_config = lambda: {"code_debug_ranges": 1}
    sys.modules["_testinternalcapi"].get_immortalize_deferred = lambda: False


def provide_event_loop():
    """Let asyncio's event loop start without a pair of sockets: in one thread, nothing has to wake it from outside."""
    import asyncio.selector_events

    loop = asyncio.selector_events.BaseSelectorEventLoop
    loop._make_self_pipe = loop._close_self_pipe = loop._write_to_self = lambda self: None


def provide_lzma(decompress):
    """Let tests read what is compressed with it: the host decompresses."""
    module = types.ModuleType("lzma")
    module.decompress = decompress
    sys.modules["lzma"] = sys.modules["_lzma"] = module


def load_package_tests(directory, loader, tests, pattern):
    """Do what `test.support.load_package_tests` does, with no directory to search."""
    package = directory.removeprefix(ROOT).replace("/", ".")
    for file in sorted(os.listdir(directory)):
        if fnmatch.fnmatch(file, "test*.py"):
            tests.addTests(loader.loadTestsFromName(f"{package}.{file.removesuffix('.py')}"))
    return tests
