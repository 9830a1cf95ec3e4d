/* A column of a batch as a Python object: what a function of the batch shape gets. */
#ifndef UDF_BATCH_COLUMN_H
#define UDF_BATCH_COLUMN_H

#include "decode.h"

extern PyTypeObject batch_column_type; /* duckdb_wasi_udf.Column */

int batch_column_prepare(void);

/* A new reference, or NULL with an exception. The column is gone when `*current` is no longer what it is now. */
PyObject *batch_column_new(struct column *column, int64_t length, const uint64_t *current);

#endif
