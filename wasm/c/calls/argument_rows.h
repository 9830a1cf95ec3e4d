/* The rows of a batch as a Python iterator of arguments, and where results go. */
#ifndef UDF_ROWS_H
#define UDF_ROWS_H

#include "codec/builder.h"
#include "codec/decode.h"

/* Gives the arguments of each row that the function is to be called for: the value alone when there is one argument, a
 * tuple of several, None when there are none. Its method `append` takes a result at once, if it has a builder.
 * For a function of the batch shape, `columns` gives all arguments at once, and `take` takes all results. */
struct rows {
  PyObject_HEAD
  int64_t n_columns;
  struct column *columns;
  const uint8_t *sees_null; /* for each column: NULL reaches the function as None */
  int64_t next;             /* the row to come */
  int64_t stop;             /* the row it pauses at */
  uint64_t batch;           /* counts batches */
  struct builder *builder;  /* takes results, and NULL for the rows that are left out; NULL: they go elsewhere */
  PyObject *tuple;          /* the last one, used again when nobody else has it */
};

int rows_prepare(void);

/* What it is given has to live as long as the object; `builder` may be NULL. NULL with an exception. */
struct rows *rows_new(int64_t n_columns, struct column *columns, const uint8_t *sees_null, struct builder *builder);

/* Whether the row has a NULL that the function does not want to see. */
int rows_skip(const struct rows *rows, int64_t row);

/* All arguments of a row as a tuple, None for NULL; NULL with an exception. */
PyObject *rows_arguments(const struct rows *rows, int64_t row);

#endif
