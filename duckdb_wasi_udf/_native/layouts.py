"""The structs that Python and C share: wasm/native/calls.h."""

from __future__ import annotations

import ctypes
from enum import IntEnum


class Reason(IntEnum):
    """What Python is to do for a call."""

    BATCH = 0
    FAILED = 1
    RESULT = 2
    RETURNED = 3
    ARROW = 4


class Blocked(IntEnum):
    """Why all calls of a sandbox are Python's, as bits."""

    CLOSED = 1
    QUERIES = 2
    ERRORS = 4


class Verdict(IntEnum):
    """What is to be decided on compiled code."""

    NONE = 0
    CHANGED = 1
    TOO_MANY = 2


class NativeType(ctypes.Structure):
    """A SQL type: `struct type`."""

    _fields_ = (
        ("id", ctypes.c_int32),
        ("width", ctypes.c_uint8),
        ("scale", ctypes.c_uint8),
        ("json", ctypes.c_uint8),
        ("sees_null", ctypes.c_uint8),
    )


class Argument(ctypes.Structure):
    """A column of a batch: `struct argument`."""

    _fields_ = (
        ("id", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("scale", ctypes.c_int32),
        ("unused", ctypes.c_int32),
        ("validity", ctypes.c_size_t),
        ("values", ctypes.c_size_t),
        ("offsets", ctypes.c_size_t),
        ("bytes", ctypes.c_int64),
    )


class Call(ctypes.Structure):
    """A call that isn't C's alone: `struct call`."""

    _fields_ = (
        ("reason", ctypes.c_int32),
        ("n_arguments", ctypes.c_int32),
        ("function", ctypes.c_int64),
        ("instance", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("rows_before", ctypes.c_int64),
        ("arguments", ctypes.c_size_t),
        ("info", ctypes.c_size_t),
        ("output", ctypes.c_size_t),
        ("result", ctypes.c_size_t),
        ("owner", ctypes.c_size_t),
        ("array", ctypes.c_size_t),
        ("schema", ctypes.c_size_t),
        ("connection", ctypes.c_uint64),
        ("begun", ctypes.c_uint64),
        ("trap", ctypes.c_size_t),
        ("error", ctypes.c_size_t),
        ("seconds", ctypes.c_double),
        ("host_seconds", ctypes.c_double),
        ("status", ctypes.c_int32),
        ("stopped", ctypes.c_int32),
        ("is_budgeted", ctypes.c_int32),
        ("failed", ctypes.c_int32),
        ("sound", ctypes.c_int32),
        ("is_done", ctypes.c_int32),
    )


class Running(ctypes.Structure):
    """A call that runs: `struct running`."""

    _fields_ = (
        ("instance", ctypes.c_size_t),
        ("serial", ctypes.c_uint64),
        ("thread", ctypes.c_uint64),
        ("age", ctypes.c_double),
        ("left", ctypes.c_double),
        ("stopped", ctypes.c_int32),
        ("unused", ctypes.c_int32),
    )


class GateStruct(ctypes.Structure):
    """What the functions of a sandbox share: the head of `struct gate`."""

    _fields_ = (
        ("references", ctypes.c_int32),
        ("lock", ctypes.c_int32),
        ("blocked", ctypes.c_int32),
        ("waiting", ctypes.c_int32),
        ("stopping", ctypes.c_int32),
        ("tick_seconds", ctypes.c_double),
        ("timeout_seconds", ctypes.c_double),
        ("recycle_bytes", ctypes.c_uint64),
        ("result_bytes", ctypes.c_uint64),
        ("most_bytes", ctypes.c_uint64),
    )


class BudgetStruct(ctypes.Structure):
    """The time of a function, and what it did: `struct budget`."""

    _fields_ = (
        ("references", ctypes.c_int32),
        ("lock", ctypes.c_int32),
        *((name, ctypes.c_double) for name in ("allowed", "gap", "spent", "busy_since", "last")),
        ("running", ctypes.c_int64),
        *((name, ctypes.c_int64) for name in ("calls", "rows", "errors", "native_rows", "native_calls", "failed_rows")),
        ("seconds", ctypes.c_double),
        ("guest_seconds", ctypes.c_double),
        ("peak_memory_bytes", ctypes.c_uint64),
    )


class PoolStruct(ctypes.Structure):
    """The instances of a function for arguments of certain types: the head of `struct pool`."""

    _fields_ = (
        ("references", ctypes.c_int32),
        ("lock", ctypes.c_int32),
        ("idle", ctypes.c_size_t),
        ("generation", ctypes.c_int32),
        ("by_batch", ctypes.c_int32),
        ("is_compiled", ctypes.c_int32),
        ("is_fixed", ctypes.c_int32),
        ("verdict", ctypes.c_int32),
    )


class InstanceStruct(ctypes.Structure):
    """An instance that C may use: the head of `struct instance`."""

    _fields_ = (
        ("next", ctypes.c_size_t),
        ("next_running", ctypes.c_size_t),
        ("running_at", ctypes.c_size_t),
        ("pool", ctypes.c_size_t),
        ("number", ctypes.c_int64),
        ("context", ctypes.c_size_t),
        ("call", ctypes.c_size_t),
        ("memory", ctypes.c_size_t),
        ("arena", ctypes.c_uint32),
        ("arena_bytes", ctypes.c_uint32),
        ("result", ctypes.c_uint32),
        ("output", ctypes.c_uint32),
        ("generation", ctypes.c_int32),
        ("is_lent", ctypes.c_int32),
        ("has_output", ctypes.c_uint32),
        ("unused", ctypes.c_uint32),
        ("memory_bytes", ctypes.c_uint64),
        ("serial", ctypes.c_uint64),
        ("thread", ctypes.c_uint64),
        ("began", ctypes.c_double),
        ("seconds", ctypes.c_double),
        ("stopped", ctypes.c_int32),
        ("adopted", ctypes.c_int32),
        ("is_running", ctypes.c_int32),
    )


class AggregateReason(IntEnum):
    """What Python is to do for an aggregate function."""

    CHECK = 0
    GROUPS = 1


class AggregateDefinition(ctypes.Structure):
    """An aggregate function to be registered: `struct aggregate_definition` of wasm/native/aggregate.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("result", ctypes.c_char_p),
        ("result_query", ctypes.c_char_p),
        ("type_queries", ctypes.POINTER(ctypes.c_char_p)),
        ("number", ctypes.c_int64),
        ("n_types", ctypes.c_int32),
        ("is_inline", ctypes.c_int32),
        ("native", NativeType),
    )


class AggregateCall(ctypes.Structure):
    """What C asks for an aggregate function: `struct aggregate_call`."""

    _fields_ = (
        ("reason", ctypes.c_int32),
        ("failed", ctypes.c_int32),
        ("is_done", ctypes.c_int32),
        ("is_put", ctypes.c_int32),
        ("function", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("held_bytes", ctypes.c_uint64),
        ("group_bytes", ctypes.c_uint64),
        ("begun", ctypes.c_uint64),
        ("cancelled", ctypes.c_uint64),
        ("array", ctypes.c_size_t),
        ("schema", ctypes.c_size_t),
        ("out_array", ctypes.c_size_t),
        ("out_schema", ctypes.c_size_t),
        ("native", ctypes.c_size_t),
        ("info", ctypes.c_size_t),
        ("output", ctypes.c_size_t),
    )


class TableReason(IntEnum):
    """What Python is to do for a table function: `enum table_reason`."""

    BIND = 32
    SCAN = 33
    NEXT = 34
    END = 35
    FREE = 36
    STEPPED = 37


class TableCall(ctypes.Structure):
    """What C asks for a table function: `struct table_call`."""

    _fields_ = (
        ("reason", ctypes.c_int32),
        ("n", ctypes.c_int32),
        ("table", ctypes.c_int64),
        ("bound", ctypes.c_int64),
        ("scan", ctypes.c_int64),
        ("connection", ctypes.c_uint64),
        ("wanted", ctypes.c_size_t),
        ("schema", ctypes.c_size_t),
        ("array", ctypes.c_size_t),
        ("result", ctypes.c_size_t),
        ("context", ctypes.c_size_t),
        ("error", ctypes.c_size_t),
        ("cardinality", ctypes.c_int64),
        ("types", ctypes.c_size_t),
        ("n_columns", ctypes.c_uint64),
        ("pool", ctypes.c_size_t),
        ("step", ctypes.c_size_t),
        ("rows", ctypes.c_int64),
        ("is_row", ctypes.c_int32),
        ("lends", ctypes.c_int32),
        ("is_done", ctypes.c_int32),
        ("failed", ctypes.c_int32),
    )


class ParameterKind(IntEnum):
    """How a query passes arguments: `enum parameter_kind`."""

    POSITIONAL_ONLY = 0
    STANDARD = 1
    ARGS = 2
    NAMED = 3
    KWARGS = 4


class TableParameter(ctypes.Structure):
    """A parameter of a table function: `struct table_parameter`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_char_p),
        ("kind", ctypes.c_int32),
        ("unused", ctypes.c_int32),
    )


class TableForm(ctypes.Structure):
    """A table function with its parameters: `struct table_form`."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("table", ctypes.c_int64),
        ("parameters", ctypes.POINTER(TableParameter)),
        ("n", ctypes.c_int32),
        ("unused", ctypes.c_int32),
    )


# In the order of `native_layout` in wasm/native/library.c.
STRUCTS = (
    *(NativeType, Argument, Call, Running, GateStruct, BudgetStruct, PoolStruct, InstanceStruct),
    *(AggregateDefinition, AggregateCall),
    *(TableCall, TableParameter, TableForm),
)
