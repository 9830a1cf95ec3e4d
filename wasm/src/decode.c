#include "decode.h"

#include <datetime.h>
#include <string.h>

#include "calendar.h"
#include "variant.h"

/* Attribute names, and what every UUID we make has: uuid.SafeUUID.unknown. */
static PyObject *months_name, *days_name, *int_name, *is_safe_name, *uuid_is_safe;

int decode_prepare(void) {
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

/* ---- a batch --------------------------------------------------------------------------------------------------- */

int column_init(struct column *column, const struct value_type *type) {
  *column = (struct column){.kind = type->kind, .type = type};
  column->children = calloc((size_t)type->n_children + 1, sizeof *column->children);
  if (column->children == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (int64_t i = 0; i < type->n_children; i++) {
    if (column_init(&column->children[i], &type->children[i]) < 0) return -1;
  }
  return 0;
}

/* Room for an ENUM's values, which are decoded when a row first shows them. */
static int open_enum(struct column *column) {
  for (int64_t i = 0; i < column->n_known; i++) Py_XDECREF(column->known[i]);
  free(column->known);
  column->n_known = column->view->dictionary->length;
  column->known = calloc((size_t)column->n_known + 1, sizeof *column->known);
  if (column->known == NULL) {
    column->n_known = 0;
    PyErr_NoMemory();
    return -1;
  }
  return column_open(&column->children[0], column->view->dictionary);
}

/* Room to know strings again; a short batch has few to repeat. */
static int open_strings(struct column *column) {
  if (column->strings != NULL || column->view->length < KNOWN_STRINGS) return 0;
  column->strings = calloc(KNOWN_STRINGS, sizeof *column->strings);
  if (column->strings != NULL) return 0;
  PyErr_NoMemory();
  return -1;
}

int column_open(struct column *column, const struct ArrowArrayView *view) {
  column->view = view;
  column->first = view->offset;
  column->validity = view->null_count == 0 ? NULL : view->buffer_views[0].data.as_uint8;
  column->data = view->buffer_views[1].data.data;
  column->offsets = NULL;
  const struct ArrowArrayView *inside = view; /* the host sees to it that a map's entries start at 0 */
  switch (column->kind) {
    case SQL_UUID:
      if (!column->type->as_text) return 0;
      __attribute__((fallthrough));
    case SQL_VARCHAR:
    case SQL_JSON:
    case SQL_BLOB:
    case SQL_BIT:
    case SQL_BIGNUM:
      column->offsets = view->buffer_views[1].data.as_int32;
      column->data = view->buffer_views[2].data.data;
      return column->kind == SQL_VARCHAR ? open_strings(column) : 0;
    case SQL_ENUM:
      return open_enum(column);
    case SQL_LIST:
      column->offsets = view->buffer_views[1].data.as_int32;
      break;
    case SQL_MAP:
      column->offsets = view->buffer_views[1].data.as_int32;
      inside = view->children[0]; /* the entries, a struct */
      break;
    case SQL_UNION:
      column->data = view->buffer_views[0].data.data; /* the members' numbers */
      column->validity = NULL; /* a union has no NULL of its own */
      break;
    default:
      break;
  }
  for (int64_t i = 0; i < column->type->n_children; i++) {
    if (column_open(&column->children[i], inside->children[i]) < 0) return -1;
  }
  return 0;
}

/* The bytes of a value that lies between offsets. */
static const uint8_t *bytes_of(const struct column *column, int64_t i, int64_t *size) {
  int32_t start = column->offsets[i];
  *size = column->offsets[i + 1] - start;
  return (const uint8_t *)column->data + start;
}

/* NULL in the VARIANT itself. */
int column_is_null_inside(const struct column *column, int64_t row) {
  int64_t size;
  const struct column *values = &column->children[1];
  const uint8_t *value = bytes_of(values, values->first + row, &size);
  return size > 0 && value[0] == 0;
}

/* ---- scalars ----------------------------------------------------------------------------------------------------- */

static int check_day(int64_t day, const char *sql_type) {
  if (day >= MIN_DAY && day <= MAX_DAY) return 0;
  PyErr_Format(PyExc_OverflowError,
               "a %s outside the years 1 to 9999 of Python's datetime (perhaps infinity); filter it out or cast it to "
               "VARCHAR",
               sql_type);
  return -1;
}

/* A count of `unit` as microseconds: never a rounded one. */
static int to_microseconds(int64_t value, enum ArrowTimeUnit unit, int64_t *microseconds) {
  switch (unit) {
    case NANOARROW_TIME_UNIT_SECOND:
    case NANOARROW_TIME_UNIT_MILLI:
      if (!__builtin_mul_overflow(value, unit == NANOARROW_TIME_UNIT_SECOND ? 1000000 : 1000, microseconds)) return 0;
      *microseconds = INT64_MAX; /* far outside the calendar, as check_day will say */
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

PyObject *get_date(int64_t day) {
  if (check_day(day, "DATE") < 0) return NULL;
  int year, month, of_month;
  civil_from_days(day, &year, &month, &of_month);
  return PyDate_FromDate(year, month, of_month);
}

PyObject *get_time(int64_t value, enum ArrowTimeUnit unit, PyObject *time_zone) {
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

/* DuckDB's dtime_tz_t (src/include/duckdb/common/types/datetime.hpp): microseconds of the day in the upper 40 bits, in
 * the lower 24 the seconds by which the offset from UTC falls short of the greatest one. */
static PyObject *get_time_with_zone(struct column *column, uint64_t bits) {
  int32_t offset = MAX_UTC_OFFSET - (int32_t)(bits & 0xFFFFFF);
  if (column->time_zone == NULL || column->known_offset != offset) {
    PyObject *delta = PyDelta_FromDSU(0, offset, 0);
    PyObject *time_zone = delta == NULL ? NULL : PyTimeZone_FromOffset(delta);
    Py_XDECREF(delta);
    if (time_zone == NULL) return NULL;
    Py_XSETREF(column->time_zone, time_zone);
    column->known_offset = offset;
  }
  return get_time((int64_t)(bits >> 24), NANOARROW_TIME_UNIT_MICRO, column->time_zone);
}

PyObject *get_timestamp(int64_t value, enum ArrowTimeUnit unit, int with_time_zone) {
  int64_t micros;
  if (to_microseconds(value, unit, &micros) < 0) return NULL;
  int64_t day = floor_divide(micros, MICROSECONDS_PER_DAY);
  if (check_day(day, with_time_zone ? "TIMESTAMP WITH TIME ZONE" : "TIMESTAMP") < 0) return NULL;
  int year, month, of_month;
  civil_from_days(day, &year, &month, &of_month);
  int64_t of_day = micros - day * MICROSECONDS_PER_DAY;
  int64_t seconds = of_day / MICROSECONDS_PER_SECOND;
  return PyDateTimeAPI->DateTime_FromDateAndTime(
      year, month, of_month, (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60),
      (int)(of_day % MICROSECONDS_PER_SECOND), with_time_zone ? PyDateTime_TimeZone_UTC : Py_None,
      PyDateTimeAPI->DateTimeType);
}

/* Sets attributes of an object whose class would refuse, or be slow, and drops the references to the values. */
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

/* An Interval: see duckdb_wasi_udf/_shared/interval.py. Microseconds, because DuckDB has no nanoseconds here. */
static PyObject *get_interval(const void *data, int64_t i) {
  struct {
    int32_t months, days;
    int64_t nanoseconds;
  } interval;
  memcpy(&interval, (const char *)data + i * 16, 16);
  int64_t micros = interval.nanoseconds / 1000;
  int64_t days = interval.days + interval.months * INT64_C(30) + floor_divide(micros, MICROSECONDS_PER_DAY);
  if (days < -999999999 || days > 999999999) {
    PyErr_SetString(PyExc_OverflowError,
                    "an INTERVAL longer than Python's timedelta holds (999999999 days); cast it to VARCHAR");
    return NULL;
  }
  int64_t of_day = micros - floor_divide(micros, MICROSECONDS_PER_DAY) * MICROSECONDS_PER_DAY;
  PyObject *object = PyDateTimeAPI->Delta_FromDelta((int)days, (int)(of_day / MICROSECONDS_PER_SECOND),
                                                    (int)(of_day % MICROSECONDS_PER_SECOND), 0,
                                                    (PyTypeObject *)interval_class);
  return with_attributes(object, months_name, PyLong_FromLong(interval.months), days_name,
                         PyLong_FromLong(interval.days));
}

PyObject *get_decimal(__int128 value, int32_t scale) {
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

static PyObject *get_hugeint(const void *data, int64_t i, int is_signed) {
  const char *at = (const char *)data + i * 16;
  int64_t low, high;
  memcpy(&low, at, 8);
  memcpy(&high, at + 8, 8);
  if (is_signed ? high == low >> 63 : high == 0 && low >= 0) return PyLong_FromLongLong(low);
  return is_signed ? PyLong_FromNativeBytes(at, 16, Py_ASNATIVEBYTES_LITTLE_ENDIAN)
                   : PyLong_FromUnsignedNativeBytes(at, 16, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
}

/* DuckDB's bignum (src/include/duckdb/common/types/bignum.hpp): three bytes with the sign and the length, then the
 * magnitude from its highest byte; all bits are inverted in a negative one. */
static PyObject *get_bignum(const struct column *column, int64_t i) {
  int64_t size;
  const uint8_t *bytes = bytes_of(column, i, &size);
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

/* DuckDB's bit string (src/common/types/bit.cpp): how many of the first bits are none, then the bits. A str of 0 and 1. */
static PyObject *get_bit(const struct column *column, int64_t i) {
  int64_t size;
  const uint8_t *bytes = bytes_of(column, i, &size);
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

PyObject *get_uuid(const uint8_t *bytes) {
  PyTypeObject *type = (PyTypeObject *)uuid_class;
  return with_attributes(type->tp_alloc(type, 0), int_name,
                         PyLong_FromUnsignedNativeBytes(bytes, 16, Py_ASNATIVEBYTES_BIG_ENDIAN), is_safe_name,
                         Py_NewRef(uuid_is_safe));
}

/* A UUID from its 36 characters. */
static PyObject *get_uuid_from_text(const struct column *column, int64_t i) {
  int64_t size, n = 0;
  const uint8_t *text = bytes_of(column, i, &size);
  uint8_t bytes[16] = {0};
  for (int64_t k = 0; k < size && n < 33; k++) {
    int digit = text[k] >= '0' && text[k] <= '9' ? text[k] - '0' : text[k] >= 'a' && text[k] <= 'f' ? text[k] - 'a' + 10 : -1;
    if (digit < 0) continue;
    if (n < 32) bytes[n / 2] |= (uint8_t)(digit << (n % 2 == 0 ? 4 : 0));
    n++;
  }
  if (n == 32) return get_uuid(bytes);
  PyErr_SetString(PyExc_ValueError, "a UUID that is none");
  return NULL;
}

/* The first 8 bytes of a text, those after its end zero. Reads past the end where that is inside the same page. */
static uint64_t first_bytes(const char *text, int64_t size) {
  uint64_t bytes = 0;
  if (size <= 0) return 0;
  if (size < 8 && ((uintptr_t)text & 0xFFFF) > 0x10000 - 8) {
    memcpy(&bytes, text, (size_t)size);
    return bytes;
  }
  memcpy(&bytes, text, 8);
  return size < 8 ? bytes & ((UINT64_C(1) << (8 * size)) - 1) : bytes;
}

static int is_ascii(const char *text, int64_t size) {
  uint64_t any = 0;
  for (; size > 0; text += 8, size -= 8) any |= first_bytes(text, size);
  return (any & UINT64_C(0x8080808080808080)) == 0;
}

/* CPython's decoder takes several calls to find out that a text is short and ASCII, as most are. */
#define SHORT_TEXT 64

static PyObject *new_string(const char *text, int64_t size) {
  if (size < 2 || size > SHORT_TEXT || !is_ascii(text, size)) return PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, NULL);
  PyObject *string = PyUnicode_New((Py_ssize_t)size, 127);
  if (string != NULL) memcpy(PyUnicode_1BYTE_DATA(string), text, (size_t)size);
  return string;
}

static PyObject *get_string(const struct column *column, int64_t i) {
  int64_t size;
  const char *text = (const char *)bytes_of(column, i, &size);
  if (column->strings == NULL || size > 8 || size == 0) return new_string(text, size);
  uint64_t bytes = first_bytes(text, size);
  uint64_t hash = bytes * UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio: Knuth's multiplicative hash */
  struct known_string *known = &column->strings[hash >> (64 - KNOWN_STRINGS_BITS)];
  if (known->bytes == bytes && known->length == size) return Py_NewRef(known->string);
  PyObject *string = new_string(text, size);
  if (string == NULL) return NULL;
  Py_XSETREF(known->string, Py_NewRef(string));
  known->bytes = bytes;
  known->length = (int32_t)size;
  return string;
}

static PyObject *get_json(const struct column *column, int64_t i) {
  PyObject *text = get_string(column, i);
  PyObject *value = text == NULL ? NULL : PyObject_CallOneArg(json_loads, text);
  Py_XDECREF(text);
  return value;
}

/* ---- nested values ----------------------------------------------------------------------------------------------- */

static PyObject *get_or_none(struct column *column, int64_t row) {
  return column_is_null(column, row) ? Py_NewRef(Py_None) : column_get(column, row);
}

static PyObject *get_list(struct column *values, int64_t start, int64_t stop) {
  PyObject *list = PyList_New(stop - start);
  for (int64_t i = start; list != NULL && i < stop; i++) {
    PyObject *value = get_or_none(values, i);
    if (value == NULL) {
      Py_CLEAR(list);
      break;
    }
    PyList_SET_ITEM(list, i - start, value);
  }
  return list;
}

/* A tuple, as in DuckDB's own functions. */
static PyObject *get_array(struct column *values, int64_t start, int64_t size) {
  PyObject *list = get_list(values, start, start + size);
  if (list == NULL) return NULL;
  PyObject *tuple = PyList_AsTuple(list);
  Py_DECREF(list);
  return tuple;
}

static PyObject *get_struct(struct column *column, int64_t i) {
  PyObject *fields = PyDict_New();
  for (int64_t k = 0; fields != NULL && k < column->type->n_children; k++) {
    PyObject *value = get_or_none(&column->children[k], i);
    if (value == NULL || PyDict_SetItem(fields, column->type->children[k].name, value) < 0) Py_CLEAR(fields);
    Py_XDECREF(value);
  }
  return fields;
}

/* A dict, or where a key can't be one's, {'key': [...], 'value': [...]} as in DuckDB's own functions. */
static PyObject *get_map(struct column *column, int64_t start, int64_t stop) {
  PyObject *map = PyDict_New();
  for (int64_t i = start; map != NULL && i < stop; i++) {
    PyObject *key = get_or_none(&column->children[0], i);
    PyObject *value = key == NULL ? NULL : get_or_none(&column->children[1], i);
    if (value == NULL || PyDict_SetItem(map, key, value) < 0) Py_CLEAR(map);
    Py_XDECREF(key);
    Py_XDECREF(value);
  }
  if (map != NULL || !PyErr_ExceptionMatches(PyExc_TypeError)) return map;
  PyErr_Clear();
  PyObject *keys = get_list(&column->children[0], start, stop);
  PyObject *values = keys == NULL ? NULL : get_list(&column->children[1], start, stop);
  if (values != NULL) map = Py_BuildValue("{sOsO}", "key", keys, "value", values);
  Py_XDECREF(keys);
  Py_XDECREF(values);
  return map;
}

static PyObject *get_union(struct column *column, int64_t i) {
  int8_t member = ((const int8_t *)column->data)[i];
  const int8_t *numbers = column->view->union_type_id_map; /* NULL: each member's number is its position */
  int64_t child = numbers == NULL || member < 0 ? member : numbers[member];
  if (child < 0 || child >= column->type->n_children) {
    PyErr_Format(PyExc_ValueError, "a UNION without a member %d", (int)member);
    return NULL;
  }
  return get_or_none(&column->children[child], i);
}

static PyObject *get_enum(struct column *column, int64_t row) {
  int64_t code = ArrowArrayViewGetIntUnsafe(column->view, row);
  if (code < 0 || code >= column->n_known) {
    PyErr_SetString(PyExc_ValueError, "an ENUM without that value");
    return NULL;
  }
  if (column->known[code] == NULL) column->known[code] = column_get(&column->children[0], code);
  return Py_XNewRef(column->known[code]);
}

static PyObject *get_variant(const struct column *column, int64_t row) {
  const struct column *metadata = &column->children[0], *values = &column->children[1];
  int64_t metadata_size, size;
  const uint8_t *names = bytes_of(metadata, metadata->first + row, &metadata_size);
  const uint8_t *value = bytes_of(values, values->first + row, &size);
  return variant_get(names, metadata_size, value, size);
}

PyObject *column_get(struct column *column, int64_t row) {
  int64_t i = column->first + row;
  switch (column->kind) {
    case SQL_BIGINT:
      return PyLong_FromLongLong(((const int64_t *)column->data)[i]);
    case SQL_DOUBLE:
      return PyFloat_FromDouble(((const double *)column->data)[i]);
    case SQL_VARCHAR:
      return get_string(column, i);
    case SQL_BOOLEAN:
      return PyBool_FromLong(column->type->as_byte ? ((const int8_t *)column->data)[i] != 0
                                                   : ArrowBitGet(column->data, i));
    case SQL_INTEGER:
      return PyLong_FromLong(((const int32_t *)column->data)[i]);
    case SQL_UBIGINT:
      return PyLong_FromUnsignedLongLong(((const uint64_t *)column->data)[i]);
    case SQL_FLOAT:
      return PyFloat_FromDouble(((const float *)column->data)[i]);
    case SQL_BLOB: {
      int64_t size;
      const uint8_t *bytes = bytes_of(column, i, &size);
      return PyBytes_FromStringAndSize((const char *)bytes, size);
    }
    case SQL_DATE:
      return get_date(((const int32_t *)column->data)[i]);
    case SQL_TIME:
      return get_time(((const int64_t *)column->data)[i], column->type->unit, Py_None);
    case SQL_TIMETZ:
      return get_time_with_zone(column, ((const uint64_t *)column->data)[i]);
    case SQL_TIMESTAMP:
    case SQL_TIMESTAMPTZ:
      return get_timestamp(((const int64_t *)column->data)[i], column->type->unit, column->kind == SQL_TIMESTAMPTZ);
    case SQL_INTERVAL:
      return get_interval(column->data, i);
    case SQL_DECIMAL: {
      __int128 value;
      memcpy(&value, (const char *)column->data + i * 16, 16);
      return get_decimal(value, column->type->scale);
    }
    case SQL_HUGEINT:
    case SQL_UHUGEINT:
      return get_hugeint(column->data, i, column->kind == SQL_HUGEINT);
    case SQL_BIGNUM:
      return get_bignum(column, i);
    case SQL_BIT:
      return get_bit(column, i);
    case SQL_UUID:
      return column->type->as_text ? get_uuid_from_text(column, i) : get_uuid((const uint8_t *)column->data + i * 16);
    case SQL_JSON:
      return get_json(column, i);
    case SQL_LIST:
      return get_list(&column->children[0], column->offsets[i], column->offsets[i + 1]);
    case SQL_ARRAY:
      return get_array(&column->children[0], i * column->type->array_size, column->type->array_size);
    case SQL_STRUCT:
      return get_struct(column, i);
    case SQL_MAP:
      return get_map(column, column->offsets[i], column->offsets[i + 1]);
    case SQL_UNION:
      return get_union(column, i);
    case SQL_ENUM:
      return get_enum(column, row);
    case SQL_VARIANT:
      return get_variant(column, row);
    default: /* the narrow integers: types.c lets nothing else through */
      return PyLong_FromLongLong(ArrowArrayViewGetIntUnsafe(column->view, row));
  }
}
