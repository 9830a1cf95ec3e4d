/* Many values appended to a column at once. */
#ifndef UDF_EXTEND_H
#define UDF_EXTEND_H

#include "codec/builder.h"

/* Values that were given together; all zero when there are none. */
struct values {
  PyObject *sequence; /* a list or tuple; NULL: see `view` */
  Py_buffer view;     /* numbers of 8 bytes; its `obj` is NULL when there is a sequence */
  Py_ssize_t length;
};

/* Takes what a function gave: anything iterable. 0, or -1 with an exception, whose message is `otherwise` for what isn't. */
int values_open(struct values *values, PyObject *given, const char *otherwise);

void values_close(struct values *values);

/* A new reference, or NULL with an exception. */
PyObject *values_get(struct values *values, Py_ssize_t i);

/* Appends `count` values from `start` on. 0, or -1 with an exception, after which the builder holds the values before the
 * one that failed. */
int values_append(struct values *values, struct builder *builder, Py_ssize_t start, Py_ssize_t count);

#endif
