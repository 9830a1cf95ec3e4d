/* The exports of the started guest: see reactor.c. */
#ifndef UDF_REACTOR_H
#define UDF_REACTOR_H

#include <Python.h>

/* Remember the functions of the module _udf_guest that the exports call. Returns 0, or -1 with an exception set. */
int reactor_prepare(PyObject *guest);

#endif
