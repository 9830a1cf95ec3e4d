#include "decode.h"

#include <datetime.h>
#include <string.h>

#include "calendar.h"

int decode_prepare(void) {
  PyDateTime_IMPORT;
  return PyDateTimeAPI == NULL ? -1 : 0;
}

/* ---- a batch --------------------------------------------------------------------------------------------------- */

int column_init(struct column *column, const struct value_type *type) {
  *column = (struct column){.arrow = type->arrow, .type = type};
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

int column_open(struct column *column, const struct ArrowArrayView *view) {
  column->view = view;
  column->first = view->offset;
  column->validity = view->null_count == 0 ? NULL : view->buffer_views[0].data.as_uint8;
  column->data = view->buffer_views[1].data.data;
  column->offsets = NULL;
  const struct ArrowArrayView *inside = view; /* the host sees to it that a map's entries start at 0 */
  switch (column->arrow) {
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_BINARY:
      column->offsets = view->buffer_views[1].data.as_int32;
      column->data = view->buffer_views[2].data.data;
      return 0;
    case NANOARROW_TYPE_DICTIONARY:
      return open_enum(column);
    case NANOARROW_TYPE_LIST:
      column->offsets = view->buffer_views[1].data.as_int32;
      break;
    case NANOARROW_TYPE_MAP:
      column->offsets = view->buffer_views[1].data.as_int32;
      inside = view->children[0]; /* the entries, a struct */
      break;
    case NANOARROW_TYPE_SPARSE_UNION:
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

PyObject *column_get(struct column *column, int64_t row) {
  int64_t i = column->first + row;
  switch (column->arrow) {
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
      return get_time(((const int64_t *)column->data)[i], column->type->unit);
    case NANOARROW_TYPE_TIMESTAMP:
      return get_timestamp(((const int64_t *)column->data)[i], column->type);
    case NANOARROW_TYPE_DECIMAL128:
      return get_decimal(column->data, i, column->type->scale);
    case NANOARROW_TYPE_LIST:
      return get_list(&column->children[0], column->offsets[i], column->offsets[i + 1]);
    case NANOARROW_TYPE_FIXED_SIZE_LIST:
      return get_array(&column->children[0], i * column->type->list_size, column->type->list_size);
    case NANOARROW_TYPE_STRUCT:
      return get_struct(column, i);
    case NANOARROW_TYPE_MAP:
      return get_map(column, column->offsets[i], column->offsets[i + 1]);
    case NANOARROW_TYPE_SPARSE_UNION:
      return get_union(column, i);
    case NANOARROW_TYPE_DICTIONARY:
      return get_enum(column, row);
    default: /* the narrow integers: types.c lets nothing else through */
      return PyLong_FromLongLong(ArrowArrayViewGetIntUnsafe(column->view, row));
  }
}
