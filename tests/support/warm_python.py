"""Runs scripts in processes that have imported DuckDB and this package already, which takes 0.5 s of each.

Such a process is forked by one that has done nothing else, and then goes on and ends as any other. Where there is no
safe `fork`, a script gets a new process.
"""

import os
import signal
import subprocess
import sys
import threading

# What the first process runs: for each line, the names of a script and of a file for its output, it forks.
SERVER = """
import contextlib, os, sys, warnings
import duckdb, numpy, pyarrow, duckdb_wasi_udf
with contextlib.suppress(ImportError):
    import pandas  # which DuckDB imports when it is installed

for line in sys.stdin:
    __file__, _output = line.rstrip("\\n").split("\\t")
    with warnings.catch_warnings():  # about threads of numpy's, which has prepared for it
        warnings.simplefilter("ignore", DeprecationWarning)
        _child = os.fork()
    if _child == 0:
        _output = os.open(_output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(_output, 1)
        os.dup2(_output, 2)
        os.close(_output)
        break
    print(_child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(_child, 0)[1]), flush=True)
else:
    sys.exit()

sys.argv[:] = [__file__]
sys.path[0] = os.path.dirname(__file__)
exec(compile(open(__file__, "rb").read(), __file__, "exec"))
"""


class WarmPython:
    """The first process, which `close` ends."""

    def __init__(self, *options, cwd):
        """Start it.

        Args:
            options: the interpreter's.
            cwd: the working directory of scripts.
        """
        self._python, self._cwd = [sys.executable, *options], cwd
        self._server = None
        if sys.platform == "linux":
            pipe = subprocess.PIPE
            self._server = subprocess.Popen([*self._python, "-c", SERVER], cwd=cwd, stdin=pipe, stdout=pipe, text=True)

    def run(self, script, output, *, timeout_seconds):
        """Run a script to its end; return its exit status.

        Args:
            script: its path.
            output: the file for what it prints.
            timeout_seconds: after which it is killed.
        """
        if self._server is None:
            with output.open("w") as file:
                command = [*self._python, script]
                return subprocess.run(
                    command, cwd=self._cwd, stdout=file, stderr=file, timeout=timeout_seconds, check=False
                ).returncode
        print(script, output, sep="\t", file=self._server.stdin, flush=True)
        kill = threading.Timer(timeout_seconds, os.kill, [int(self._server.stdout.readline()), signal.SIGKILL])
        kill.start()
        try:
            return int(self._server.stdout.readline())
        finally:
            kill.cancel()

    def close(self):
        if self._server is not None:
            self._server.communicate()
