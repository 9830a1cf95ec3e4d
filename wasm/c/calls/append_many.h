/* Many values that user code returned, appended to a column at once. */
#ifndef UDF_APPEND_MANY_H
#define UDF_APPEND_MANY_H

#include "codec/builder.h"
#ifdef UDF_NUMPY
#include "numpy/array_values.h"
#endif

/* Values that were returned together. All zero: there are none. */
struct values {
  PyObject *sequence; /* a list or tuple; NULL: the values are in `view` */
  Py_buffer view;     /* numbers of 8 bytes; its `obj` is NULL if there is a sequence */
  Py_ssize_t length;
#ifdef UDF_NUMPY
  struct array_values array; /* its `array` is NULL if the values are elsewhere */
#endif
};

/* Take any iterable. Returns 0, or -1 with an exception; for anything else its message is `otherwise`. */
int values_open(struct values *values, PyObject *iterable, const char *otherwise);

void values_close(struct values *values);

/* Return a new reference, or NULL with an exception. */
PyObject *values_get(struct values *values, Py_ssize_t i);

/* Append `count` values from `start` on. Returns 0, or -1 with an exception; then the builder holds the values before
 * the one that failed. */
int values_append(struct values *values, struct builder *builder, Py_ssize_t start, Py_ssize_t count);

#endif
