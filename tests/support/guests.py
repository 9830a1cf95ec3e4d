"""Instances of the guest for tests that need no DuckDB."""

from duckdb_wasi_udf import DataLimits, ResourceLimits
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._guests.instance import GuestInstance


def start(definition, *types, result=None, limits=None, data_limits=None, sees_null=True, grants=None, **options):
    """A bound instance of a definition, or of source text."""
    if isinstance(definition, str):
        definition = Definition.from_source(definition, "f", **options)
    limits = limits or ResourceLimits()
    engine = load_engine(artifact.find(), timeout_seconds=limits.timeout_seconds)
    instance = GuestInstance(engine, definition, limits, data_limits or DataLimits(), grants=grants)
    instance.bind([(data_type, sees_null) for data_type in types], result)
    return instance
