/* Rows that a table function gives by column: Columns objects. */
#ifndef UDF_COLUMNS_H
#define UDF_COLUMNS_H

#include "calls/append_many.h"

/* A Columns object whose rows are being appended; all zero when there is none. */
struct columns {
  PyObject *names;       /* of the columns, a tuple of str */
  int by_position;       /* the names are only for want of others */
  struct values *values; /* of each column */
  Py_ssize_t length;     /* rows */
  Py_ssize_t next;       /* the row to come */
};

int columns_prepare(void);

int is_columns(PyObject *value);

/* An iterator over what a table function returned: rows, or Columns. NULL with an exception. */
PyObject *iterate_rows(PyObject *returned);

/* Functions that return int return 0, or -1 with an exception. */

/* Begins with the rows of a Columns object. */
int columns_open(struct columns *columns, PyObject *given);

static inline int columns_left(const struct columns *columns) { return columns->next < columns->length; }

/* Appends up to `room` of the rows that are left, in order. After an exception, the builder's length is the number of rows
 * before the one that didn't fit. */
int columns_append(struct columns *columns, struct builder *builder, int64_t room);

void columns_close(struct columns *columns);

#endif
