#include "numpy/scalars.h"

#define UDF_HOLDS_ARRAY_API
#include "numpy/api.h"

static PyObject *plain;        /* _udf_numpy.results.plain; NULL until numpy is there */
static PyObject *plain_inside; /* _udf_numpy.results.plain_inside */

int numpy_scalars_prepare(void) {
  import_array1(-1);
  PyObject *module = PyImport_ImportModule("_udf_numpy.results");
  plain = module == NULL ? NULL : PyObject_GetAttrString(module, "plain");
  plain_inside = plain == NULL ? NULL : PyObject_GetAttrString(module, "plain_inside");
  Py_XDECREF(module);
  return plain_inside == NULL ? -1 : 0;
}

bool numpy_is_value(PyObject *value) {
  return plain != NULL && (PyArray_Check(value) || PyArray_IsScalar(value, Generic));
}

PyObject *numpy_plain(PyObject *value) { return PyObject_CallOneArg(plain, value); }

PyObject *numpy_json(PyObject *value, PyObject *dumps) {
  PyObject *error = PyErr_GetRaisedException();
  PyObject *found = PyObject_CallOneArg(plain_inside, value);
  if (found == value) { /* nothing of numpy's: the error is what it was */
    Py_DECREF(found);
    PyErr_SetRaisedException(error);
    return NULL;
  }
  Py_DECREF(error);
  PyObject *text = found == NULL ? NULL : PyObject_CallOneArg(dumps, found);
  Py_XDECREF(found);
  return text;
}
