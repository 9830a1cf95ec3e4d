/* A column of a batch as a Python object: what a function of the batch shape gets. */
#ifndef UDF_BATCH_COLUMN_H
#define UDF_BATCH_COLUMN_H

#include "codec/decode.h"

extern PyTypeObject batch_column_type; /* duckdb_wasi_udf.Column */

int batch_column_prepare(void);

/* A new reference, or NULL with an exception. The column is gone when `*current` is no longer what it is now. */
PyObject *batch_column_new(struct column *column, int64_t length, const uint64_t *current);

/* The column that an object is, with its length: NULL without an exception when it is none, or its batch is over. */
const struct column *batch_column_of(PyObject *object, int64_t *length);

#endif
