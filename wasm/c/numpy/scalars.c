#include "numpy/scalars.h"

#define UDF_HOLDS_ARRAY_API
#include "numpy/api.h"

static PyObject *plain; /* _udf_numpy.results.plain; NULL until numpy is there */

int numpy_scalars_prepare(void) {
  import_array1(-1);
  PyObject *module = PyImport_ImportModule("_udf_numpy.results");
  plain = module == NULL ? NULL : PyObject_GetAttrString(module, "plain");
  Py_XDECREF(module);
  return plain == NULL ? -1 : 0;
}

bool numpy_is_value(PyObject *value) {
  return plain != NULL && (PyArray_Check(value) || PyArray_IsScalar(value, Generic));
}

PyObject *numpy_plain(PyObject *value) { return PyObject_CallOneArg(plain, value); }
