/* Dates, times and intervals of Python to a column. */
#ifndef UDF_ENCODE_TIMES_H
#define UDF_ENCODE_TIMES_H

#include "codec/builder.h"

/* Import what the functions need of Python. Returns 0, or -1 with an exception. */
int encode_times_prepare(void);

/* Each writes one value at the builder's next row, for which there is room. Returns 0, or -1 with an exception. */
int append_date(struct builder *builder, PyObject *value);
int append_time(struct builder *builder, PyObject *value);
int append_time_with_zone(struct builder *builder, PyObject *value);
int append_timestamp(struct builder *builder, PyObject *value);
int append_interval(struct builder *builder, PyObject *value);

#endif
