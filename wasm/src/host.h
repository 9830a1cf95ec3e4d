/* What the guest asks of its host beyond a clock and a random source: the imports of the module "duckdb_udf". */
#ifndef UDF_HOST_H
#define UDF_HOST_H

#include <Python.h>

/* Adds to the module `_udf` what Python code asks with. 0, or -1 with an exception. */
int host_add_functions(PyObject *module);

#endif
