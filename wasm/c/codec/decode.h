/* Columns to Python objects. */
#ifndef UDF_DECODE_H
#define UDF_DECODE_H

#include "codec/types.h"

/* A string of up to 8 bytes that a column remembers: categories and short codes repeat. */
struct known_string {
  uint64_t bytes; /* padded with zeros */
  int32_t length; /* 0: nothing is remembered here */
  PyObject *string;
};

/* A column of arguments, or of values inside them: its type, and where the values of the current batch are. */
struct column {
  enum sql_kind kind; /* that of `type`, repeated for the row loop */
  const struct value_type *type;
  const uint8_t *validity; /* NULL when every value is valid */
  const void *data;
  const int32_t *offsets; /* of strings, blobs, lists and maps */
  int64_t first;          /* index of the batch's first row in the buffers */
  const struct ArrowArrayView *view;
  struct column *children;
  PyObject **known; /* an ENUM's values as objects; NULL until a row shows the value */
  int64_t n_known;
  struct known_string *strings; /* VARCHAR: those remembered, by hash; NULL for none */
  PyObject *time_zone;          /* TIME WITH TIME ZONE: that of the last row; NULL before the first */
  int32_t time_zone_offset;     /* its offset from UTC in seconds */
};

/* Make the columns inside. `type` must live as long as the column. Returns 0, or -1 with an exception. */
int column_init(struct column *column, const struct value_type *type);

/* Point the column at the values of `view`. Returns 0, or -1 with an exception. */
int column_open(struct column *column, const struct ArrowArrayView *view);

/* Return whether a VARIANT holds a NULL of its own. */
bool column_is_null_inside(const struct column *column, int64_t row);

static inline bool column_is_null(const struct column *column, int64_t row) {
  if (column->validity != NULL && !ArrowBitGet(column->validity, column->first + row)) return true;
  return column->kind == SQL_NULL || (column->kind == SQL_VARIANT && column_is_null_inside(column, row));
}

/* Return a new reference to the value at `row`, which is not NULL. NULL with an exception. */
PyObject *column_get(struct column *column, int64_t row);

/* Return the value at `row`, None for NULL. NULL with an exception. */
static inline PyObject *column_get_or_none(struct column *column, int64_t row) {
  return column_is_null(column, row) ? Py_NewRef(Py_None) : column_get(column, row);
}

#endif
