/* Python objects to values that don't nest. */
#ifndef UDF_SCALARS_H
#define UDF_SCALARS_H

#include "codec/builder.h"

int scalars_prepare(void);

/* Each writes one value at the builder's next row, for which there is room: 0, or -1 with an exception. */
int append_bool(struct builder *builder, PyObject *value);
int append_hugeint(struct builder *builder, PyObject *value);
int append_integer(struct builder *builder, PyObject *value);
int append_unsigned(struct builder *builder, PyObject *value);
int append_double(struct builder *builder, PyObject *value);
int append_string(struct builder *builder, PyObject *value);
int append_blob(struct builder *builder, PyObject *value);
int append_date(struct builder *builder, PyObject *value);
int append_time(struct builder *builder, PyObject *value);
int append_time_with_zone(struct builder *builder, PyObject *value);
int append_interval(struct builder *builder, PyObject *value);
int append_timestamp(struct builder *builder, PyObject *value);
int append_decimal(struct builder *builder, PyObject *value);
int append_bignum(struct builder *builder, PyObject *value);
int append_bit(struct builder *builder, PyObject *value);
int append_uuid(struct builder *builder, PyObject *value);
int append_json(struct builder *builder, PyObject *value);

#endif
