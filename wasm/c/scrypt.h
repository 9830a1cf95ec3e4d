/* scrypt's memory-hard mixing function, for the `hashlib.scrypt` that the guest has in place of OpenSSL's. */
#ifndef UDF_SCRYPT_H
#define UDF_SCRYPT_H

#include <Python.h>

/* Add `scrypt_mix` to the module `_udf`. Returns 0, or -1 with an exception. */
int scrypt_add_functions(PyObject *module);

#endif
