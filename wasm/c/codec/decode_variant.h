/* VARIANT values, which DuckDB hands over in Parquet's encoding. */
#ifndef UDF_VARIANT_H
#define UDF_VARIANT_H

#include <Python.h>

/* A new reference to the value, or NULL with an exception. */
PyObject *variant_get(const uint8_t *metadata, int64_t metadata_size, const uint8_t *value, int64_t value_size);

#endif
