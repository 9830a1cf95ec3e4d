/* Coroutines that run side by side. For what they await in one round, the host gets one call for each function. */
#ifndef UDF_AWAITING_H
#define UDF_AWAITING_H

#include <Python.h>

enum await_status {
  AWAIT_DONE,   /* all coroutines have returned */
  AWAIT_RAISED, /* one raised, with the exception */
  AWAIT_ERROR,  /* another exception, which belongs to no coroutine */
};

/* Make the Python types, and add `run` to the module `_udf`. Returns 0, or -1 with an exception. */
int awaiting_prepare(PyObject *module);

/* Make an object with a method `append`, which takes a coroutine, runs it up to what it awaits, and appends what it
 * returned to the list `results`, or None until it has returned. NULL with an exception. */
PyObject *awaiting_coroutines(PyObject *results);

/* Run all coroutines to their end. `raised_at` becomes the index in `results` of one that raised. With `return_null`
 * the result of such a one is None instead, and it is counted in `failed`. After an error, `awaiting_clear` must
 * follow. */
enum await_status awaiting_finish(PyObject *coroutines, bool return_null, int64_t *failed, Py_ssize_t *raised_at);

/* Close the coroutines that haven't ended. */
void awaiting_clear(PyObject *coroutines);

#endif
