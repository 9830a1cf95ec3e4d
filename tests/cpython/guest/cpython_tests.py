"""Runs one module of CPython's tests in the guest, and reports each test as it starts and ends.

An event is a list:

- ["plan", count]: the number of tests that were loaded; they are numbered from 0;
- ["start", number, id];
- ["end", number, id, outcome, detail]: outcome is "ok", "fail", "error", "skip", "expected failure" or "unexpected
  success"; detail is the end of the traceback, or the reason for skipping;
- ["fixture", id, outcome, detail]: `setUpClass` and the like failed or skipped, so that tests were not run;
- ["module", outcome, detail]: there are no tests to run: the module's import failed, or it skips itself.
"""

import importlib
import sys
import traceback
import unittest
import warnings

import host
import memory_files
import stand_ins

DETAIL_CHARACTERS = 3000
WORST_LAST = ("ok", "skip", "expected failure", "unexpected success", "fail", "error")

# Modules that can't be imported without CPython's C modules for tests. Others skip what needs one by themselves.
NEED_TEST_MODULES = frozenset(
    {
        "test_bytes",
        "test_class",
        "test_code",
        "test_compile",
        "test_dis",
        "test_marshal",
        "test_monitoring",
        "test_pyclbr",
        "test_traceback",
        "test_type_cache",
        "test_types",
    }
)

# Modules that CPython skips as a whole for want of sockets or processes, which only some of their tests need.
NEED_NO_SOCKETS = frozenset(
    {
        "test_asyncgen",
        "test_asyncio",
        "test_contextlib_async",
        "test_coroutines",
        "test_context",
        "test_unittest",
        "test_sys_settrace",
        "test_xml_dom_xmlbuilder",
        "test_inspect",
        "test_builtin",
    }
)
NEED_NO_PROCESSES = frozenset(
    {
        "test_argparse",
        "test_optparse",
        "test_getopt",
        "test_asyncio",
    }
)

# Spoil the tests after them where CPython's C modules for tests are missing.
EXCLUDED = ("test.test_monitoring.TestCApiEventGeneration.",)


class Result(unittest.TestResult):
    """Passes on what happens."""

    def __init__(self, report):
        super().__init__()
        self.report = report
        self.number = None  # of the running test; None between tests
        self.outcome = "ok"
        self.details = []

    def startTest(self, test):
        super().startTest(test)
        self.number, self.outcome, self.details = test.number_in_module, "ok", []
        self.report("start", self.number, test.id())

    def stopTest(self, test):
        detail = "\n".join(self.details)[-DETAIL_CHARACTERS:]
        self.report("end", self.number, test.id(), self.outcome, detail)
        self.number = None
        super().stopTest(test)

    def note(self, test, outcome, detail=""):
        if self.number is None:  # not a test: setUpClass, setUpModule or what undoes them
            self.report("fixture", test.id(), outcome, detail[-DETAIL_CHARACTERS:])
            return
        self.outcome = max(self.outcome, outcome, key=WORST_LAST.index)
        if detail:
            self.details.append(detail)

    def addSuccess(self, test):
        self.note(test, "ok")

    def addFailure(self, test, err):
        self.note(test, "fail", text_of(err))

    def addError(self, test, err):
        self.note(test, "error", text_of(err))

    def addSkip(self, test, reason):
        self.note(test, "skip", str(reason))

    def addExpectedFailure(self, test, err):
        self.note(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.note(test, "unexpected success")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            outcome = "fail" if issubclass(err[0], test.failureException) else "error"
            self.note(test, outcome, f"{subtest._subDescription()}: {text_of(err)}")

    def addDuration(self, test, elapsed):
        pass


def text_of(error):
    """Format the last frames and the exception; `unittest`'s own way needs files."""
    return "".join(traceback.format_exception(*error, limit=-4))[-DETAIL_CHARACTERS:]


def run(name, start, report):
    """Run the tests of a module.

    Args:
        name: The module below `test`, such as "test_json.test_decode".
        start: The number of the first test to run.
        report: Takes the parts of an event.
    """
    from test import support

    support.use_resources = {"decimal": None}
    support.verbose = 0
    prepare(name.partition(".")[0], support)
    support.record_original_stdout(sys.stdout)
    try:
        module = importlib.import_module(f"test.{name}")
        suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    except unittest.SkipTest as error:
        report("module", "skip", str(error))
        return
    except BaseException:
        report("module", "error", text_of(sys.exc_info()))
        return
    report("plan", number_tests(suite, start))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        suite.run(Result(report))


def prepare(module, support):
    """Provide what a module's tests need on their way to something else."""
    memory_files.provide()
    support.load_package_tests = stand_ins.load_package_tests
    support.MISSING_C_DOCSTRINGS = False  # the guest has them, but no build variable that says so
    if module in NEED_TEST_MODULES:
        stand_ins.provide_test_modules()
    if module in NEED_NO_SOCKETS:
        support.has_socket_support = True
        support.requires_working_socket = lambda *, module=False: None if module else lambda test: test
        stand_ins.provide_event_loop()
    if module in NEED_NO_PROCESSES:
        support.has_subprocess_support = True
    if module == "test_zoneinfo":
        stand_ins.provide_lzma(host.decompress)
        for loaded in [loaded for loaded in sys.modules if "zoneinfo" in loaded]:
            del sys.modules[loaded]  # they hold the `open` there was


def number_tests(suite, start, count=0):
    """Give each test its number, and leave out those before `start`; return their number."""
    kept = []
    for test in suite._tests:
        if isinstance(test, unittest.TestSuite):
            count = number_tests(test, start, count)
            kept.append(test)
        elif not test.id().startswith(EXCLUDED):
            test.number_in_module = count
            if count >= start:
                kept.append(test)
            count += 1
    suite._tests = kept
    return count
