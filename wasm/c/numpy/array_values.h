/* The values of an array that a function returned, appended to a column without Python objects. */
#ifndef UDF_ARRAY_VALUES_H
#define UDF_ARRAY_VALUES_H

#include "codec/builder.h"

/* An array that was returned. All zero: there is none. */
struct array_values {
  PyObject *array;    /* C-contiguous, of a type that `kind` stands for */
  PyObject *mask;     /* an array of bytes of the same shape, 1 for NULL; NULL: nothing is */
  enum sql_kind kind; /* of a value; SQL_NULL: it has to become an object */
  int number;         /* numpy's number of the type */
  Py_ssize_t width;   /* values in a row; 1 if the array has one dimension */
  int dimensions;
};

/* Look up what is used of _udf_numpy. Returns 0, or -1 with an exception. */
int array_values_prepare(void);

/* Take an object if it is an array. Returns 1, 0 if it is none, or -1 with an exception. */
int array_values_open(struct array_values *values, PyObject *object, Py_ssize_t *length);

void array_values_close(struct array_values *values);

/* Return row `i` as an object: a new reference, or NULL with an exception. */
PyObject *array_values_get(const struct array_values *values, Py_ssize_t i);

/* Append rows to a builder that has room for them. Returns 0, or -1 with an exception; then the builder holds those
 * before the one that failed. */
int array_values_append(const struct array_values *values, struct builder *builder, Py_ssize_t start, Py_ssize_t count);

#endif
