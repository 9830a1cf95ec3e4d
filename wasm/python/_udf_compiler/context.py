"""Where the fields of `struct compiled_context` are: see wasm/c/compiled/context.h."""

ARENA_AT, ARENA_END, CONSTANTS, REASON, ERROR, VALID, NULL_COUNT, DATA = 0, 4, 8, 12, 16, 20, 24, 28
OFFSETS, DATA_AT, ARENA_START, NEXT, COLUMNS = 32, 36, 44, 72, 80
COLUMN_BYTES = 16
COLUMN_FIELDS = 4  # validity, data, offsets, first row

REASON_BAIL, REASON_ROOM = 1, 2
