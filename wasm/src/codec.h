/* Columns to Python objects and back. */
#ifndef UDF_CODEC_H
#define UDF_CODEC_H

#include <Python.h>

#include "abi.h"

/* Imports what the codec needs of Python. 0, or -1 with an exception. */
int codec_prepare(void);

/* A value's type as both directions see it. */
struct value_type {
  enum ArrowType arrow;
  enum ArrowTimeUnit unit; /* TIME64 and TIMESTAMP */
  int with_time_zone;      /* TIMESTAMP that is an instant */
  int32_t precision;       /* DECIMAL128: digits, of which */
  int32_t scale;           /* so many follow the point */
};

/* Reads a schema. 0, or -1 with an exception when the type has no codec. */
int value_type_read(struct value_type *type, const struct ArrowSchema *schema);

/* One argument column: its type, and for the batch at hand where its values are, ready for the row loop. */
struct column {
  struct value_type type;
  const uint8_t *validity; /* NULL when every value is valid */
  const void *data;
  const int32_t *offsets; /* strings and blobs only */
  int64_t first;          /* the row the batch starts at, in elements of the buffers */
  const struct ArrowArrayView *view;
};

/* Points `column`, whose type is set, at the values of `view`. */
void column_open(struct column *column, const struct ArrowArrayView *view);

static inline int column_is_null(const struct column *column, int64_t row) {
  if (column->type.arrow == NANOARROW_TYPE_NA) return 1;
  return column->validity != NULL && !ArrowBitGet(column->validity, column->first + row);
}

/* A new reference to the (valid) value at `row`, or NULL with a Python exception. */
PyObject *column_get(const struct column *column, int64_t row);

/* A result column under construction. Its buffers are kept from batch to batch. */
struct builder {
  struct value_type type;   /* NANOARROW_TYPE_NA until a value has shown the type */
  int declared;             /* the type was declared: values must fit it */
  int64_t length;
  int64_t null_count;
  int64_t capacity;         /* rows the batch will have */
  struct ArrowBitmap validity; /* empty until the first NULL */
  struct ArrowBitmap bits;     /* values of BOOLEAN */
  struct ArrowBuffer data;     /* values, or the bytes of strings and blobs */
  struct ArrowBuffer offsets;
  char format[24];             /* of the result's schema */
};

/* `declared` NULL: infer the type of each batch from its values. */
void builder_init(struct builder *builder, const struct value_type *declared);

/* Empties the builder for a batch of `rows`. All return 0, or -1 with a Python exception. */
int builder_start(struct builder *builder, int64_t rows);
int builder_append_null(struct builder *builder);
int builder_append(struct builder *builder, PyObject *value);

/* Describes what was built; `result` borrows the builder's buffers until the next start. */
void builder_finish(struct builder *builder, struct udf_result *result);

#endif
