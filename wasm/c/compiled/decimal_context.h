/* Decimals of compiled code, and the context of the decimal module that they are computed in. */
#ifndef UDF_COMPILED_DECIMAL_CONTEXT_H
#define UDF_COMPILED_DECIMAL_CONTEXT_H

#include <Python.h>

/* Return whether the context of the decimal module is the default: (number, decimal.getcontext, decimal.Context). */
bool decimal_context_holds(PyObject *guard);

/* Pass signals that decimals have met on to the context that was looked at last. */
void decimal_context_signal(uint32_t signals);

#endif
