/* VARIANT values to Python objects. DuckDB passes them in Parquet's encoding. */
#ifndef UDF_DECODE_VARIANT_H
#define UDF_DECODE_VARIANT_H

#include <Python.h>

/* Return a new reference to the value, or NULL with an exception. */
PyObject *decode_variant(const uint8_t *metadata, int64_t metadata_size, const uint8_t *value, int64_t value_size);

#endif
