"""The buffer protocol's names, version and struct layouts: the host's side of wasm/c/abi.h.

Structs are those of the Arrow C data interface with 32-bit pointers
(https://arrow.apache.org/docs/format/CDataInterface.html), little-endian, aligned as wasm32 C aligns them.
"""

from __future__ import annotations

import struct

ABI_VERSION = 6

# exports
VERSION = "udf_abi_version"
ARENA = "udf_arena"
DEFINE = "udf_define"
BIND = "udf_bind"
CALL = "udf_call"
OPEN = "udf_open"
NEXT = "udf_next"
CLOSE = "udf_close"
RESULT = "udf_result"
DESCRIPTION = "udf_description"
ERROR = "udf_error"
OUTPUT = "udf_output"
FREEZE = "udf_freeze"
PROGRESS = "udf_progress"
TRANSLATE = "udf_translate"
TRANSLATION = "udf_translation"
ATTACH = "udf_attach"

# imports, each with the types of its parameters
HOST_MODULE = "duckdb_udf"
HOST_IMPORT = "host_import"
HOST_CALL = "host_call"
HOST_TAKE = "host_take"
HOST_IMPORTS = {HOST_IMPORT: ("i32",) * 4, HOST_CALL: ("i32",) * 4, HOST_TAKE: ("i32",) * 2}

# statuses
OK = 0
FAILED = 1
NO_MEMORY = 2

# what host_call and host_take return instead of the size of a response; host_import has ABSENT only
HOST_FAILED = -2
HOST_REFUSED = -3
HOST_TIMED_OUT = -4
ABSENT = -5

MOST_BYTES = 2**31 - 1  # the most of anything whose size an import returns

ALIGNMENT = 64  # of buffers, as Arrow recommends
POINTER = struct.Struct("<I")
TEXT = struct.Struct("<II")  # udf_text: bytes, length
OUTPUT_STRUCT = struct.Struct("<III")  # udf_output: bytes, length of what is kept, of all that was printed
OUTPUT_BYTES = 65_536  # the most that is kept

PROGRESS_STRUCT = struct.Struct("<II")  # udf_progress: where the number of begun rows is, CPython's _PyRuntime
ROW_NUMBER = struct.Struct("<q")

# length, null_count, offset, n_buffers, n_children, buffers, children, dictionary, release, private_data
ARROW_ARRAY = struct.Struct("<qqqqqIIIII4x")
# format, name, metadata, flags, n_children, children, dictionary, release, private_data
ARROW_SCHEMA = struct.Struct("<III4xqqIIII")
# udf_result: array, schema, failed_rows, compiled_rows, bailed_rows
RESULT_STRUCT = struct.Struct(ARROW_ARRAY.format + ARROW_SCHEMA.format.removeprefix("<") + "qqq")
RESULT_COUNTS = struct.Struct("<qqq")  # its last three fields
# udf_translation: description, module and recipe, each a udf_text
TRANSLATION_STRUCT = struct.Struct("<IIIIII")

# DuckDB's vector, the most rows of a batch and of one step of a cursor:
# https://duckdb.org/docs/stable/clients/c/vector
VECTOR_ROWS = 2048

FLAG_NULLABLE = 2

# In the `release` field of a struct: it holds something. The guest never releases what the host wrote.
NOT_RELEASED = 1


def align(offset: int) -> int:
    """Return the next multiple of `ALIGNMENT` at or after `offset`."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def bitmap_bytes(bits: int) -> int:
    """Return the number of bytes that hold `bits` bits."""
    return (bits + 7) // 8
