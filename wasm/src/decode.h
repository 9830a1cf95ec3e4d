/* Columns to Python objects. */
#ifndef UDF_DECODE_H
#define UDF_DECODE_H

#include "types.h"

/* A column of arguments, or of values inside them: its type, and for the batch at hand where its values are. */
struct column {
  enum ArrowType arrow; /* of `type`, at hand for the row loop */
  const struct value_type *type;
  const uint8_t *validity; /* NULL when every value is valid */
  const void *data;
  const int32_t *offsets;  /* of strings, blobs, lists and maps */
  int64_t first;           /* the row the batch starts at, in elements of the buffers */
  const struct ArrowArrayView *view;
  struct column *children;
  PyObject **known; /* an ENUM's values as objects, as far as rows have asked for them */
  int64_t n_known;
};

int decode_prepare(void);

/* Makes the columns inside. 0, or -1 with an exception. `type` has to live as long as the column. */
int column_init(struct column *column, const struct value_type *type);

/* Points the column at the values of `view`. 0, or -1 with an exception. */
int column_open(struct column *column, const struct ArrowArrayView *view);

static inline int column_is_null(const struct column *column, int64_t row) {
  if (column->arrow == NANOARROW_TYPE_NA) return 1;
  return column->validity != NULL && !ArrowBitGet(column->validity, column->first + row);
}

/* A new reference to the (valid) value at `row`, or NULL with an exception. */
PyObject *column_get(struct column *column, int64_t row);

#endif
