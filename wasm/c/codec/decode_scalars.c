#include "codec/decode_scalars.h"

#include <datetime.h>
#include <string.h>

#include "codec/calendar.h"

/* Names of attributes. */
static PyObject *months_name, *days_name, *int_name, *is_safe_name;

/* uuid.SafeUUID.unknown: the attribute of every UUID made here. */
static PyObject *uuid_is_safe;

int decode_scalars_prepare(void) {
  PyDateTime_IMPORT;
  if (PyDateTimeAPI == NULL) return -1;
  months_name = PyUnicode_InternFromString("_months");
  days_name = PyUnicode_InternFromString("_days");
  int_name = PyUnicode_InternFromString("int");
  is_safe_name = PyUnicode_InternFromString("is_safe");
  PyObject *uuid = PyImport_ImportModule("uuid");
  PyObject *safe_uuid = uuid == NULL ? NULL : PyObject_GetAttrString(uuid, "SafeUUID");
  uuid_is_safe = safe_uuid == NULL ? NULL : PyObject_GetAttrString(safe_uuid, "unknown");
  Py_XDECREF(uuid);
  Py_XDECREF(safe_uuid);
  return months_name == NULL || days_name == NULL || int_name == NULL || is_safe_name == NULL || uuid_is_safe == NULL
             ? -1
             : 0;
}

static int check_day(int64_t day, const char *sql_type) {
  if (day >= MIN_DAY && day <= MAX_DAY) return 0;
  PyErr_Format(PyExc_OverflowError,
               "a %s outside the years 1 to 9999 of Python's datetime (perhaps infinity); filter it out or cast it to "
               "VARCHAR",
               sql_type);
  return -1;
}

/* Convert a count of `unit` to microseconds. Never rounds. */
static int to_microseconds(int64_t value, enum ArrowTimeUnit unit, int64_t *microseconds) {
  switch (unit) {
    case NANOARROW_TIME_UNIT_SECOND:
    case NANOARROW_TIME_UNIT_MILLI:
      if (!__builtin_mul_overflow(value, unit == NANOARROW_TIME_UNIT_SECOND ? 1000000 : 1000, microseconds)) return 0;
      *microseconds = INT64_MAX; /* outside the calendar, which check_day reports */
      return 0;
    case NANOARROW_TIME_UNIT_MICRO:
      *microseconds = value;
      return 0;
    default:
      if (value % 1000 != 0) {
        PyErr_SetString(PyExc_OverflowError,
                        "a value with nanoseconds, which Python's datetime can't hold; cast it to microseconds or to "
                        "BIGINT (epoch_ns)");
        return -1;
      }
      *microseconds = value / 1000;
      return 0;
  }
}

PyObject *decode_date(int64_t day) {
  if (check_day(day, "DATE") < 0) return NULL;
  int year, month, of_month;
  civil_from_days(day, &year, &month, &of_month);
  return PyDate_FromDate(year, month, of_month);
}

PyObject *decode_time(int64_t value, enum ArrowTimeUnit unit, PyObject *time_zone) {
  int64_t micros;
  if (to_microseconds(value, unit, &micros) < 0) return NULL;
  if (micros >= MICROSECONDS_PER_DAY) {
    PyErr_SetString(PyExc_OverflowError, "the TIME 24:00:00, which Python's time can't hold; cast it to VARCHAR");
    return NULL;
  }
  int64_t seconds = micros / MICROSECONDS_PER_SECOND;
  return PyDateTimeAPI->Time_FromTime((int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60),
                                      (int)(micros % MICROSECONDS_PER_SECOND), time_zone, PyDateTimeAPI->TimeType);
}

PyObject *decode_time_zone(int32_t offset_seconds) {
  PyObject *delta = PyDelta_FromDSU(0, offset_seconds, 0);
  PyObject *time_zone = delta == NULL ? NULL : PyTimeZone_FromOffset(delta);
  Py_XDECREF(delta);
  return time_zone;
}

PyObject *decode_timestamp(int64_t value, enum ArrowTimeUnit unit, bool with_time_zone) {
  int64_t micros;
  if (to_microseconds(value, unit, &micros) < 0) return NULL;
  int64_t day = floor_divide(micros, MICROSECONDS_PER_DAY);
  if (check_day(day, with_time_zone ? "TIMESTAMP WITH TIME ZONE" : "TIMESTAMP") < 0) return NULL;
  int year, month, of_month;
  civil_from_days(day, &year, &month, &of_month);
  int64_t of_day = micros - day * MICROSECONDS_PER_DAY;
  int64_t seconds = of_day / MICROSECONDS_PER_SECOND;
  return PyDateTimeAPI->DateTime_FromDateAndTime(year, month, of_month, (int)(seconds / 3600), (int)(seconds / 60 % 60),
                                                 (int)(seconds % 60), (int)(of_day % MICROSECONDS_PER_SECOND),
                                                 with_time_zone ? PyDateTime_TimeZone_UTC : Py_None,
                                                 PyDateTimeAPI->DateTimeType);
}

/* Set two attributes of an object whose class refuses assignment or is slow at it. Takes over the references to the
 * object and the values. */
static PyObject *with_attributes(PyObject *object, PyObject *name1, PyObject *value1, PyObject *name2,
                                 PyObject *value2) {
  if (object != NULL && (value1 == NULL || value2 == NULL || PyObject_GenericSetAttr(object, name1, value1) < 0 ||
                         PyObject_GenericSetAttr(object, name2, value2) < 0)) {
    Py_CLEAR(object);
  }
  Py_XDECREF(value1);
  Py_XDECREF(value2);
  return object;
}

/* Make a duckdb_wasi_udf.Interval. Microseconds are enough: DuckDB has no nanoseconds here. */
PyObject *decode_timedelta(int64_t microseconds) {
  int64_t days = microseconds / MICROSECONDS_PER_DAY, rest = microseconds % MICROSECONDS_PER_DAY;
  if (rest < 0) {
    rest += MICROSECONDS_PER_DAY;
    days--;
  }
  return PyDelta_FromDSU((int)days, (int)(rest / MICROSECONDS_PER_SECOND), (int)(rest % MICROSECONDS_PER_SECOND));
}

PyObject *decode_interval(const void *at) {
  struct {
    int32_t months, days;
    int64_t nanoseconds;
  } interval;
  memcpy(&interval, at, 16);
  int64_t micros = interval.nanoseconds / 1000;
  int64_t days = interval.days + interval.months * INT64_C(30) + floor_divide(micros, MICROSECONDS_PER_DAY);
  if (days < -999999999 || days > 999999999) {
    PyErr_SetString(PyExc_OverflowError,
                    "an INTERVAL longer than Python's timedelta holds (999999999 days); cast it to VARCHAR");
    return NULL;
  }
  int64_t of_day = micros - floor_divide(micros, MICROSECONDS_PER_DAY) * MICROSECONDS_PER_DAY;
  PyObject *object =
      PyDateTimeAPI->Delta_FromDelta((int)days, (int)(of_day / MICROSECONDS_PER_SECOND),
                                     (int)(of_day % MICROSECONDS_PER_SECOND), 0, (PyTypeObject *)interval_class);
  return with_attributes(object, months_name, PyLong_FromLong(interval.months), days_name,
                         PyLong_FromLong(interval.days));
}

PyObject *decode_decimal(__int128 value, int32_t scale) {
  unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
  char text[64]; /* 39 digits, a point, leading zeros up to the scale, a sign */
  char *end = text + sizeof text, *at = end;
  for (int32_t digits = 0; rest != 0 || digits <= scale; digits++) {
    if (digits == scale && scale > 0) *--at = '.';
    if (rest >> 64 == 0) { /* 128-bit division is slow */
      uint64_t low = (uint64_t)rest;
      *--at = (char)('0' + (int)(low % 10));
      rest = low / 10;
    } else {
      *--at = (char)('0' + (int)(rest % 10));
      rest /= 10;
    }
  }
  if (value < 0) *--at = '-';
  PyObject *string = PyUnicode_DecodeASCII(at, end - at, NULL);
  PyObject *decimal = string == NULL ? NULL : PyObject_CallOneArg(decimal_class, string);
  Py_XDECREF(string);
  return decimal;
}

PyObject *decode_hugeint(const void *at, bool is_signed) {
  int64_t low, high;
  memcpy(&low, at, 8);
  memcpy(&high, (const char *)at + 8, 8);
  if (is_signed ? high == low >> 63 : high == 0 && low >= 0) return PyLong_FromLongLong(low);
  return is_signed ? PyLong_FromNativeBytes(at, 16, Py_ASNATIVEBYTES_LITTLE_ENDIAN)
                   : PyLong_FromUnsignedNativeBytes(at, 16, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
}

/* DuckDB's bignum (src/include/duckdb/common/types/bignum.hpp): three bytes with the sign and the length, then the
 * magnitude from its highest byte. All bits of a negative one are inverted. */
PyObject *decode_bignum(const uint8_t *bytes, int64_t size) {
  if (size < 4) {
    PyErr_SetString(PyExc_ValueError, "a BIGNUM that is none");
    return NULL;
  }
  if ((bytes[0] & 0x80) != 0) {
    return PyLong_FromUnsignedNativeBytes(bytes + 3, (size_t)size - 3, Py_ASNATIVEBYTES_BIG_ENDIAN);
  }
  uint8_t *magnitude = malloc((size_t)size);
  if (magnitude == NULL) return PyErr_NoMemory();
  for (int64_t k = 3; k < size; k++) magnitude[k - 3] = (uint8_t)~bytes[k];
  PyObject *positive = PyLong_FromUnsignedNativeBytes(magnitude, (size_t)size - 3, Py_ASNATIVEBYTES_BIG_ENDIAN);
  free(magnitude);
  PyObject *negative = positive == NULL ? NULL : PyNumber_Negative(positive);
  Py_XDECREF(positive);
  return negative;
}

/* DuckDB's bit string (src/common/types/bit.cpp): the number of leading bits that don't count, then the bits. */
PyObject *decode_bit(const uint8_t *bytes, int64_t size) {
  if (size < 2 || bytes[0] > 7) {
    PyErr_SetString(PyExc_ValueError, "a BIT that is none");
    return NULL;
  }
  int64_t padding = bytes[0], n = (size - 1) * 8 - padding;
  PyObject *string = PyUnicode_New(n, 127);
  if (string == NULL) return NULL;
  Py_UCS1 *digits = PyUnicode_1BYTE_DATA(string);
  for (int64_t k = 0; k < n; k++) {
    int64_t bit = k + padding;
    digits[k] = '0' + (bytes[1 + bit / 8] >> (7 - bit % 8) & 1);
  }
  return string;
}

PyObject *decode_uuid(const uint8_t *bytes) {
  PyTypeObject *type = (PyTypeObject *)uuid_class;
  return with_attributes(type->tp_alloc(type, 0), int_name,
                         PyLong_FromUnsignedNativeBytes(bytes, 16, Py_ASNATIVEBYTES_BIG_ENDIAN), is_safe_name,
                         Py_NewRef(uuid_is_safe));
}

/* Return the value of a hexadecimal digit, -1 for any other character. */
static int digit_of(uint8_t character) {
  if (character >= '0' && character <= '9') return character - '0';
  return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

PyObject *decode_uuid_text(const uint8_t *text, int64_t size) {
  int64_t n = 0;
  uint8_t bytes[16] = {0};
  for (int64_t k = 0; k < size && n < 33; k++) {
    int digit = digit_of(text[k]);
    if (digit < 0) continue;
    if (n < 32) bytes[n / 2] |= (uint8_t)(digit << (n % 2 == 0 ? 4 : 0));
    n++;
  }
  if (n == 32) return decode_uuid(bytes);
  PyErr_SetString(PyExc_ValueError, "a UUID that is none");
  return NULL;
}
