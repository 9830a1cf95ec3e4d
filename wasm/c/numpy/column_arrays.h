/* Columns as arrays: what _udf_numpy.arrays can't do with the buffer of a column alone. */
#ifndef UDF_COLUMN_ARRAYS_H
#define UDF_COLUMN_ARRAYS_H

#include <Python.h>

/* Add the functions to the module `_udf`. Returns 0, or -1 with an exception. */
int column_arrays_add_functions(PyObject *module);

#endif
