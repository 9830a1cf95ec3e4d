"""Instances of the guest for tests that need no DuckDB."""

from duckdb_wasi_udf import DataLimits, ResourceLimits
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._guests.instance import GuestInstance
from duckdb_wasi_udf._guests.numpy_use import mentions_numpy


class Direct:
    """An instance that is called directly: each call has a context of its own."""

    def __init__(self, clock, make):
        self._clock = clock
        with CallContext(clock) as context:
            self._instance = make(context)

    def __getattr__(self, name):
        return getattr(self._instance, name)

    def bind(self, arguments, result_type):
        with CallContext(self._clock) as context:
            self._instance.bind(context, arguments, result_type)

    def call(self, columns, length):
        with CallContext(self._clock) as context:
            return self._instance.call(context, columns, length)

    def translate(self, recipe=b""):
        with CallContext(self._clock) as context:
            return self._instance.translate(context, recipe)

    def use(self, code):
        with CallContext(self._clock) as context:
            self._instance.use(context, code)

    def define(self, definition):
        """Define a second function, which an instance never does by itself."""
        with CallContext(self._clock) as context:
            self._instance._begin(context)
            try:
                return self._instance._define(definition)
            finally:
                self._instance._end()

    def open(self, arguments):
        with CallContext(self._clock) as context:
            context.rows_before = 0
            self._instance.open(context, arguments)

    def next(self, rows_before=0):
        with CallContext(self._clock) as context:
            context.rows_before = rows_before
            return self._instance.next(context)

    def close_cursor(self):
        with CallContext(self._clock) as context:
            self._instance.close_cursor(context)


def make(engine, definition, limits=None, data_limits=None, finders=(), grants=None):
    """An instance that is not bound."""
    limits, data_limits = limits or ResourceLimits(), data_limits or DataLimits()
    return Direct(
        engine.clock,
        lambda context: GuestInstance(context, engine, definition, limits, data_limits, finders, grants),
    )


def start(definition, *types, result=None, limits=None, data_limits=None, sees_null=True, grants=None, **options):
    """A bound instance of a definition, or of source text."""
    if isinstance(definition, str):
        definition = Definition.from_source(definition, "f", **options)
    limits = limits or ResourceLimits()
    guest = artifact.find_numpy() if mentions_numpy(definition, frozenset()) else artifact.find()
    engine = load_engine(guest, timeout_seconds=limits.timeout_seconds)
    instance = make(engine, definition, limits, data_limits, grants=grants)
    instance.bind([(data_type, sees_null) for data_type in types], result)
    return instance


def start_in(sandbox, definition):
    """An instance of a sandbox's that is not bound."""
    domain = sandbox._domain
    return Direct(domain.clock, lambda context: domain.start(context, definition))
