/* numpy's scalars, and arrays that stand for one value, as plain Python objects. */
#ifndef UDF_NUMPY_SCALARS_H
#define UDF_NUMPY_SCALARS_H

#include <Python.h>
#include <stdbool.h>

/* Load numpy's C API, and look up what is used of _udf_numpy. Returns 0, or -1 with an exception. */
int numpy_scalars_prepare(void);

/* Return whether a value is one of numpy's: a scalar or an array. */
bool numpy_is_value(PyObject *value);

/* Return what Python has for such a value: a new reference, or NULL with an exception. It is None for NaT, and a list
 * for an array. */
PyObject *numpy_plain(PyObject *value);

/* Return the JSON of a list or dict in which values of numpy's may be: a new reference, or NULL with an exception,
 * which stays the pending one if there are none.
 *
 * dumps: what makes JSON of plain objects, and raised the pending exception. */
PyObject *numpy_json(PyObject *value, PyObject *dumps);

#endif
