"""The same function on both paths: in a transaction, it is registered through Python only."""

import contextlib

import duckdb

import duckdb_wasi_udf as wasi_udf


class Path:
    """A database with a sandbox whose functions take one of the paths."""

    def __init__(self, *, native, **options):
        self.native = native
        self.con = duckdb.connect()
        self.sandbox = wasi_udf.Sandbox(**options)

    def create(self, name, source, parameters=None, return_type=None, **options):
        if not self.native:
            self.con.begin()
        self.sandbox.create_function(self.con, name, source, parameters, return_type, **options)
        if not self.native:
            self.con.commit()

    def run(self, query):
        return self.con.execute(query).fetchall()

    def usage(self, name):
        return self.sandbox._registry.find(name).usage

    def close(self):
        self.con.close()
        self.sandbox.close()


@contextlib.contextmanager
def both(kind=Path, **options):
    """Open a database for each path, the native one first."""
    paths = [kind(native=native, **options) for native in (True, False)]
    try:
        yield paths
    finally:
        for path in paths:
            path.close()


def outcome(path, query):
    """What a query returns, or its error: DuckDB's, and this package's behind it."""
    try:
        return path.run(query)
    except duckdb.Error as error:
        behind = wasi_udf.error_of(error)
        return type(error), str(error), type(behind)
