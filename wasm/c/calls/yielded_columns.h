/* Rows that a table function yields by column: Columns objects. */
#ifndef UDF_YIELDED_COLUMNS_H
#define UDF_YIELDED_COLUMNS_H

#include "calls/append_many.h"

/* A Columns object whose rows are being appended. All zero: there is none. */
struct columns {
  PyObject *names;       /* of the columns, a tuple of str */
  bool by_position;      /* positions count, not names */
  struct values *values; /* of each column */
  Py_ssize_t length;     /* number of rows */
  Py_ssize_t next;       /* the next row */
};

/* Import the class Columns. Returns 0, or -1 with an exception. */
int columns_prepare(void);

bool is_columns(PyObject *value);

/* Return an iterator over what a table function returned: rows, or Columns. NULL with an exception. */
PyObject *iterate_rows(PyObject *returned);

/* Functions that return int return 0, or -1 with an exception. */

/* Start on the rows of a Columns object. */
int columns_open(struct columns *columns, PyObject *object);

static inline bool columns_left(const struct columns *columns) { return columns->next < columns->length; }

/* Append up to `room` of the rows that are left, in order. After an exception, the builder's length is the number of
 * rows before the one that didn't fit. */
int columns_append(struct columns *columns, struct builder *builder, int64_t room);

void columns_close(struct columns *columns);

#endif
