#include "encode.h"

#include <datetime.h>
#include <string.h>

#include "calendar.h"

/* The most fields a STRUCT gets by inference: as many as rows of distinct keys would otherwise make. */
#define MAX_INFERRED_FIELDS 1000

int encode_prepare(void) {
  PyDateTime_IMPORT;
  return PyDateTimeAPI == NULL ? -1 : 0;
}

/* ---- which type a value has --------------------------------------------------------------------------- */

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
  if (PyList_Check(value) || PyTuple_Check(value)) return (struct value_type){.arrow = NANOARROW_TYPE_LIST};
  if (PyDict_Check(value)) return (struct value_type){.arrow = NANOARROW_TYPE_STRUCT};
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
                 "the function returned %.100s; a result must be bool, int, float, str, bytes, date, time, datetime, "
                 "list, dict or None",
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
    type.name = builder->type.name; /* a field keeps its name */
    builder->type = type;
    if (type.arrow == NANOARROW_TYPE_LIST && builder_add_child(builder) == NULL) return -1;
    return builder_settle(builder);
  }
  if (builder->type.arrow == NANOARROW_TYPE_DOUBLE && type.arrow == NANOARROW_TYPE_INT64) return 0;
  if (builder->type.arrow == NANOARROW_TYPE_INT64 && type.arrow == NANOARROW_TYPE_DOUBLE) {
    const int64_t *integers = (const int64_t *)builder->data.data;
    double *doubles = (double *)builder->data.data;
    for (int64_t i = 0; i < builder->length; i++) doubles[i] = (double)integers[i];
    builder->type.arrow = type.arrow;
    return 0;
  }
  return wrong_type(builder, value);
}

/* ---- values -------------------------------------------------------------------------------------------- */

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
  ((int32_t *)builder->offsets.data)[builder->length + 1] = (int32_t)builder->data.size_bytes;
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
  if (((PyDateTime_DateTime *)value)->tzinfo == PyDateTime_TimeZone_UTC) { /* as every one that came as an argument */
    *microseconds = 0;
    return 0;
  }
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

/* ---- nested values ----------------------------------------------------------------------------------------------- */

/* Notes where a list, or a map, ends. */
static int close_list(struct builder *builder) {
  int64_t stop = builder->children[0]->length;
  if (stop > INT32_MAX) {
    PyErr_SetString(PyExc_OverflowError, "the lists returned for one batch hold more than 2^31 values");
    return -1;
  }
  ((int32_t *)builder->offsets.data)[builder->length + 1] = (int32_t)stop;
  return 0;
}

static int append_list(struct builder *builder, PyObject *value) {
  if (!PyList_Check(value) && !PyTuple_Check(value)) return wrong_type(builder, value);
  struct builder *values = builder->children[0];
  /* Appending may run code of the user's, which may change the list. */
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++) {
    PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(value, i));
    int failed = builder_append(values, item);
    Py_DECREF(item);
    if (failed) return -1;
  }
  return close_list(builder);
}

/* The field of a name, added with NULLs for the rows before it when the type is inferred. */
static struct builder *inferred_field(struct builder *builder, PyObject *name) {
  if (!PyUnicode_CheckExact(name)) {
    PyErr_Format(PyExc_TypeError,
                 "the function returned a dict with a key of type %.100s; the keys of an inferred STRUCT are str, "
                 "declare a MAP for others",
                 Py_TYPE(name)->tp_name);
    return NULL;
  }
  if (builder->n_children >= MAX_INFERRED_FIELDS) {
    PyErr_Format(PyExc_OverflowError, "the dicts returned for one batch have more than %d keys; declare a MAP",
                 MAX_INFERRED_FIELDS);
    return NULL;
  }
  struct builder *field = builder_add_child(builder);
  if (field == NULL) return NULL;
  field->type.name = Py_NewRef(name);
  for (int64_t i = 0; i < builder->length; i++) {
    if (builder_append_null(field) < 0) return NULL;
  }
  return field;
}

/* Adds the fields that no earlier dict of the batch had. */
static int infer_fields(struct builder *builder, PyObject *fields) {
  PyObject *name, *ignored;
  Py_ssize_t position = 0;
  int64_t i = 0;
  while (PyDict_Next(fields, &position, &name, &ignored)) {
    /* Most dicts have the keys of the one before, in the same order. */
    if (i < builder->n_children && builder->children[i]->type.name == name) {
      i++;
      continue;
    }
    int64_t k = 0;
    while (k < builder->n_children && PyUnicode_CheckExact(name) &&
           PyUnicode_Compare(builder->children[k]->type.name, name) != 0) {
      k++;
    }
    if (k == builder->n_children || !PyUnicode_CheckExact(name)) {
      if (inferred_field(builder, name) == NULL) return -1;
    }
    i++;
  }
  return 0;
}

static int check_keys(struct builder *builder, PyObject *fields, int64_t found) {
  if (PyDict_GET_SIZE(fields) == found) return 0;
  PyObject *name, *ignored;
  Py_ssize_t position = 0;
  while (PyDict_Next(fields, &position, &name, &ignored)) {
    int known = 0;
    for (int64_t i = 0; i < builder->n_children && !known; i++) {
      known = PyUnicode_Check(name) && PyUnicode_Compare(builder->children[i]->type.name, name) == 0;
    }
    if (!known) {
      PyErr_Format(PyExc_TypeError, "the function returned a dict with the key %.100R, which its result type STRUCT "
                                    "doesn't have", name);
      return -1;
    }
  }
  return 0;
}

/* A dict by its keys (one that is missing is NULL), or a tuple of the fields in order. */
static int append_struct(struct builder *builder, PyObject *value) {
  if (PyTuple_Check(value) && builder->declared) {
    if (PyTuple_GET_SIZE(value) != builder->n_children) {
      PyErr_Format(PyExc_TypeError, "the function returned a tuple of %zd where its result type STRUCT has %d fields",
                   PyTuple_GET_SIZE(value), (int)builder->n_children);
      return -1;
    }
    for (int64_t i = 0; i < builder->n_children; i++) {
      if (builder_append(builder->children[i], PyTuple_GET_ITEM(value, i)) < 0) return -1;
    }
    return 0;
  }
  if (!PyDict_Check(value)) return wrong_type(builder, value);
  if (!builder->declared && infer_fields(builder, value) < 0) return -1;
  int64_t found = 0;
  for (int64_t i = 0; i < builder->n_children; i++) {
    struct builder *field = builder->children[i];
    PyObject *item = PyDict_GetItemWithError(value, field->type.name);
    if (item == NULL && PyErr_Occurred()) return -1;
    found += item != NULL;
    item = Py_NewRef(item == NULL ? Py_None : item);
    int failed = builder_append(field, item);
    Py_DECREF(item);
    if (failed) return -1;
  }
  return check_keys(builder, value, found);
}

static int append_map(struct builder *builder, PyObject *value) {
  if (!PyDict_Check(value)) return wrong_type(builder, value);
  struct builder *entries = builder->children[0];
  PyObject *items = PyDict_Items(value); /* as they are now, whatever code of the user's may run */
  if (items == NULL) return -1;
  int failed = 0;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items) && !failed; i++) {
    PyObject *key = PyTuple_GET_ITEM(PyList_GET_ITEM(items, i), 0);
    if (key == Py_None) {
      PyErr_SetString(PyExc_TypeError, "the function returned a dict with the key None, which a MAP can't have");
      failed = 1;
    } else {
      failed = builder_append(entries, PyList_GET_ITEM(items, i));
    }
  }
  Py_DECREF(items);
  return failed ? -1 : close_list(builder);
}

int builder_append(struct builder *builder, PyObject *value) {
  if (value == Py_None) return builder_append_null(builder);
  if (builder_next_row(builder) < 0) return -1;
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
    case NANOARROW_TYPE_LIST:
      failed = append_list(builder, value);
      break;
    case NANOARROW_TYPE_STRUCT:
      failed = append_struct(builder, value);
      break;
    case NANOARROW_TYPE_MAP:
      failed = append_map(builder, value);
      break;
    default: /* a declared type without an encoder */
      failed = wrong_type(builder, value);
      break;
  }
  if (failed) {
    builder_undo_row(builder);
    return -1;
  }
  builder_close_row(builder, 1);
  return 0;
}
