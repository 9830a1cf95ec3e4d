/* Columns to Python objects and back. */
#ifndef UDF_CODEC_H
#define UDF_CODEC_H

#include <Python.h>

#include "abi.h"

/* One argument column of the batch at hand: where its values are, ready for the row loop. */
struct column {
  enum ArrowType type;
  const uint8_t *validity; /* NULL when every value is valid */
  const void *data;
  const int32_t *offsets; /* strings only */
  int64_t first;          /* the row the batch starts at, in elements of the buffers */
  const struct ArrowArrayView *view;
};

/* Points `column` at the values of `view`. -1 with a Python exception when the type has no decoder. */
int column_open(struct column *column, const struct ArrowArrayView *view);

static inline int column_is_null(const struct column *column, int64_t row) {
  if (column->type == NANOARROW_TYPE_NA) return 1;
  return column->validity != NULL && !ArrowBitGet(column->validity, column->first + row);
}

/* A new reference to the (valid) value at `row`, or NULL with a Python exception. */
PyObject *column_get(const struct column *column, int64_t row);

/* A result column under construction. Its buffers are kept from batch to batch. */
struct builder {
  enum ArrowType type;      /* NANOARROW_TYPE_NA until a value has shown the type */
  int declared;             /* the type was declared: values must fit it */
  int64_t length;
  int64_t null_count;
  int64_t capacity;         /* rows the batch will have */
  struct ArrowBitmap validity; /* empty until the first NULL */
  struct ArrowBitmap bits;     /* values of BOOLEAN */
  struct ArrowBuffer data;     /* values, or the bytes of strings */
  struct ArrowBuffer offsets;
};

void builder_init(struct builder *builder, enum ArrowType declared);

/* Empties the builder for a batch of `rows`. All return 0, or -1 with a Python exception. */
int builder_start(struct builder *builder, int64_t rows);
int builder_append_null(struct builder *builder);
int builder_append(struct builder *builder, PyObject *value);

/* Describes what was built; `result` borrows the builder's buffers until the next start. */
void builder_finish(struct builder *builder, struct udf_result *result);

#endif
