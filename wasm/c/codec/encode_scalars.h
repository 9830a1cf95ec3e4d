/* Numbers, texts and bytes of Python to a column. */
#ifndef UDF_ENCODE_SCALARS_H
#define UDF_ENCODE_SCALARS_H

#include "codec/builder.h"

/* Each writes one value at the builder's next row, for which there is room. Returns 0, or -1 with an exception. */
int append_bool(struct builder *builder, PyObject *value);
int append_integer(struct builder *builder, PyObject *value);
int append_unsigned(struct builder *builder, PyObject *value);
int append_hugeint(struct builder *builder, PyObject *value);
int append_bignum(struct builder *builder, PyObject *value);
int append_double(struct builder *builder, PyObject *value);
int append_decimal(struct builder *builder, PyObject *value);
int append_string(struct builder *builder, PyObject *value);
int append_blob(struct builder *builder, PyObject *value);
int append_bit(struct builder *builder, PyObject *value);
int append_uuid(struct builder *builder, PyObject *value);
int append_json(struct builder *builder, PyObject *value);

/* Write the bytes of a text or a blob likewise. */
int append_bytes(struct builder *builder, const void *bytes, Py_ssize_t size);

/* Return whether a number is in the range of the narrow type that was declared; any number if `narrow` is another type
 * or SQL_NULL. */
bool integer_fits(enum sql_kind narrow, int64_t integer);
bool double_fits(enum sql_kind narrow, double number);

#endif
