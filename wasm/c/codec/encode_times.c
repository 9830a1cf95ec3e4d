#include "codec/encode_times.h"

#include <datetime.h>
#include <string.h>

#include "codec/calendar.h"
#include "codec/infer.h"

/* Names of attributes of an Interval. */
static PyObject *months_name, *days_name;

int encode_times_prepare(void) {
  PyDateTime_IMPORT;
  months_name = PyUnicode_InternFromString("_months");
  days_name = PyUnicode_InternFromString("_days");
  return PyDateTimeAPI == NULL || months_name == NULL || days_name == NULL ? -1 : 0;
}

/* Return the day of a date or datetime, counted from 1970-01-01. */
static int64_t day_of(PyObject *date) {
  return days_from_civil(PyDateTime_GET_YEAR(date), PyDateTime_GET_MONTH(date), PyDateTime_GET_DAY(date));
}

int append_date(struct builder *builder, PyObject *value) {
  if (!PyDate_Check(value) || PyDateTime_Check(value)) return wrong_type(builder, value);
  ((int32_t *)builder->data.data)[builder->length] = (int32_t)day_of(value);
  return 0;
}

/* Write microseconds since 1970-01-01. Those of a TIMESTAMP_NS have to fit 64 bits as nanoseconds. */
static int write_timestamp(struct builder *builder, PyObject *value, int64_t microseconds) {
  int64_t ignored;
  if (builder->type.unit == NANOARROW_TIME_UNIT_NANO && __builtin_mul_overflow(microseconds, INT64_C(1000), &ignored)) {
    PyErr_Format(PyExc_OverflowError,
                 "the function returned %.100S, outside the range of TIMESTAMP_NS (1677-09-21 00:12:43.145225 to "
                 "2262-04-11 23:47:16.854775); declare TIMESTAMP",
                 value);
    return -1;
  }
  ((int64_t *)builder->data.data)[builder->length] = microseconds;
  return 0;
}

/* Return the microseconds since midnight of a time. */
static int64_t time_of_day(PyObject *time) {
  int64_t seconds =
      (PyDateTime_TIME_GET_HOUR(time) * 60 + PyDateTime_TIME_GET_MINUTE(time)) * 60 + PyDateTime_TIME_GET_SECOND(time);
  return seconds * MICROSECONDS_PER_SECOND + PyDateTime_TIME_GET_MICROSECOND(time);
}

int append_time(struct builder *builder, PyObject *value) {
  if (!PyTime_Check(value)) return wrong_type(builder, value);
  if (is_aware_time(value)) {
    PyErr_SetString(PyExc_TypeError,
                    "the function returned a time with a time zone where TIME has none; replace its "
                    "tzinfo by None");
    return -1;
  }
  ((int64_t *)builder->data.data)[builder->length] = time_of_day(value);
  return 0;
}

/* Return the length of a timedelta in microseconds. It can't overflow: the days of a timedelta are bounded. */
static int64_t delta_microseconds(PyObject *delta) {
  return PyDateTime_DELTA_GET_DAYS(delta) * MICROSECONDS_PER_DAY +
         PyDateTime_DELTA_GET_SECONDS(delta) * MICROSECONDS_PER_SECOND + PyDateTime_DELTA_GET_MICROSECONDS(delta);
}

/* Find the offset of an aware datetime or time from UTC, in microseconds. */
static int utc_offset(PyObject *value, PyObject *time_zone, int64_t *microseconds) {
  if (time_zone == PyDateTime_TimeZone_UTC) { /* that of every datetime that was an argument */
    *microseconds = 0;
    return 0;
  }
  PyObject *offset = PyObject_CallMethod(value, "utcoffset", NULL);
  if (offset == NULL) return -1;
  if (!PyDelta_Check(offset)) {
    Py_DECREF(offset);
    PyErr_Format(PyExc_TypeError, "the function returned a %s whose time zone has no fixed offset from UTC",
                 PyTime_Check(value) ? "time" : "datetime");
    return -1;
  }
  *microseconds = delta_microseconds(offset);
  Py_DECREF(offset);
  if (*microseconds > -MICROSECONDS_PER_DAY && *microseconds < MICROSECONDS_PER_DAY) return 0;
  PyErr_SetString(PyExc_ValueError, "the function returned a value whose offset from UTC is a day or more");
  return -1;
}

/* The inverse of get_time_with_zone in decode.c. */
int append_time_with_zone(struct builder *builder, PyObject *value) {
  if (!PyTime_Check(value)) return wrong_type(builder, value);
  int64_t offset = 0;
  if (!is_aware_time(value)) {
    PyErr_SetString(PyExc_TypeError,
                    "the function returned a time without a time zone where TIME WITH TIME ZONE needs "
                    "one; give it a tzinfo");
    return -1;
  }
  if (utc_offset(value, ((PyDateTime_Time *)value)->tzinfo, &offset) < 0) return -1;
  int64_t seconds = offset / MICROSECONDS_PER_SECOND;
  if (offset % MICROSECONDS_PER_SECOND != 0 || seconds < -MAX_UTC_OFFSET || seconds > MAX_UTC_OFFSET) {
    PyErr_SetString(PyExc_OverflowError,
                    "the function returned a time whose offset from UTC TIME WITH TIME ZONE can't "
                    "hold (whole seconds up to 15:59:59)");
    return -1;
  }
  ((uint64_t *)builder->data.data)[builder->length] =
      (uint64_t)time_of_day(value) << 24 | (uint64_t)(MAX_UTC_OFFSET - seconds);
  return 0;
}

static int bad_interval(PyObject *value) {
  PyErr_Format(PyExc_OverflowError, "the function returned %.100R, which INTERVAL can't hold", value);
  return -1;
}

/* Read an attribute that is a 32-bit integer. */
static int read_part(PyObject *interval, PyObject *name, int32_t *part) {
  PyObject *value = PyObject_GetAttr(interval, name);
  int overflow = 0;
  long number = value == NULL ? -1 : PyLong_AsLongAndOverflow(value, &overflow);
  Py_XDECREF(value);
  *part = (int32_t)number;
  return overflow || (number == -1 && PyErr_Occurred()) ? -1 : 0;
}

/* Write months, days and the rest apart, as a duckdb_wasi_udf.Interval has them. A plain timedelta has days and the
 * rest. */
int append_interval(struct builder *builder, PyObject *value) {
  if (!PyDelta_Check(value)) return wrong_type(builder, value);
  struct {
    int32_t months, days;
    int64_t nanoseconds;
  } interval = {0, PyDateTime_DELTA_GET_DAYS(value), 0};
  int64_t more_days = 0, micros;
  if (is_a(value, interval_class)) {
    if (read_part(value, months_name, &interval.months) < 0 || read_part(value, days_name, &interval.days) < 0) {
      PyErr_Clear();
      return bad_interval(value);
    }
    more_days = PyDateTime_DELTA_GET_DAYS(value) - interval.days - INT64_C(30) * interval.months;
  }
  int64_t seconds = PyDateTime_DELTA_GET_SECONDS(value), rest = PyDateTime_DELTA_GET_MICROSECONDS(value);
  if (__builtin_mul_overflow(more_days, MICROSECONDS_PER_DAY, &micros) ||
      __builtin_add_overflow(micros, seconds * MICROSECONDS_PER_SECOND + rest, &micros) ||
      __builtin_mul_overflow(micros, 1000, &interval.nanoseconds)) {
    return bad_interval(value);
  }
  memcpy(builder->data.data + builder->length * 16, &interval, 16);
  return 0;
}

int append_timestamp(struct builder *builder, PyObject *value) {
  if (PyDate_CheckExact(value) && builder->type.kind == SQL_TIMESTAMP) { /* midnight of that day */
    return write_timestamp(builder, value, day_of(value) * MICROSECONDS_PER_DAY);
  }
  if (!PyDateTime_Check(value)) return wrong_type(builder, value);
  if (is_aware(value) != (builder->type.kind == SQL_TIMESTAMPTZ)) {
    PyErr_SetString(PyExc_TypeError,
                    is_aware(value) ? "the function returned a datetime with a time zone where TIMESTAMP has none; "
                                      "convert it and replace its tzinfo by None"
                                    : "the function returned a datetime without a time zone where TIMESTAMP WITH "
                                      "TIME ZONE needs one; give it a tzinfo");
    return -1;
  }
  int64_t offset = 0;
  if (is_aware(value) && utc_offset(value, ((PyDateTime_DateTime *)value)->tzinfo, &offset) < 0) return -1;
  int64_t day = day_of(value);
  int64_t seconds = (PyDateTime_DATE_GET_HOUR(value) * 60 + PyDateTime_DATE_GET_MINUTE(value)) * 60 +
                    PyDateTime_DATE_GET_SECOND(value);
  return write_timestamp(
      builder, value,
      day * MICROSECONDS_PER_DAY + seconds * MICROSECONDS_PER_SECOND + PyDateTime_DATE_GET_MICROSECOND(value) - offset);
}
