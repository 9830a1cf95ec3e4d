/* A column of a batch as a Python object, the argument of functions of the batch shape. */
#ifndef UDF_BATCH_COLUMN_H
#define UDF_BATCH_COLUMN_H

#include "codec/decode.h"

extern PyTypeObject batch_column_type; /* duckdb_wasi_udf.Column */

/* Make the Python type. Returns 0, or -1 with an exception. */
int batch_column_prepare(void);

/* Make a column object. It can't be read any more once `*current`, the number of the batch, has changed. NULL with an
 * exception. */
PyObject *batch_column_new(struct column *column, int64_t length, const uint64_t *current);

/* Return the column of an object, and its length. NULL without an exception if it is none, or its batch is over. */
const struct column *batch_column_of(PyObject *object, int64_t *length);

/* Return a Column over some of the values inside another column: a new reference, or NULL with an exception. It is
 * valid as long as `whole` is. */
PyObject *batch_column_part(PyObject *whole, const struct column *values, int64_t start, int64_t length);

/* Return the number of buffers of columns that somebody still has. */
Py_ssize_t batch_column_views(void);

#endif
