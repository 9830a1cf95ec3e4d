/* What compiled code was made of, and whether it still holds. */
#ifndef UDF_COMPILED_GUARDS_H
#define UDF_COMPILED_GUARDS_H

#include <Python.h>

/* Return whether everything that a function was compiled from is as it was: a tuple of guards of
 * wasm/python/_udf_compiler/lookups.py. Objects are compared by identity; no code of the user's runs. */
bool guards_hold(PyObject *guards);

#endif
