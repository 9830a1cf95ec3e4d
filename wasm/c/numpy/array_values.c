#include "numpy/array_values.h"

#include <math.h>
#include <string.h>

#include "codec/encode.h"
#include "codec/encode_scalars.h"
#include "codec/infer.h"
#include "numpy/api.h"

static PyObject *prepare; /* _udf_numpy.results.prepare */
static PyObject *plain;   /* _udf_numpy.results.plain */

int array_values_prepare(void) {
  PyObject *module = PyImport_ImportModule("_udf_numpy.results");
  prepare = module == NULL ? NULL : PyObject_GetAttrString(module, "prepare");
  plain = prepare == NULL ? NULL : PyObject_GetAttrString(module, "plain");
  Py_XDECREF(module);
  return plain == NULL ? -1 : 0;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Return the kind of a value of one of numpy's types. Of dates and times, those that `prepare` leaves. */
static enum sql_kind kind_of_array(PyArrayObject *array) {
  switch (PyArray_TYPE(array)) {
    case NPY_BOOL:
      return SQL_BOOLEAN;
    case NPY_BYTE:
    case NPY_UBYTE:
    case NPY_SHORT:
    case NPY_USHORT:
    case NPY_INT:
    case NPY_UINT:
    case NPY_LONG:
    case NPY_ULONG:
    case NPY_LONGLONG:
      return SQL_BIGINT;
    case NPY_ULONGLONG:
      return SQL_UBIGINT;
    case NPY_FLOAT:
    case NPY_DOUBLE:
      return SQL_DOUBLE;
    case NPY_DATETIME:
      return SQL_TIMESTAMP; /* or DATE: see array_values_open */
    case NPY_VSTRING:
      return SQL_VARCHAR;
    default:
      return SQL_NULL;
  }
}

/* Set the fields of what `prepare` returned: (array, mask or None, whether its values are days). */
static int set_fields(struct array_values *values, PyObject *prepared) {
  PyObject *array, *mask;
  int days;
  if (!PyArg_ParseTuple(prepared, "O!Op", &PyArray_Type, &array, &mask, &days)) return -1;
  values->array = Py_NewRef(array);
  values->mask = mask == Py_None ? NULL : Py_NewRef(mask);
  PyArrayObject *typed = (PyArrayObject *)array;
  values->number = PyArray_TYPE(typed);
  values->kind = days ? SQL_DATE : kind_of_array(typed);
  values->dimensions = PyArray_NDIM(typed);
  values->width = 1;
  for (int i = 1; i < PyArray_NDIM(typed); i++) values->width *= PyArray_DIM(typed, i);
  return 0;
}

int array_values_open(struct array_values *values, PyObject *object, Py_ssize_t *length) {
  *values = (struct array_values){.array = NULL};
  if (prepare == NULL || !PyArray_Check(object)) return 0;
  PyObject *prepared = PyObject_CallOneArg(prepare, object);
  if (prepared == NULL) return -1;
  int status = 0;
  if (prepared != Py_None) { /* an array of what only objects can be */
    status = set_fields(values, prepared) < 0 ? -1 : 1;
    if (status > 0) *length = PyArray_DIM((PyArrayObject *)values->array, 0);
  }
  Py_DECREF(prepared);
  if (status < 0) array_values_close(values);
  return status;
}

void array_values_close(struct array_values *values) {
  Py_CLEAR(values->array);
  Py_CLEAR(values->mask);
}

/* ---- one value --------------------------------------------------------------------------------------------------- */

static const void *data_of(const struct array_values *values) { return PyArray_DATA((PyArrayObject *)values->array); }

static bool is_null(const struct array_values *values, Py_ssize_t i) {
  return values->mask != NULL && ((const uint8_t *)PyArray_DATA((PyArrayObject *)values->mask))[i];
}

static int64_t integer_at(const struct array_values *values, Py_ssize_t i) {
  const void *data = data_of(values);
  switch (values->number) {
    case NPY_BOOL:
    case NPY_UBYTE:
      return ((const uint8_t *)data)[i];
    case NPY_BYTE:
      return ((const int8_t *)data)[i];
    case NPY_SHORT:
      return ((const int16_t *)data)[i];
    case NPY_USHORT:
      return ((const uint16_t *)data)[i];
    case NPY_INT:
    case NPY_LONG:
      return ((const int32_t *)data)[i];
    case NPY_UINT:
    case NPY_ULONG:
      return ((const uint32_t *)data)[i];
    default: /* also unsigned 64-bit integers, dates and times */
      return ((const int64_t *)data)[i];
  }
}

static double double_at(const struct array_values *values, Py_ssize_t i) {
  return values->number == NPY_FLOAT ? ((const float *)data_of(values))[i] : ((const double *)data_of(values))[i];
}

/* Return a single value, not a row, as an object. */
static PyObject *item(const struct array_values *values, Py_ssize_t i) {
  if (is_null(values, i)) Py_RETURN_NONE;
  PyObject *scalar = PyArray_GETITEM((PyArrayObject *)values->array,
                                     (char *)data_of(values) + i * PyArray_ITEMSIZE((PyArrayObject *)values->array));
  if (scalar == NULL) return NULL;
  PyObject *object = PyObject_CallOneArg(plain, scalar);
  Py_DECREF(scalar);
  return object;
}

PyObject *array_values_get(const struct array_values *values, Py_ssize_t i) {
  if (values->dimensions == 1) return item(values, i);
  PyObject *list = PyList_New(values->width);
  for (Py_ssize_t k = 0; list != NULL && k < values->width; k++) {
    PyObject *object = item(values, i * values->width + k);
    if (object == NULL) Py_CLEAR(list);
    if (object != NULL) PyList_SET_ITEM(list, k, object);
  }
  return list;
}

/* ---- appending single values ------------------------------------------------------------------------------------- */

/* Append one value by its object, which is checked and converted as any that a function returns. */
static int append_object(const struct array_values *values, struct builder *builder, Py_ssize_t i) {
  PyObject *object = item(values, i);
  int status = object == NULL ? -1 : builder_append(builder, object);
  Py_XDECREF(object);
  return status;
}

/* Write a number at the builder's next row. Returns false if it isn't one that the column takes as it is. */
static bool write_number(const struct array_values *values, struct builder *builder, Py_ssize_t i) {
  uint8_t *data = builder->data.data;
  int64_t row = builder->length;
  bool is_integer = values->kind == SQL_BIGINT;
  enum sql_kind narrow = builder->type.narrow;
  switch (builder->type.kind) {
    case SQL_BIGINT: {
      int64_t integer;
      if (values->kind == SQL_DOUBLE) {
        double number = double_at(values, i);
        if (!(number >= -0x1p63 && number < 0x1p63) || number != trunc(number)) return false;
        integer = (int64_t)number;
      } else {
        integer = integer_at(values, i);
        if (values->kind == SQL_UBIGINT && integer < 0) return false;
      }
      if (!integer_fits(narrow, integer)) return false;
      ((int64_t *)data)[row] = integer;
      return is_integer || values->kind == SQL_UBIGINT || values->kind == SQL_DOUBLE;
    }
    case SQL_UBIGINT: {
      if (values->kind != SQL_BIGINT && values->kind != SQL_UBIGINT) return false;
      int64_t integer = integer_at(values, i);
      if (values->kind == SQL_BIGINT && integer < 0) return false;
      ((int64_t *)data)[row] = integer;
      return narrow == SQL_NULL;
    }
    case SQL_DOUBLE: {
      if (values->kind != SQL_DOUBLE && !is_integer) return false;
      int64_t integer = is_integer ? integer_at(values, i) : 0;
      double number = is_integer ? (double)integer : double_at(values, i);
      if (is_integer && (integer > (INT64_C(1) << 53) || integer < -(INT64_C(1) << 53))) return false;
      if (!double_fits(narrow, number)) return false;
      ((double *)data)[row] = number;
      return true;
    }
    case SQL_DATE:
      if (values->kind != SQL_DATE || integer_at(values, i) != (int32_t)integer_at(values, i)) return false;
      ((int32_t *)data)[row] = (int32_t)integer_at(values, i);
      return true;
    case SQL_TIMESTAMP:
      if (values->kind != SQL_TIMESTAMP || builder->type.unit != NANOARROW_TIME_UNIT_MICRO) return false;
      ((int64_t *)data)[row] = integer_at(values, i);
      return true;
    case SQL_BOOLEAN:
      if (values->kind != SQL_BOOLEAN) return false;
      ArrowBitmapAppendUnsafe(&builder->bits, integer_at(values, i) != 0, 1);
      return true;
    default:
      return false;
  }
}

/* Give the column the type of the array, if it has none yet. */
static int settle_type(const struct array_values *values, struct builder *builder) {
  if (builder->declared || builder->type.kind != SQL_NULL || values->kind == SQL_NULL) return 0;
  return values->kind == SQL_UBIGINT ? 0 : infer_kind(builder, values->kind);
}

/* Append values that lie in memory as the column has them. */
static bool append_memory(const struct array_values *values, struct builder *builder, Py_ssize_t start,
                          Py_ssize_t count) {
  bool same = values->mask == NULL && builder->type.narrow == SQL_NULL && values->kind == builder->type.kind &&
              ((values->kind == SQL_BIGINT && values->number == NPY_LONGLONG) ||
               (values->kind == SQL_DOUBLE && values->number == NPY_DOUBLE) ||
               (values->kind == SQL_UBIGINT && values->number == NPY_ULONGLONG) ||
               (values->kind == SQL_TIMESTAMP && builder->type.unit == NANOARROW_TIME_UNIT_MICRO));
  if (!same) return false;
  memcpy(builder->data.data + builder->length * 8, (const char *)data_of(values) + start * 8, (size_t)count * 8);
  builder_close_rows(builder, count);
  return true;
}

/* Append the texts of a StringDType array, which keeps short ones in place and others in an arena of its own. */
static int append_texts(const struct array_values *values, struct builder *builder, Py_ssize_t start,
                        Py_ssize_t count) {
  PyArrayObject *array = (PyArrayObject *)values->array;
  npy_string_allocator *allocator = NpyString_acquire_allocator((PyArray_StringDTypeObject *)PyArray_DESCR(array));
  const char *packed = (const char *)data_of(values) + start * PyArray_ITEMSIZE(array);
  int status = 0;
  for (Py_ssize_t i = start; i < start + count && status == 0; i++, packed += PyArray_ITEMSIZE(array)) {
    npy_static_string text = {0, NULL};
    int null = NpyString_load(allocator, (const npy_packed_static_string *)packed, &text);
    if (null < 0) {
      PyErr_SetString(PyExc_MemoryError, "a string of the array can't be loaded");
      status = -1;
    } else if (null || is_null(values, i)) {
      status = builder_append_null(builder);
    } else if (builder->data.size_bytes + (int64_t)text.size > INT32_MAX) {
      PyErr_SetString(PyExc_OverflowError, "the strings returned for one batch have more than 2^31 bytes");
      status = -1;
    } else if (ArrowBufferAppend(&builder->data, text.buf, (int64_t)text.size) != NANOARROW_OK) {
      status = out_of_memory();
    } else {
      ((int32_t *)builder->offsets.data)[builder->length + 1] = (int32_t)builder->data.size_bytes;
      builder_close_row(builder, true);
    }
  }
  NpyString_release_allocator(allocator);
  return status;
}

/* Append single values; `start` counts them, not rows. */
static int append_items(const struct array_values *values, struct builder *builder, Py_ssize_t start,
                        Py_ssize_t count) {
  while (builder->capacity < builder->length + count) {
    if (builder_grow(builder) < 0) return -1;
  }
  if (count > 0 && settle_type(values, builder) < 0) return -1;
  if (append_memory(values, builder, start, count)) return 0;
  if (values->kind == SQL_VARCHAR && builder->type.kind == SQL_VARCHAR && builder->type.members == NULL &&
      builder->type.narrow == SQL_NULL) {
    return append_texts(values, builder, start, count);
  }
  for (Py_ssize_t i = start; i < start + count; i++) {
    int status;
    if (is_null(values, i)) {
      status = builder_append_null(builder);
    } else if (values->kind != SQL_NULL && write_number(values, builder, i)) {
      builder_close_row(builder, true);
      status = 0;
    } else {
      status = append_object(values, builder, i);
    }
    if (status < 0) return -1;
  }
  return 0;
}

/* ---- appending rows ---------------------------------------------------------------------------------------------- */

/* Append the rows of an array of two dimensions as lists. */
static int append_lists(const struct array_values *values, struct builder *builder, Py_ssize_t start,
                        Py_ssize_t count) {
  struct builder *inside = builder->children[0];
  for (Py_ssize_t i = start; i < start + count; i++) {
    if (append_items(values, inside, i * values->width, values->width) < 0) {
      builder_undo_row(builder);
      return -1;
    }
    if (inside->length > INT32_MAX) {
      PyErr_SetString(PyExc_OverflowError, "the lists returned for one batch hold more than 2^31 values");
      builder_undo_row(builder);
      return -1;
    }
    ((int32_t *)builder->offsets.data)[builder->length + 1] = (int32_t)inside->length;
    builder_close_row(builder, true);
  }
  return 0;
}

int array_values_append(const struct array_values *values, struct builder *builder, Py_ssize_t start,
                        Py_ssize_t count) {
  if (values->dimensions == 1) return append_items(values, builder, start, count);
  if (!builder->declared && builder->type.kind == SQL_NULL && count > 0 && infer_kind(builder, SQL_LIST) < 0) return -1;
  bool fits = builder->type.narrow != SQL_ARRAY || builder->type.array_size == values->width;
  if (builder->type.kind == SQL_LIST && fits) return append_lists(values, builder, start, count);
  for (Py_ssize_t i = start; i < start + count; i++) {
    PyObject *row = array_values_get(values, i);
    int status = row == NULL ? -1 : builder_append(builder, row);
    Py_XDECREF(row);
    if (status < 0) return -1;
  }
  return 0;
}
