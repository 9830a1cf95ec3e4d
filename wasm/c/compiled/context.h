/* What compiled code and the guest's C share: the context of a batch, and how a kernel is declared.
 *
 * A compiled function is a WebAssembly module of its own over this memory, made by wasm/python/_udf_compiler. It calls
 * kernels: functions of ours that are exported under names that begin with "k_". The list of them, with their
 * types, is duckdb_wasi_udf/_shared/kernels.py.
 */
#ifndef UDF_COMPILED_CONTEXT_H
#define UDF_COMPILED_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

/* Export a kernel. Its name is written out so that it can be searched for. */
#define KERNEL(name) __attribute__((export_name(#name), used)) name

/* Why compiled code returned before the last row. */
enum compiled_reason {
  COMPILED_DONE = 0,
  COMPILED_BAIL = 1, /* the interpreter has to run the row */
  COMPILED_ROOM = 2, /* the text of the row doesn't fit in the output */
};

/* What kernels report in `error`, and those that return text or lists instead of a pointer, which is never so small.
 * The numbers of exceptions are those of wasm/python/_udf_compiler/errors.py. */
enum kernel_error {
  KERNEL_BAIL = 1,
  KERNEL_VALUE_ERROR = 2,
  KERNEL_INDEX_ERROR = 3,
  KERNEL_INVALID_OPERATION = 9,
  KERNEL_DECIMAL_DIVISION_BY_ZERO = 10,
};

/* An argument column. */
struct compiled_column {
  const uint8_t *validity; /* NULL when every value is valid */
  const void *data;
  const int32_t *offsets;
  uint32_t first; /* index of the batch's first row in the buffers */
};

/* The compiler knows the offsets (wasm/python/_udf_compiler/context.py). */
struct compiled_context {
  uint32_t arena_at, arena_end;     /*  0  4: temporary text of a row */
  const uint8_t *constants;         /*  8 */
  uint32_t reason;                  /* 12 */
  uint32_t error;                   /* 16: of a kernel that returns a number */
  uint8_t *valid;                   /* 20: a byte for each row, preset to 1 */
  uint32_t null_count;              /* 24 */
  uint8_t *data;                    /* 28: values; bytes for BOOLEAN; the bytes of texts */
  int32_t *offsets;                 /* 32 */
  uint32_t data_at, data_end;       /* 36 40: of texts, in `data` */
  uint32_t arena_start;             /* 44 */
  uint32_t signals;                 /* 48: of decimals, as libmpdec has them, since they were last passed on */
  int32_t precision, scale;         /* 52 56: of a DECIMAL that is built */
  uint32_t extends;                 /* 60: digits beyond the scale extend it, which is for the interpreter */
  void *builder;                    /* 64: of the results, for kernels that append them */
  const void *arguments;            /* 68: the columns, for kernels that read values that nest */
  int64_t next;                     /* 72: the row behind the one that runs; 0 before the first */
  struct compiled_column columns[]; /* 80, 16 bytes each */
};

#endif
