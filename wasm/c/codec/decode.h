/* Columns to Python objects. */
#ifndef UDF_DECODE_H
#define UDF_DECODE_H

#include "codec/types.h"

/* Strings of up to 8 bytes that the last rows showed: categories and codes repeat. */
#define KNOWN_STRINGS_BITS 9
#define KNOWN_STRINGS (1 << KNOWN_STRINGS_BITS)

struct known_string {
  uint64_t bytes; /* padded with zeros */
  int32_t length; /* 0: nothing is known here */
  PyObject *string;
};

/* A column of arguments, or of values inside them: its type, and for the batch at hand where its values are. */
struct column {
  enum sql_kind kind; /* of `type`, at hand for the row loop */
  const struct value_type *type;
  const uint8_t *validity; /* NULL when every value is valid */
  const void *data;
  const int32_t *offsets;  /* of strings, blobs, lists and maps */
  int64_t first;           /* the row the batch starts at, in elements of the buffers */
  const struct ArrowArrayView *view;
  struct column *children;
  PyObject **known; /* an ENUM's values as objects, as far as rows have asked for them */
  int64_t n_known;
  struct known_string *strings; /* VARCHAR: KNOWN_STRINGS of them */
  int32_t known_offset;         /* TIME WITH TIME ZONE: seconds from UTC of */
  PyObject *time_zone;          /* the last row's time zone; NULL before */
};

int decode_prepare(void);

/* Makes the columns inside. 0, or -1 with an exception. `type` has to live as long as the column. */
int column_init(struct column *column, const struct value_type *type);

/* Points the column at the values of `view`. 0, or -1 with an exception. */
int column_open(struct column *column, const struct ArrowArrayView *view);

int column_is_null_inside(const struct column *column, int64_t row);

static inline int column_is_null(const struct column *column, int64_t row) {
  if (column->validity != NULL && !ArrowBitGet(column->validity, column->first + row)) return 1;
  return column->kind == SQL_NULL || (column->kind == SQL_VARIANT && column_is_null_inside(column, row));
}

/* A new reference to the (valid) value at `row`, or NULL with an exception. */
PyObject *column_get(struct column *column, int64_t row);

/* ---- values alone, for whom they lie elsewhere: new references, or NULL with an exception ------------------------- */

PyObject *get_decimal(__int128 value, int32_t scale);
PyObject *get_date(int64_t day);
PyObject *get_time(int64_t value, enum ArrowTimeUnit unit, PyObject *time_zone);
PyObject *get_timestamp(int64_t value, enum ArrowTimeUnit unit, int with_time_zone);
PyObject *get_uuid(const uint8_t *bytes);

#endif
