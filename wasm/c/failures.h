/* Errors on their way to the host: the pending exception becomes a text and a status. */
#ifndef UDF_FAILURES_H
#define UDF_FAILURES_H

#include "calls/argument_rows.h"

/* The row of an error that belongs to no row. */
#define NO_ROW (-1)

/* Look up what explains exceptions in the module _udf_guest. Returns 0, or -1 with an exception. */
int failures_prepare(PyObject *guest);

/* Turn the pending exception into udf_error() and a status. `row` is NO_ROW or the row of the batch. `rows` is NULL, or
 * where the arguments to show are. */
enum udf_status fail(const struct rows *rows, int64_t row);

/* Fail because the host called an export at the wrong time, or with something it can't take. */
enum udf_status refuse(const char *message);

/* Point `text` at the contents of a bytes object and keep the object alive in `owner` until the next text. Takes over
 * the reference. */
void keep_text(struct udf_text *text, PyObject **owner, PyObject *bytes);

#endif
