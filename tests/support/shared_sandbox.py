"""A database and its sandbox, used by one test after the other."""

import contextlib

import duckdb

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._sql.database import open_database

LIMITS = wasi_udf.ResourceLimits(timeout_seconds=5.0)

# What tests change of a database that they share.
SETTINGS = ("arrow_lossless_conversion", "threads", "TimeZone")


class SharedSandbox:
    """To open a database and to install a sandbox takes 30 ms: more than most tests do with them."""

    def __init__(self):
        self._opened = contextlib.ExitStack()
        self.con = self.sandbox = None

    def open(self):
        """Open a database, unless the last test has left one."""
        if self.con is None:
            self.con = self._opened.enter_context(duckdb.connect())
            self.sandbox = self._opened.enter_context(wasi_udf.Sandbox(limits=LIMITS).install(self.con))
            self._database = open_database(self.con)
            self._names = self._functions()
            self._settings = self._all_settings()

    def clean(self):
        """Drop what a test has created; where DuckDB can't, as with aggregate functions, the next opens a database."""
        try:
            self._reset()
        except (duckdb.Error, KeyError):
            self.close()

    def check(self):
        """Fail when a test has changed a setting that `clean` doesn't reset."""
        if self.con is not None:
            assert self._all_settings() == self._settings, "mark the test that sets this with own_sandbox"

    def close(self):
        self.con = self.sandbox = None
        self._opened.close()

    def _reset(self):
        for name in self._functions() - self._names:
            self.con.remove_function(name)
            del self._database.functions[name]
        left = "SELECT 'VIEW', view_name FROM duckdb_views() WHERE NOT internal UNION ALL"
        for kind, name in self.con.execute(f"{left} SELECT 'TABLE', table_name FROM duckdb_tables()").fetchall():
            self.con.execute(f'DROP {kind} "{name}"')
        for setting in SETTINGS:
            self.con.execute(f"RESET {setting}")

    def _functions(self):
        return {*self._database.functions, *self._database.native_tables, *self._database.aggregates}

    def _all_settings(self):
        return dict(self.con.execute("SELECT name, value FROM duckdb_settings()").fetchall())
