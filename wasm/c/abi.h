/* The buffer protocol between host and guest.
 *
 * Every pointer is an offset into the exported linear memory, every integer little-endian; batches and schemas are the
 * structs of the Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html) with 32-bit pointers.
 *
 * Version | change
 * --------|---------------------------------------------------------------------------------------------------------
 *       1 | first version: define and bind a function; call it over a batch, or open a cursor over what it yields
 *       2 | udf_output says how much was printed, and is set back by the host; udf_freeze
 *       3 | the guest asks the host: host_call, host_take, host_import
 *
 * The host's side is duckdb_wasi_udf/_abi.py; a change here is a change there, and of UDF_ABI_VERSION.
 */
#ifndef UDF_ABI_H
#define UDF_ABI_H

#include <stdint.h>

#include "nanoarrow.h"

#define UDF_ABI_VERSION 3

/* The most of what the guest prints that is kept between two looks of the host: the newest bytes. */
#define UDF_OUTPUT_BYTES 65536

/* The most rows one step of a cursor gives: DuckDB's vector. */
#define UDF_CURSOR_ROWS 2048

#define UDF_EXPORT(name) __attribute__((export_name(#name), used))

/* UTF-8 text in linear memory. */
struct udf_text {
  const char *bytes;
  uint32_t length;
};

/* What the guest printed since the host last set both counts to zero. */
struct udf_output {
  const char *bytes;
  uint32_t length; /* of what is kept */
  uint32_t total;  /* of what was printed */
};

/* What a call gives back. */
struct udf_result {
  struct ArrowArray array;   /* the column, valid until the next call */
  struct ArrowSchema schema; /* its type: the declared one, or the one inferred for this batch */
  int64_t failed_rows;       /* rows whose exception became NULL (the "return_null" policy) */
};

enum udf_status {
  UDF_OK = 0,
  UDF_FAILED = 1,    /* udf_error() says what the user's code did wrong */
  UDF_NO_MEMORY = 2, /* memory ran out; the instance is not fit for another call */
};

/* The guest imports three functions of the module "duckdb_udf" (wasm/c/host/host_function.c), besides a clock and a random source:
 *
 * int32_t host_import(name, name_length, out, out_length)
 *     What the host has under a name: its size, and the bytes in `out` when they fit. "host:functions" is a JSON list of
 *     the functions that were granted, in the order of their numbers, "host:types:3" the schema of a struct of number 3's
 *     arguments, a struct too, and its result, with pointers for `out`.
 * int32_t host_call(function, arguments, out, out_length)
 *     Calls a function, by its number, with a struct array of its arguments: the size of the response, a struct array of
 *     one column with as many rows, which is in `out` when it fits.
 * int32_t host_take(out, out_length)
 *     The response that didn't fit, once, until the next call.
 *
 * What the host says of a call of one of its functions that gave no response; otherwise it says how many bytes that takes.
 * Of host_import any negative number means that there is no such thing. */
enum udf_host_status {
  UDF_HOST_FAILED = -2,
  UDF_HOST_REFUSED = -3,
  UDF_HOST_TIMED_OUT = -4,
  UDF_HOST_ABSENT = -5,
};

/* Handles and cursors are counted up from 0; a negative one is a status, negated. */

#endif
