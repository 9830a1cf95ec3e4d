/* The rows of a batch as a Python iterator of arguments, which takes the results as well. */
#ifndef UDF_ARGUMENT_ROWS_H
#define UDF_ARGUMENT_ROWS_H

#include "codec/builder.h"
#include "codec/decode.h"

/* Iterates over the rows that the function is called for: the value alone of one argument, a tuple of several, None
 * without arguments. The method `append` takes the result of a row, if there is a builder. For a function of the batch
 * shape, the method `columns` returns all arguments at once, and `take` takes all results. */
struct rows {
  PyObject_HEAD
  int64_t n_columns;
  struct column *columns;
  const bool *sees_null;   /* for each column: NULL reaches the function as None */
  int64_t next;            /* the next row */
  int64_t stop;            /* the row at which iteration pauses */
  uint64_t batch;          /* the number of batches so far */
  struct builder *builder; /* of results, and NULL for the rows that are left out; NULL: results wait in a list */
  PyObject *tuple;         /* the last arguments, used again if nobody else has them */
};

/* Make the Python type. Returns 0, or -1 with an exception. */
int rows_prepare(void);

/* Make an iterator. The arguments must live as long as it does; `builder` may be NULL. NULL with an exception. */
struct rows *rows_new(int64_t n_columns, struct column *columns, const bool *sees_null, struct builder *builder);

/* Return whether a row has a NULL that the function doesn't want to see. */
bool rows_skip(const struct rows *rows, int64_t row);

/* Return all arguments of a row as a tuple, None for NULL. NULL with an exception. */
PyObject *rows_arguments(const struct rows *rows, int64_t row);

#endif
