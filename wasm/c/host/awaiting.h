/* Calls of host functions that wait for each other: coroutines run side by side, and what they ask for in one round is
 * asked of the host in one call for each function. */
#ifndef UDF_AWAITING_H
#define UDF_AWAITING_H

#include "host/host_function.h"

/* Coroutines are running that may await: host functions give what can be awaited. */
extern int awaiting;

int awaiting_prepare(PyObject *module);

/* A call that waits, as an object to be awaited: a new reference, or NULL with an exception. */
PyObject *awaiting_new(struct host_function *function, PyObject *const *values);

/* An object whose `append` takes a coroutine, runs it up to what it awaits, and appends what it returned to the list
 * `results`, or None until it has ended. A new reference, or NULL with an exception. */
PyObject *awaiting_coroutines(PyObject *results);

/* Runs all to their end. -1 when they have ended, else the place of one that raised, with the exception; with `return_null`
 * such places keep None instead, and are counted. -2 is any other exception. */
Py_ssize_t awaiting_finish(PyObject *coroutines, int return_null, int64_t *failed);

/* Ends those that haven't. */
void awaiting_clear(PyObject *coroutines);

#endif
