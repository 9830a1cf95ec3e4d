"""Runs in the guest: one file of numpy's tests, by pytest, each outcome reported to the host.

The text of this module is the function's source. `run_tests` is the function.
"""

import importlib.machinery
import json
import os
import re
import sys
import types

import host
import numpy as np
import numpy.ma
import numpy.testing
import pytest

# What is not in the guest, of which test modules import something: using it skips the test.
_ABSENT = (
    "_ctypes",
    "ctypes",
    "hypothesis",
    "hypothesis.extra",
    "hypothesis.extra.numpy",
    "hypothesis.strategies",
    "mmap",
    "numpy._core._multiarray_tests",
    "numpy._core._operand_flag_tests",
    "numpy._core._rational_tests",
    "numpy._core._struct_ufunc_tests",
    "numpy._core._umath_tests",
)


class _Absent:
    """Anything of a module that isn't there."""

    def __init__(self, name, *_class):  # also what a class statement makes whose base it is
        self._name = name

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and isinstance(args[0], types.FunctionType):  # a decorator
            return pytest.mark.skip(reason=f"needs {self._name}")(args[0])
        if _state["collecting"]:
            return _Absent(self._name)
        pytest.skip(f"needs {self._name}")
        return None

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return np.dtype(object) if name == "dtype" else _Absent(self._name)

    def __mul__(self, other):
        return self

    __rmul__ = __or__ = __mul__


_state = {"collecting": True}


def _provide_absent():
    for name in _ABSENT:
        module = types.ModuleType(name)
        module.__getattr__ = lambda attribute, name=name: (
            _Absent(name) if not attribute.startswith("__") else _raise(attribute)
        )
        module.__path__ = []
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent in sys.modules:
            setattr(sys.modules[parent], last, module)


class _Helpers:
    """Finds test modules, which import each other, by the names that they have in numpy."""

    def find_spec(self, name, path=None, target=None):
        found = re.fullmatch(r"numpy\.(\w+)\.tests(\.\w+)?", name)
        if found is None:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=found[2] is None)

    def create_module(self, spec):
        found = re.fullmatch(r"numpy\.(\w+)\.tests(\.\w+)?", spec.name)
        return importlib.import_module(f"numpy_tests.{found[1]}{found[2] or ''}")

    def exec_module(self, module):
        pass


def _raise(name):
    raise AttributeError(name)


class _Reporter:
    """A plugin of pytest: runs the tests from one on."""

    def __init__(self, start):
        self.start = start
        self.number = start - 1
        self.session = None

    def pytest_configure(self, config):
        # Other tracebacks parse the file again for each test that fails, which takes seconds for the large ones.
        config.option.tbstyle = "native"

    def pytest_sessionstart(self, session):
        self.session = session

    @pytest.hookimpl(trylast=True)  # after those that are slow were left out
    def pytest_collection_modifyitems(self, items):
        _state["collecting"] = False
        host.report(json.dumps(["plan", len(items)]))
        items[:] = items[self.start :]

    def pytest_runtest_logstart(self, nodeid):
        self.number += 1
        host.report(json.dumps(["start", self.number, nodeid]))

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            outcome = "xfailed" if hasattr(report, "wasxfail") and report.skipped else report.outcome
            host.report(
                json.dumps(["end", report.nodeid, outcome, str(report.longrepr)[-400:] if report.failed else ""])
            )

    def pytest_runtest_logfinish(self):
        if not host.report(json.dumps(["next", self.number + 1])):
            self.session.shouldstop = "another instance goes on"

    def pytest_collectreport(self, report):
        if report.failed:
            host.report(json.dumps(["end", report.nodeid or "collection", "failed", str(report.longrepr)[-400:]]))


def run_tests(path: str, start: int) -> int:
    """Run a file's tests from the one with the number `start` on. Returns the status of pytest."""
    _provide_absent()
    sys.meta_path.insert(0, _Helpers())
    os.chdir = lambda path: None
    os.getcwd = lambda: "/packages"
    without = (
        "cacheprovider",
        "faulthandler",
        "threadexception",
        "unraisableexception",
        "capture",
        "tmpdir",
        "logging",
    )
    options = [
        "-mnot slow",
        *(f"-pno:{name}" for name in (*without, "terminal")),
        "--rootdir=/packages",
        "--import-mode=importlib",
    ]
    return int(pytest.main([*options, f"/packages/{path}"], plugins=[_Reporter(start)]))
