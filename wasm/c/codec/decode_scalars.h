/* Values that don't nest, to Python objects. Functions return a new reference, or NULL with an exception. */
#ifndef UDF_DECODE_SCALARS_H
#define UDF_DECODE_SCALARS_H

#include "codec/types.h"

/* Import what the functions need of Python. Returns 0, or -1 with an exception. */
int decode_scalars_prepare(void);

/* A day counted from 1970-01-01. */
PyObject *decode_date(int64_t day);

/* The time since midnight. `time_zone` is a tzinfo or None. */
PyObject *decode_time(int64_t value, enum ArrowTimeUnit unit, PyObject *time_zone);

/* The time zone of a fixed offset from UTC. */
PyObject *decode_time_zone(int32_t offset_seconds);

/* The time since 1970-01-01. */
PyObject *decode_timestamp(int64_t value, enum ArrowTimeUnit unit, bool with_time_zone);

/* A time span in microseconds. */
PyObject *decode_timedelta(int64_t microseconds);

/* Arrow's interval of months, days and nanoseconds: 16 bytes of any alignment. */
PyObject *decode_interval(const void *at);

/* `scale` is the number of digits after the point. */
PyObject *decode_decimal(__int128 value, int32_t scale);

/* 16 bytes of any alignment. */
PyObject *decode_hugeint(const void *at, bool is_signed);

PyObject *decode_bignum(const uint8_t *bytes, int64_t size);

/* A str of the digits 0 and 1. */
PyObject *decode_bit(const uint8_t *bytes, int64_t size);

/* 16 bytes, the highest first. */
PyObject *decode_uuid(const uint8_t *bytes);

/* 32 hexadecimal digits with hyphens. */
PyObject *decode_uuid_text(const uint8_t *text, int64_t size);

#endif
