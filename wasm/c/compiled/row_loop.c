#include "compiled/row_loop.h"

#include <stdlib.h>
#include <string.h>

#include "codec/encode_scalars.h"
#include "codec/infer.h"
#include "compiled/decimal_context.h"

/* Bytes for the temporary text of a row: as much as a processor's second cache holds. */
#define ARENA_BYTES (1 << 18)

/* The maximum number of bytes that texts of a batch take before the interpreter, which has the error for it, goes on.
 */
#define MAX_DATA (1 << 30)

struct compiled *compiled_new(uint32_t slot, PyObject *constants, PyObject *guards, int64_t n_columns,
                              enum sql_kind result) {
  struct compiled *compiled = calloc(1, sizeof *compiled);
  size_t columns = (size_t)n_columns * sizeof(struct compiled_column);
  size_t size = (size_t)PyBytes_GET_SIZE(constants);
  struct compiled_context *context = calloc(1, sizeof *context + columns);
  uint8_t *kept = aligned_alloc(16, (size + 31) & ~(size_t)15), *arena = aligned_alloc(16, ARENA_BYTES);
  if (compiled == NULL || context == NULL || kept == NULL || arena == NULL) {
    free(compiled);
    free(context);
    free(kept);
    free(arena);
    out_of_memory();
    return NULL;
  }
  memcpy(kept, PyBytes_AS_STRING(constants), size);
  context->constants = kept;
  context->arena_start = context->arena_at = (uint32_t)arena;
  context->arena_end = (uint32_t)arena + ARENA_BYTES;
  compiled->run = (int32_t (*)(struct compiled_context *, int32_t, int32_t))slot; /* a pointer to code is its slot */
  compiled->context = context;
  compiled->guards = Py_NewRef(guards);
  compiled->result = result;
  return compiled;
}

void compiled_free(struct compiled *compiled) {
  if (compiled == NULL) return;
  free((void *)compiled->context->constants);
  free((void *)compiled->context->arena_start);
  free(compiled->context->valid);
  free(compiled->context);
  Py_DECREF(compiled->guards);
  free(compiled);
}

int compiled_start(struct compiled *compiled, int64_t length, int64_t n_columns, const struct column *columns,
                   struct builder *builder) {
  struct compiled_context *context = compiled->context;
  if (compiled->capacity < length) {
    uint8_t *valid = realloc(context->valid, (size_t)length * 2);
    if (valid == NULL) return out_of_memory();
    context->valid = valid;
    compiled->capacity = length;
  }
  memset(context->valid, 1, (size_t)length);
  for (int64_t i = 0; i < n_columns; i++) {
    context->columns[i] =
        (struct compiled_column){columns[i].validity, columns[i].data, columns[i].offsets, (uint32_t)columns[i].first};
  }
  context->arguments = columns;
  return builder->declared || compiled->result == SQL_NULL ? 0 : infer_kind(builder, compiled->result);
}

/* Let the code write where the builder would. */
static void point_at(struct compiled *compiled, struct builder *builder) {
  struct compiled_context *context = compiled->context;
  context->data = builder->type.kind == SQL_BOOLEAN ? context->valid + compiled->capacity : builder->data.data;
  context->offsets = (int32_t *)builder->offsets.data;
  context->data_at = (uint32_t)builder->data.size_bytes;
  context->data_end = (uint32_t)builder->data.capacity_bytes;
  context->precision = builder->type.precision;
  context->scale = builder->type.scale;
  context->extends = !builder->declared;
  context->builder = (void *)builder;
}

/* Return the first row of those that the code has written whose number is outside the range of the declared type, or
 * `stop`. The interpreter has the error for it. */
static int64_t first_misfit(const struct builder *builder, const struct compiled_context *context, int64_t row,
                            int64_t stop) {
  enum sql_kind narrow = builder->type.narrow;
  if (narrow == SQL_NULL) return stop;
  const int64_t *integers = (const int64_t *)(const void *)builder->data.data;
  const double *doubles = (const double *)(const void *)builder->data.data;
  bool is_float = narrow == SQL_FLOAT;
  while (row < stop && (!context->valid[row] ||
                        (is_float ? double_fits(narrow, doubles[row]) : integer_fits(narrow, integers[row])))) {
    row++;
  }
  return row;
}

/* Return the number of NULLs that the code has written from `row` on. */
static uint32_t nulls_of(const struct compiled_context *context, int64_t row, int64_t stop) {
  uint32_t count = 0;
  for (; row < stop; row++) count += !context->valid[row];
  return count;
}

/* Count the rows that the code has written from `row` on. */
static int append(const struct compiled_context *context, int64_t row, int64_t count, struct builder *builder) {
  const int8_t *valid = (const int8_t *)context->valid + row;
  if (builder->null_count == 0 && context->null_count > 0) {
    if (ArrowBitmapReserve(&builder->validity, builder->capacity) != NANOARROW_OK) return out_of_memory();
    ArrowBitmapAppendUnsafe(&builder->validity, 1, builder->length);
  }
  if (builder->null_count > 0 || context->null_count > 0) ArrowBitmapAppendInt8Unsafe(&builder->validity, valid, count);
  builder->null_count += context->null_count;
  if (builder->type.kind == SQL_BOOLEAN) {
    ArrowBitmapAppendInt8Unsafe(&builder->bits, (const int8_t *)context->data + row, count);
  }
  builder->length += count;
  return 0;
}

int64_t compiled_run(struct compiled *compiled, int64_t row, int64_t stop, struct builder *builder) {
  struct compiled_context *context = compiled->context;
  for (;;) {
    point_at(compiled, builder);
    context->null_count = 0;
    context->next = 0;
    context->reason = COMPILED_DONE;
    context->error = 0;
    int64_t reached = compiled->run(context, (int32_t)row, (int32_t)stop);
    if (context->signals != 0) decimal_context_signal(context->signals);
    context->signals = 0;
    if (reached < row || reached > stop) {
      PyErr_SetString(PyExc_SystemError, "compiled code stopped at a row that it was not called for");
      return -1;
    }
    if (compiled->result == SQL_NULL) return reached;
    int64_t misfit = first_misfit(builder, context, row, reached);
    if (misfit < reached) {
      context->null_count = nulls_of(context, row, misfit);
      context->reason = COMPILED_BAIL;
      memset(context->valid + misfit, 1, (size_t)(reached - misfit)); /* as they were before: these rows run again */
      reached = misfit;
    }
    if (reached > row && append(context, row, reached - row, builder) < 0) return -1;
    if (builder->offsets.data != NULL) builder->data.size_bytes = context->data_at;
    row = reached;
    if (row == stop || context->reason != COMPILED_ROOM || builder->data.size_bytes > MAX_DATA) return row;
    int64_t more = builder->data.capacity_bytes + 65536;
    if (ArrowBufferReserve(&builder->data, more) != NANOARROW_OK) {
      out_of_memory();
      return -1;
    }
  }
}
