/* The buffer protocol between host and guest.
 *
 * Every pointer is an offset into the exported linear memory. Every integer is little-endian. Batches and schemas are
 * the structs of the Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html) with 32-bit
 * pointers.
 *
 * An instance holds one function. Its life: udf_define, udf_bind, then udf_call for each batch, or udf_open, udf_next
 * and udf_close for the rows that one call yields.
 *
 * Version | change
 * --------|---------------------------------------------------------------------------------------------------------
 *       1 | first version: define and bind a function; call it over a batch, or open a cursor over what it yields
 *       2 | udf_output says how much was printed, and is set back by the host; udf_freeze
 *       3 | the guest asks the host: host_call, host_take, host_import
 *       4 | one function and one cursor in an instance: no handles; udf_define and udf_open return a status
 *       5 | udf_progress; units have `preferred` and `kind` (_udf_guest.define)
 *       6 | a function can be compiled: udf_translate, udf_translation, udf_attach; udf_result counts compiled rows
 *
 * The host's side is its module _abi. A change here is a change there, and of UDF_ABI_VERSION.
 */
#ifndef UDF_ABI_H
#define UDF_ABI_H

#include <stdint.h>

#include "nanoarrow.h"

#define UDF_ABI_VERSION 6

/* Bytes of output that are kept until the host reads them. The newest bytes win. */
#define UDF_OUTPUT_BYTES 65536

/* The maximum number of rows that one step of a cursor returns: DuckDB's vector size. */
#define UDF_CURSOR_ROWS 2048

/* The bytes of rows after which a step of a cursor ends, so that long rows fit in memory. */
#define UDF_CURSOR_BYTES (8 * 1024 * 1024)

#define UDF_EXPORT(name) __attribute__((export_name(#name), used))

/* UTF-8 text in linear memory. */
struct udf_text {
  const char *bytes;
  uint32_t length;
};

/* The output since the host last set both counts to zero. */
struct udf_output {
  const char *bytes;
  uint32_t length; /* of what is kept */
  uint32_t total;  /* of what was printed */
};

/* The result of a call. */
struct udf_result {
  struct ArrowArray array;   /* the column, valid until the next call */
  struct ArrowSchema schema; /* its type: the declared one, or the one inferred for this batch */
  int64_t failed_rows;       /* number of rows whose exception became NULL (the "return_null" policy) */
  int64_t compiled_rows;     /* number of rows that compiled code finished */
  int64_t bailed_rows;       /* number of rows that it left to the interpreter */
};

/* What became of a translation of the function into WebAssembly. */
struct udf_translation {
  struct udf_text description; /* UTF-8 JSON: see wasm/python/_udf_compiler/translation.py */
  struct udf_text module;      /* WebAssembly; empty if the function can't be compiled */
  struct udf_text recipe;      /* for udf_translate in other instances of the same function */
};

/* Where the host finds, after a call that it ended, how far the call came. */
struct udf_progress {
  const int64_t *next_row; /* the number of rows of the batch that were begun; NULL until udf_bind */
  const void *runtime;     /* CPython's _PyRuntime, which begins with _Py_DebugOffsets */
};

/* What exports that can fail return. */
enum udf_status {
  UDF_OK = 0,
  UDF_FAILED = 1,    /* udf_error() describes what the user's code did wrong */
  UDF_NO_MEMORY = 2, /* memory ran out; the instance must not be called again */
};

/* Besides a clock and a random source, the guest imports three functions of the module "duckdb_udf". They are declared
 * in wasm/c/host/host_call.c:
 *
 * int32_t host_import(name, name_length, out, out_length)
 *     Look up a name. Returns the size of what the host has under it, and writes the bytes to `out` if they fit.
 *     "host:functions" is a JSON list of the granted functions, in the order of their numbers. "host:types:3" is the
 * schema of a struct of function 3's arguments (a struct too) and its result, with pointers valid at `out`. int32_t
 * host_call(function, arguments, out, out_length) Call a function by its number with a struct array of its arguments.
 * Returns the size of the response, and writes it to `out` if it fits. The response is a struct array of one column
 * with as many rows. int32_t host_take(out, out_length) Write the response that didn't fit to `out`. Works once, until
 * the next call.
 *
 * The numbers below stand for a call without a response. host_import returns any negative number for an unknown name.
 * -1 is not used: in the guest it stands for an exception. */
enum udf_host_status {
  UDF_HOST_FAILED = -2,
  UDF_HOST_REFUSED = -3,
  UDF_HOST_TIMED_OUT = -4,
  UDF_HOST_ABSENT = -5,
};

#endif
