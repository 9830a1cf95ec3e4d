/* The function of this instance, for all exports that call it. */
#ifndef UDF_EXPORTS_H
#define UDF_EXPORTS_H

#include "calls/argument_rows.h"
#include "compiled/row_loop.h"

struct function {
  PyObject *callable; /* NULL until defined */
  int return_null;    /* an exception makes its row NULL, or all rows of a batch */
  int by_batch;       /* called once a batch with columns, not once a row */
  int is_async;       /* returns coroutines, which run side by side, a batch at a time */
  bool is_bound;      /* the fields below are set */
  int64_t n_args;
  bool *sees_null;             /* for each argument: NULL reaches the function as None */
  struct value_type arguments; /* of the batch: a struct */
  struct column *columns;
  struct rows *rows;
  PyObject *driver;     /* _udf_guest.driver: calls the function for rows */
  PyObject *returned;   /* the list it fills; NULL: it passes results to `rows` one by one */
  PyObject *coroutines; /* takes the coroutines of an async function and fills `returned`; NULL for others */
  struct ArrowArrayView batch;
  struct builder builder;    /* of the result */
  struct compiled *compiled; /* code that runs most rows; NULL: the interpreter runs all */
};

/* An instance holds one function, so that no function sees what another one remembers. */
extern struct function function;

/* What udf_result() points to. */
extern struct udf_result call_result;

/* Look up the functions of the module _udf_guest that the exports call. Returns 0, or -1 with an exception. */
int exports_prepare(PyObject *guest);

/* Point the columns of the bound function at a batch. */
enum udf_status take_batch(struct ArrowArray *batch);

#endif
