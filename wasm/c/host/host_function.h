/* A function of the host as a Python object: called with a value for each parameter, or with lists (`batch`). */
#ifndef UDF_HOST_FUNCTION_H
#define UDF_HOST_FUNCTION_H

#include <Python.h>

/* Make the Python type and add it to the module `_udf`. Returns 0, or -1 with an exception. */
int host_function_prepare(PyObject *module);

#endif
