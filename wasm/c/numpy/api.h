/* numpy's C API, of which one file (scalars.c) holds the table of functions. */
#ifndef UDF_NUMPY_API_H
#define UDF_NUMPY_API_H

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL udf_array_api
#ifndef UDF_HOLDS_ARRAY_API
#define NO_IMPORT_ARRAY
#endif

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-parameter"
#pragma clang diagnostic ignored "-Wunused-function"
#include <Python.h>
#include <numpy/arrayobject.h>
#pragma clang diagnostic pop

#endif
