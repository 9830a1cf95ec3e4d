#include "codec.h"

#include <datetime.h>
#include <string.h>

#define MICROSECONDS_PER_SECOND INT64_C(1000000)
#define MICROSECONDS_PER_DAY (INT64_C(86400) * MICROSECONDS_PER_SECOND)

static PyObject *decimal_class;

int codec_prepare(void) {
  PyDateTime_IMPORT;
  PyObject *decimal = PyImport_ImportModule("decimal");
  if (PyDateTimeAPI == NULL || decimal == NULL) return -1;
  decimal_class = PyObject_GetAttrString(decimal, "Decimal");
  Py_DECREF(decimal);
  return decimal_class == NULL ? -1 : 0;
}

/* ---- types ----------------------------------------------------------------------------------------------------- */

int value_type_read(struct value_type *type, const struct ArrowSchema *schema) {
  struct ArrowError error;
  struct ArrowSchemaView view;
  error.message[0] = 0;
  if (ArrowSchemaViewInit(&view, schema, &error) != NANOARROW_OK) {
    PyErr_SetString(PyExc_TypeError, error.message);
    return -1;
  }
  *type = (struct value_type){
      .arrow = view.type,
      .unit = view.time_unit,
      .with_time_zone = view.type == NANOARROW_TYPE_TIMESTAMP && view.timezone != NULL && view.timezone[0] != 0,
      .precision = view.decimal_precision,
      .scale = view.decimal_scale,
  };
  switch (view.type) {
    case NANOARROW_TYPE_NA:
    case NANOARROW_TYPE_BOOL:
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_UINT64:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_DATE32:
    case NANOARROW_TYPE_TIME64:
    case NANOARROW_TYPE_TIMESTAMP:
    case NANOARROW_TYPE_DECIMAL128:
      return 0;
    default:
      PyErr_Format(PyExc_TypeError, "the guest has no codec for Arrow type %s", ArrowTypeString(view.type));
      return -1;
  }
}

/* The SQL name a user knows the type by. */
static const char *sql_name(const struct value_type *type) {
  switch (type->arrow) {
    case NANOARROW_TYPE_BOOL:
      return "BOOLEAN";
    case NANOARROW_TYPE_INT64:
      return "BIGINT";
    case NANOARROW_TYPE_UINT64:
      return "UBIGINT";
    case NANOARROW_TYPE_DOUBLE:
      return "DOUBLE";
    case NANOARROW_TYPE_BINARY:
      return "BLOB";
    case NANOARROW_TYPE_DATE32:
      return "DATE";
    case NANOARROW_TYPE_TIME64:
      return "TIME";
    case NANOARROW_TYPE_TIMESTAMP:
      return type->with_time_zone ? "TIMESTAMP WITH TIME ZONE" : "TIMESTAMP";
    case NANOARROW_TYPE_DECIMAL128:
      return "DECIMAL";
    default:
      return "VARCHAR";
  }
}

/* ---- days, and the civil calendar ------------------------------------------------------------------------------ */

/* Proleptic Gregorian date of a day counted from 1970-01-01 and back: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms" (https://howardhinnant.github.io/date_algorithms.html), civil_from_days and days_from_civil. */
static void civil_from_days(int64_t days, int *year, int *month, int *day) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t of_era = days - era * 146097;
  int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * of_year + 2) / 153; /* month from March */
  *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static int64_t days_from_civil(int year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
  return era * 146097 + of_era - 719468;
}

/* Days of 0001-01-01 and 9999-12-31: what Python's datetime holds. */
#define MIN_DAY INT64_C(-719162)
#define MAX_DAY INT64_C(2932896)

static int check_day(int64_t day, const char *sql_type) {
  if (day >= MIN_DAY && day <= MAX_DAY) return 0;
  PyErr_Format(PyExc_OverflowError,
               "a %s outside the years 1 to 9999 of Python's datetime (perhaps infinity); filter it out or cast it to "
               "VARCHAR",
               sql_type);
  return -1;
}

static int64_t floor_divide(int64_t value, int64_t by) {
  int64_t quotient = value / by;
  return quotient - (value % by < 0);
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

/* ---- decoding -------------------------------------------------------------------------------------------------- */

void column_open(struct column *column, const struct ArrowArrayView *view) {
  column->view = view;
  column->first = view->offset;
  column->validity = view->null_count == 0 ? NULL : view->buffer_views[0].data.as_uint8;
  column->data = view->buffer_views[1].data.data;
  column->offsets = NULL;
  if (column->type.arrow == NANOARROW_TYPE_STRING || column->type.arrow == NANOARROW_TYPE_BINARY) {
    column->offsets = view->buffer_views[1].data.as_int32;
    column->data = view->buffer_views[2].data.data;
  }
}

static PyObject *get_date(int64_t day) {
  if (check_day(day, "DATE") < 0) return NULL;
  int year, month, of_month;
  civil_from_days(day, &year, &month, &of_month);
  return PyDate_FromDate(year, month, of_month);
}

static PyObject *get_time(int64_t value, enum ArrowTimeUnit unit) {
  int64_t micros;
  if (to_microseconds(value, unit, &micros) < 0) return NULL;
  if (micros >= MICROSECONDS_PER_DAY) {
    PyErr_SetString(PyExc_OverflowError, "the TIME 24:00:00, which Python's time can't hold; cast it to VARCHAR");
    return NULL;
  }
  int64_t seconds = micros / MICROSECONDS_PER_SECOND;
  return PyTime_FromTime((int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60),
                         (int)(micros % MICROSECONDS_PER_SECOND));
}

static PyObject *get_timestamp(int64_t value, const struct value_type *type) {
  int64_t micros;
  if (to_microseconds(value, type->unit, &micros) < 0) return NULL;
  int64_t day = floor_divide(micros, MICROSECONDS_PER_DAY);
  if (check_day(day, sql_name(type)) < 0) return NULL;
  int year, month, of_month;
  civil_from_days(day, &year, &month, &of_month);
  int64_t of_day = micros - day * MICROSECONDS_PER_DAY;
  int64_t seconds = of_day / MICROSECONDS_PER_SECOND;
  return PyDateTimeAPI->DateTime_FromDateAndTime(
      year, month, of_month, (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60),
      (int)(of_day % MICROSECONDS_PER_SECOND), type->with_time_zone ? PyDateTime_TimeZone_UTC : Py_None,
      PyDateTimeAPI->DateTimeType);
}

static PyObject *get_decimal(const void *data, int64_t i, int32_t scale) {
  __int128 value;
  memcpy(&value, (const char *)data + i * 16, 16);
  unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
  char text[64]; /* 39 digits, a point, leading zeros up to the scale, a sign */
  char *end = text + sizeof text, *at = end;
  for (int32_t digits = 0; rest != 0 || digits <= scale; digits++) {
    if (digits == scale && scale > 0) *--at = '.';
    *--at = (char)('0' + (int)(rest % 10));
    rest /= 10;
  }
  if (value < 0) *--at = '-';
  return PyObject_CallFunction(decimal_class, "s#", at, (Py_ssize_t)(end - at));
}

PyObject *column_get(const struct column *column, int64_t row) {
  int64_t i = column->first + row;
  switch (column->type.arrow) {
    case NANOARROW_TYPE_INT64:
      return PyLong_FromLongLong(((const int64_t *)column->data)[i]);
    case NANOARROW_TYPE_DOUBLE:
      return PyFloat_FromDouble(((const double *)column->data)[i]);
    case NANOARROW_TYPE_STRING: {
      int32_t start = column->offsets[i];
      return PyUnicode_DecodeUTF8((const char *)column->data + start, column->offsets[i + 1] - start, NULL);
    }
    case NANOARROW_TYPE_BOOL:
      return PyBool_FromLong(ArrowBitGet(column->data, i));
    case NANOARROW_TYPE_INT32:
      return PyLong_FromLong(((const int32_t *)column->data)[i]);
    case NANOARROW_TYPE_UINT64:
      return PyLong_FromUnsignedLongLong(((const uint64_t *)column->data)[i]);
    case NANOARROW_TYPE_FLOAT:
      return PyFloat_FromDouble(((const float *)column->data)[i]);
    case NANOARROW_TYPE_BINARY: {
      int32_t start = column->offsets[i];
      return PyBytes_FromStringAndSize((const char *)column->data + start, column->offsets[i + 1] - start);
    }
    case NANOARROW_TYPE_DATE32:
      return get_date(((const int32_t *)column->data)[i]);
    case NANOARROW_TYPE_TIME64:
      return get_time(((const int64_t *)column->data)[i], column->type.unit);
    case NANOARROW_TYPE_TIMESTAMP:
      return get_timestamp(((const int64_t *)column->data)[i], &column->type);
    case NANOARROW_TYPE_DECIMAL128:
      return get_decimal(column->data, i, column->type.scale);
    default: /* the narrow integers: value_type_read let nothing else through */
      return PyLong_FromLongLong(ArrowArrayViewGetIntUnsafe(column->view, row));
  }
}

/* ---- encoding: the column under construction -------------------------------------------------------------------- */

static int out_of_memory(void) {
  PyErr_NoMemory();
  return -1;
}

/* Bytes of a value in `data`; 0 for types whose values are elsewhere or of no fixed width. */
static int64_t value_width(enum ArrowType type) {
  switch (type) {
    case NANOARROW_TYPE_DATE32:
      return 4;
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_UINT64:
    case NANOARROW_TYPE_DOUBLE:
    case NANOARROW_TYPE_TIME64:
    case NANOARROW_TYPE_TIMESTAMP:
      return 8;
    case NANOARROW_TYPE_DECIMAL128:
      return 16;
    default:
      return 0;
  }
}

static int has_offsets(enum ArrowType type) { return type == NANOARROW_TYPE_STRING || type == NANOARROW_TYPE_BINARY; }

void builder_init(struct builder *builder, const struct value_type *declared) {
  memset(builder, 0, sizeof *builder);
  builder->declared = declared != NULL;
  builder->type = declared != NULL ? *declared : (struct value_type){.arrow = NANOARROW_TYPE_NA};
  ArrowBitmapInit(&builder->validity);
  ArrowBitmapInit(&builder->bits);
  ArrowBufferInit(&builder->data);
  ArrowBufferInit(&builder->offsets);
}

/* Room for the batch's fixed-width part, and a placeholder for each NULL appended so far. */
static int prepare_values(struct builder *builder) {
  int64_t width = value_width(builder->type.arrow);
  if (builder->type.arrow == NANOARROW_TYPE_BOOL) {
    if (ArrowBitmapReserve(&builder->bits, builder->capacity) != NANOARROW_OK) return out_of_memory();
    ArrowBitmapAppendUnsafe(&builder->bits, 0, builder->length);
  } else if (has_offsets(builder->type.arrow)) {
    if (ArrowBufferReserve(&builder->offsets, (builder->capacity + 1) * 4) != NANOARROW_OK) return out_of_memory();
    memset(builder->offsets.data, 0, (size_t)(builder->length + 1) * 4);
  } else if (width > 0) {
    if (ArrowBufferReserve(&builder->data, builder->capacity * width) != NANOARROW_OK) return out_of_memory();
    memset(builder->data.data, 0, (size_t)(builder->length * width));
  }
  return 0;
}

int builder_start(struct builder *builder, int64_t rows) {
  if (!builder->declared) builder->type = (struct value_type){.arrow = NANOARROW_TYPE_NA};
  builder->length = 0;
  builder->null_count = 0;
  builder->capacity = rows;
  ArrowBitmapResize(&builder->validity, 0, 0);
  ArrowBitmapResize(&builder->bits, 0, 0);
  builder->data.size_bytes = 0;
  builder->offsets.size_bytes = 0;
  return prepare_values(builder);
}

/* Marks the row just written. */
static inline void close_row(struct builder *builder, int valid) {
  if (builder->null_count > 0) ArrowBitmapAppendUnsafe(&builder->validity, (uint8_t)valid, 1);
  builder->length++;
  if (has_offsets(builder->type.arrow)) {
    ((int32_t *)builder->offsets.data)[builder->length] = (int32_t)builder->data.size_bytes;
  }
}

int builder_append_null(struct builder *builder) {
  if (builder->null_count == 0) {
    if (ArrowBitmapReserve(&builder->validity, builder->capacity) != NANOARROW_OK) return out_of_memory();
    ArrowBitmapAppendUnsafe(&builder->validity, 1, builder->length);
  }
  builder->null_count++;
  int64_t width = value_width(builder->type.arrow);
  if (builder->type.arrow == NANOARROW_TYPE_BOOL) {
    ArrowBitmapAppendUnsafe(&builder->bits, 0, 1);
  } else if (width > 0) {
    memset(builder->data.data + builder->length * width, 0, (size_t)width);
  }
  close_row(builder, 0);
  return 0;
}

/* ---- encoding: which type a value has --------------------------------------------------------------------------- */

static int is_decimal(PyObject *value) { return PyObject_TypeCheck(value, (PyTypeObject *)decimal_class); }

static int is_aware(PyObject *value) { return ((PyDateTime_DateTime *)value)->hastzinfo; }

/* The type that holds the value, or NA when none does. A decimal's scale is settled by the first one of a batch. */
static struct value_type type_of(PyObject *value) {
  if (PyBool_Check(value)) return (struct value_type){.arrow = NANOARROW_TYPE_BOOL};
  if (PyLong_Check(value)) return (struct value_type){.arrow = NANOARROW_TYPE_INT64};
  if (PyFloat_Check(value)) return (struct value_type){.arrow = NANOARROW_TYPE_DOUBLE};
  if (PyUnicode_Check(value)) return (struct value_type){.arrow = NANOARROW_TYPE_STRING};
  if (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value)) {
    return (struct value_type){.arrow = NANOARROW_TYPE_BINARY};
  }
  if (PyDateTime_Check(value)) {
    return (struct value_type){
        .arrow = NANOARROW_TYPE_TIMESTAMP, .unit = NANOARROW_TIME_UNIT_MICRO, .with_time_zone = is_aware(value)};
  }
  if (PyDate_Check(value)) return (struct value_type){.arrow = NANOARROW_TYPE_DATE32};
  if (PyTime_Check(value)) {
    return (struct value_type){.arrow = NANOARROW_TYPE_TIME64, .unit = NANOARROW_TIME_UNIT_MICRO};
  }
  return (struct value_type){.arrow = NANOARROW_TYPE_NA};
}

static int wrong_type(struct builder *builder, PyObject *value) {
  const char *kind = Py_TYPE(value)->tp_name;
  if (builder->declared) {
    PyErr_Format(PyExc_TypeError, "the function returned %.100s where its result type %s was declared", kind,
                 sql_name(&builder->type));
  } else if (is_decimal(value)) {
    PyErr_SetString(PyExc_TypeError,
                    "the function returned a Decimal, whose width and scale have to be declared; give the function a "
                    "return_type such as DECIMAL(18,3), or return str or float");
  } else if (type_of(value).arrow == NANOARROW_TYPE_NA) {
    PyErr_Format(PyExc_TypeError,
                 "the function returned %.100s; a result must be bool, int, float, str, bytes, date, time, datetime or "
                 "None",
                 kind);
  } else {
    PyErr_Format(PyExc_TypeError,
                 "the function returned %.100s after earlier rows of the batch gave %s; return one type, or declare "
                 "the result type with an annotation or a typed form such as py_udf_varchar",
                 kind, sql_name(&builder->type));
  }
  return -1;
}

/* An undeclared result whose type so far does not hold `value`: settles on the first type, widens int to float. */
static int infer(struct builder *builder, PyObject *value) {
  struct value_type type = type_of(value);
  if (type.arrow == builder->type.arrow && type.with_time_zone == builder->type.with_time_zone) return 0;
  if (builder->type.arrow == NANOARROW_TYPE_NA && type.arrow != NANOARROW_TYPE_NA) {
    builder->type = type;
    return prepare_values(builder);
  }
  if (builder->type.arrow == NANOARROW_TYPE_DOUBLE && type.arrow == NANOARROW_TYPE_INT64) return 0;
  if (builder->type.arrow == NANOARROW_TYPE_INT64 && type.arrow == NANOARROW_TYPE_DOUBLE) {
    const int64_t *integers = (const int64_t *)builder->data.data;
    double *doubles = (double *)builder->data.data;
    for (int64_t i = 0; i < builder->length; i++) doubles[i] = (double)integers[i];
    builder->type = type;
    return 0;
  }
  return wrong_type(builder, value);
}

/* ---- encoding: values -------------------------------------------------------------------------------------------- */

static int append_bool(struct builder *builder, PyObject *value) {
  if (!PyBool_Check(value)) return wrong_type(builder, value);
  ArrowBitmapAppendUnsafe(&builder->bits, value == Py_True, 1);
  return 0;
}

static int append_integer(struct builder *builder, PyObject *value) {
  if (!PyLong_Check(value)) return wrong_type(builder, value);
  int overflow = 0;
  int64_t integer = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow) {
    PyErr_SetString(PyExc_OverflowError,
                    "the function returned an integer outside the range of BIGINT (-2^63 to 2^63-1); return a float "
                    "or str instead");
    return -1;
  }
  ((int64_t *)builder->data.data)[builder->length] = integer;
  return 0;
}

static int append_unsigned(struct builder *builder, PyObject *value) {
  if (!PyLong_Check(value)) return wrong_type(builder, value);
  uint64_t integer = PyLong_AsUnsignedLongLong(value);
  if (integer == UINT64_MAX && PyErr_Occurred()) {
    PyErr_SetString(PyExc_OverflowError, "the function returned an integer outside the range of UBIGINT (0 to 2^64-1)");
    return -1;
  }
  ((uint64_t *)builder->data.data)[builder->length] = integer;
  return 0;
}

static int append_double(struct builder *builder, PyObject *value) {
  double number;
  if (PyFloat_Check(value)) {
    number = PyFloat_AS_DOUBLE(value);
  } else if (PyLong_Check(value)) {
    number = PyLong_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) return -1;
  } else {
    return wrong_type(builder, value);
  }
  ((double *)builder->data.data)[builder->length] = number;
  return 0;
}

static int append_bytes(struct builder *builder, const void *bytes, Py_ssize_t size) {
  if (builder->data.size_bytes + size > INT32_MAX) {
    PyErr_Format(PyExc_OverflowError, "the %s values returned for one batch exceed 2 GiB", sql_name(&builder->type));
    return -1;
  }
  if (ArrowBufferAppend(&builder->data, bytes, size) != NANOARROW_OK) return out_of_memory();
  return 0;
}

static int append_string(struct builder *builder, PyObject *value) {
  if (!PyUnicode_Check(value)) return wrong_type(builder, value);
  Py_ssize_t size;
  const char *text = PyUnicode_AsUTF8AndSize(value, &size);
  return text == NULL ? -1 : append_bytes(builder, text, size);
}

static int append_blob(struct builder *builder, PyObject *value) {
  if (type_of(value).arrow != NANOARROW_TYPE_BINARY) return wrong_type(builder, value);
  Py_buffer view;
  if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0) return -1;
  int failed = append_bytes(builder, view.buf, view.len);
  PyBuffer_Release(&view);
  return failed;
}

static int append_date(struct builder *builder, PyObject *value) {
  if (!PyDate_Check(value) || PyDateTime_Check(value)) return wrong_type(builder, value);
  ((int32_t *)builder->data.data)[builder->length] = (int32_t)days_from_civil(
      PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
  return 0;
}

static int append_time(struct builder *builder, PyObject *value) {
  if (!PyTime_Check(value)) return wrong_type(builder, value);
  if (((PyDateTime_Time *)value)->hastzinfo) {
    PyErr_SetString(PyExc_TypeError, "the function returned a time with a time zone where TIME has none; replace its "
                                     "tzinfo by None");
    return -1;
  }
  int64_t seconds = (PyDateTime_TIME_GET_HOUR(value) * 60 + PyDateTime_TIME_GET_MINUTE(value)) * 60 +
                    PyDateTime_TIME_GET_SECOND(value);
  ((int64_t *)builder->data.data)[builder->length] =
      seconds * MICROSECONDS_PER_SECOND + PyDateTime_TIME_GET_MICROSECOND(value);
  return 0;
}

/* The offset of an aware datetime from UTC in microseconds. */
static int utc_offset(PyObject *value, int64_t *microseconds) {
  PyObject *offset = PyObject_CallMethod(value, "utcoffset", NULL);
  if (offset == NULL) return -1;
  if (!PyDelta_Check(offset)) {
    Py_DECREF(offset);
    PyErr_SetString(PyExc_TypeError, "the function returned a datetime whose time zone has no offset from UTC");
    return -1;
  }
  *microseconds = PyDateTime_DELTA_GET_DAYS(offset) * MICROSECONDS_PER_DAY +
                  PyDateTime_DELTA_GET_SECONDS(offset) * MICROSECONDS_PER_SECOND +
                  PyDateTime_DELTA_GET_MICROSECONDS(offset);
  Py_DECREF(offset);
  return 0;
}

static int append_timestamp(struct builder *builder, PyObject *value) {
  if (!PyDateTime_Check(value)) return wrong_type(builder, value);
  if (is_aware(value) != builder->type.with_time_zone) {
    PyErr_SetString(PyExc_TypeError, is_aware(value)
                                         ? "the function returned a datetime with a time zone where TIMESTAMP has none; "
                                           "convert it and replace its tzinfo by None"
                                         : "the function returned a datetime without a time zone where TIMESTAMP WITH "
                                           "TIME ZONE needs one; give it a tzinfo");
    return -1;
  }
  int64_t offset = 0;
  if (is_aware(value) && utc_offset(value, &offset) < 0) return -1;
  int64_t day =
      days_from_civil(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
  int64_t seconds = (PyDateTime_DATE_GET_HOUR(value) * 60 + PyDateTime_DATE_GET_MINUTE(value)) * 60 +
                    PyDateTime_DATE_GET_SECOND(value);
  ((int64_t *)builder->data.data)[builder->length] = day * MICROSECONDS_PER_DAY + seconds * MICROSECONDS_PER_SECOND +
                                                     PyDateTime_DATE_GET_MICROSECOND(value) - offset;
  return 0;
}

static int bad_decimal(struct builder *builder, PyObject *text) {
  PyErr_Format(PyExc_OverflowError, "the function returned %.60U, which DECIMAL(%d,%d) can't hold", text,
               (int)builder->type.precision, (int)builder->type.scale);
  return -1;
}

/* Digits `0.` to the scale, rounded half away from zero as DuckDB rounds: from the text of an int or a Decimal. */
static int append_decimal(struct builder *builder, PyObject *value) {
  if (!is_decimal(value) && (!PyLong_Check(value) || PyBool_Check(value))) return wrong_type(builder, value);
  PyObject *text = PyObject_Str(value);
  if (text == NULL) return -1;
  Py_ssize_t size;
  const char *at = PyUnicode_AsUTF8AndSize(text, &size);
  if (at == NULL) {
    Py_DECREF(text);
    return -1;
  }
  int negative = *at == '-';
  at += *at == '-' || *at == '+';

  /* The digits without their point, and the power of ten of the last one. */
  const char *digits = at;
  int64_t exponent = 0;
  const char *end = at + strcspn(at, "Ee");
  const char *point = memchr(at, '.', (size_t)(end - at));
  if (*end != 0) exponent = strtol(end + 1, NULL, 10);
  if (point != NULL) exponent -= end - point - 1;

  int64_t dropped = -(exponent + builder->type.scale); /* how many of the last digits lie beyond the scale */
  int64_t left = (end - digits) - (point != NULL);
  unsigned __int128 number = 0, limit = 1;
  for (int32_t i = 0; i < builder->type.precision; i++) limit *= 10;
  int failed = 0, round_up = 0;
  for (; digits < end; digits++) {
    if (*digits == '.') continue;
    if (*digits < '0' || *digits > '9') { /* NaN, Infinity */
      failed = 1;
      break;
    }
    if (left > dropped) {
      failed = number >= limit / 10;
      number = number * 10 + (unsigned)(*digits - '0');
    } else if (left == dropped) {
      round_up = *digits >= '5';
    }
    if (failed) break;
    left--;
  }
  number += (unsigned)round_up;
  for (; dropped < 0 && number != 0 && !failed; dropped++) {
    failed = number >= limit / 10;
    number *= 10;
  }
  if (failed || number >= limit) {
    failed = bad_decimal(builder, text);
  } else {
    __int128 signed_number = negative ? -(__int128)number : (__int128)number;
    memcpy(builder->data.data + builder->length * 16, &signed_number, 16);
  }
  Py_DECREF(text);
  return failed;
}

int builder_append(struct builder *builder, PyObject *value) {
  if (value == Py_None) return builder_append_null(builder);
  if (!builder->declared && infer(builder, value) < 0) return -1;
  int failed;
  switch (builder->type.arrow) {
    case NANOARROW_TYPE_INT64:
      failed = append_integer(builder, value);
      break;
    case NANOARROW_TYPE_DOUBLE:
      failed = append_double(builder, value);
      break;
    case NANOARROW_TYPE_STRING:
      failed = append_string(builder, value);
      break;
    case NANOARROW_TYPE_BOOL:
      failed = append_bool(builder, value);
      break;
    case NANOARROW_TYPE_UINT64:
      failed = append_unsigned(builder, value);
      break;
    case NANOARROW_TYPE_BINARY:
      failed = append_blob(builder, value);
      break;
    case NANOARROW_TYPE_DATE32:
      failed = append_date(builder, value);
      break;
    case NANOARROW_TYPE_TIME64:
      failed = append_time(builder, value);
      break;
    case NANOARROW_TYPE_TIMESTAMP:
      failed = append_timestamp(builder, value);
      break;
    case NANOARROW_TYPE_DECIMAL128:
      failed = append_decimal(builder, value);
      break;
    default: /* a declared type without an encoder */
      failed = wrong_type(builder, value);
      break;
  }
  if (failed) return -1;
  close_row(builder, 1);
  return 0;
}

/* ---- encoding: the result ---------------------------------------------------------------------------------------- */

/* The type in the notation of the Arrow C data interface. */
static void write_format(struct builder *builder) {
  const char *format = "n";
  switch (builder->type.arrow) {
    case NANOARROW_TYPE_BOOL:
      format = "b";
      break;
    case NANOARROW_TYPE_INT64:
      format = "l";
      break;
    case NANOARROW_TYPE_UINT64:
      format = "L";
      break;
    case NANOARROW_TYPE_DOUBLE:
      format = "g";
      break;
    case NANOARROW_TYPE_STRING:
      format = "u";
      break;
    case NANOARROW_TYPE_BINARY:
      format = "z";
      break;
    case NANOARROW_TYPE_DATE32:
      format = "tdD";
      break;
    case NANOARROW_TYPE_TIME64:
      format = "ttu";
      break;
    case NANOARROW_TYPE_TIMESTAMP:
      format = builder->type.with_time_zone ? "tsu:UTC" : "tsu:";
      break;
    case NANOARROW_TYPE_DECIMAL128:
      snprintf(builder->format, sizeof builder->format, "d:%d,%d", (int)builder->type.precision,
               (int)builder->type.scale);
      return;
    default:
      break;
  }
  snprintf(builder->format, sizeof builder->format, "%s", format);
}

void builder_finish(struct builder *builder, struct udf_result *result) {
  static const void *buffers[3];
  int64_t n_buffers = 2;
  buffers[0] = builder->null_count > 0 ? builder->validity.buffer.data : NULL;
  if (builder->type.arrow == NANOARROW_TYPE_BOOL) {
    buffers[1] = builder->bits.buffer.data;
  } else if (has_offsets(builder->type.arrow)) {
    buffers[1] = builder->offsets.data;
    buffers[2] = builder->data.data;
    n_buffers = 3;
  } else if (builder->type.arrow == NANOARROW_TYPE_NA) {
    n_buffers = 0;
  } else {
    buffers[1] = builder->data.data;
  }
  write_format(builder);
  result->schema = (struct ArrowSchema){.format = builder->format, .name = "", .flags = ARROW_FLAG_NULLABLE};
  result->array = (struct ArrowArray){
      .length = builder->length,
      .null_count = builder->null_count,
      .n_buffers = n_buffers,
      .buffers = buffers,
  };
}
