#include "calls/append_many.h"

#include <string.h>

#include "calls/batch_column.h"
#include "codec/encode.h"

/* ---- the values -------------------------------------------------------------------------------------------------- */

/* Return the kind of column whose values lie in memory as in the buffer, SQL_NULL if there is none. */
static enum sql_kind kind_of_buffer(const Py_buffer *view) {
  if (view->format == NULL || view->ndim != 1 || view->itemsize != 8) return SQL_NULL;
  return strcmp(view->format, "q") == 0   ? SQL_BIGINT
         : strcmp(view->format, "Q") == 0 ? SQL_UBIGINT
         : strcmp(view->format, "d") == 0 ? SQL_DOUBLE
                                          : SQL_NULL;
}

int values_open(struct values *values, PyObject *iterable, const char *otherwise) {
  *values = (struct values){.sequence = NULL};
#ifdef UDF_NUMPY
  int is_array = array_values_open(&values->array, iterable, &values->length);
  if (is_array != 0) return is_array < 0 ? -1 : 0;
#endif
  /* A Column's buffer doesn't say which values are NULL. */
  if (PyObject_CheckBuffer(iterable) && !Py_IS_TYPE(iterable, &batch_column_type)) {
    if (PyObject_GetBuffer(iterable, &values->view, PyBUF_FORMAT | PyBUF_ND) < 0) {
      PyErr_Clear();
      values->view.obj = NULL;
    } else if (kind_of_buffer(&values->view) != SQL_NULL) {
      values->length = values->view.len / 8;
      return 0;
    } else {
      PyBuffer_Release(&values->view);
    }
  }
  values->sequence = PySequence_Fast(iterable, otherwise);
  if (values->sequence == NULL) return -1;
  values->length = PySequence_Fast_GET_SIZE(values->sequence);
  return 0;
}

void values_close(struct values *values) {
  Py_CLEAR(values->sequence);
  if (values->view.obj != NULL) PyBuffer_Release(&values->view);
  values->length = 0;
#ifdef UDF_NUMPY
  array_values_close(&values->array);
#endif
}

PyObject *values_get(struct values *values, Py_ssize_t i) {
#ifdef UDF_NUMPY
  if (values->array.array != NULL) return array_values_get(&values->array, i);
#endif
  if (values->sequence == NULL) {
    const char *at = (const char *)values->view.buf + i * 8;
    int64_t integer;
    double number;
    memcpy(&integer, at, 8);
    memcpy(&number, at, 8);
    switch (kind_of_buffer(&values->view)) {
      case SQL_BIGINT:
        return PyLong_FromLongLong(integer);
      case SQL_UBIGINT:
        return PyLong_FromUnsignedLongLong((uint64_t)integer);
      default:
        return PyFloat_FromDouble(number);
    }
  }
  if (i < PySequence_Fast_GET_SIZE(values->sequence)) return Py_NewRef(PySequence_Fast_GET_ITEM(values->sequence, i));
  PyErr_SetString(PyExc_RuntimeError, "a list became shorter while its values were read");
  return NULL;
}

/* ---- appending --------------------------------------------------------------------------------------------------- */

static int append_one(struct values *values, struct builder *builder, Py_ssize_t i) {
  PyObject *value = values_get(values, i);
  int status = value == NULL ? -1 : builder_append(builder, value);
  Py_XDECREF(value);
  return status;
}

static int append_buffer(struct values *values, struct builder *builder, Py_ssize_t start, Py_ssize_t count) {
  memcpy(builder->data.data + builder->length * 8, (const char *)values->view.buf + start * 8, (size_t)count * 8);
  builder_close_rows(builder, count);
  return 0;
}

/* Append small int to a column of integers, and float to a column of floats, up to the first other value. No user code
 * runs, so the values can't change meanwhile. Returns the number of values. */
static Py_ssize_t append_plain(PyObject **items, struct builder *builder, Py_ssize_t count) {
  Py_ssize_t i = 0;
  if (builder->type.narrow != SQL_NULL) return 0; /* each is checked */
  if (builder->type.kind == SQL_BIGINT) {
    int64_t *out = (int64_t *)builder->data.data + builder->length;
    for (; i < count && PyLong_CheckExact(items[i]); i++) {
      const PyLongObject *integer = (const PyLongObject *)items[i];
      if (!PyUnstable_Long_IsCompact(integer)) break;
      out[i] = PyUnstable_Long_CompactValue(integer);
    }
  } else if (builder->type.kind == SQL_DOUBLE) {
    double *out = (double *)builder->data.data + builder->length;
    for (; i < count && PyFloat_CheckExact(items[i]); i++) out[i] = PyFloat_AS_DOUBLE(items[i]);
  }
  builder_close_rows(builder, i);
  return i;
}

int values_append(struct values *values, struct builder *builder, Py_ssize_t start, Py_ssize_t count) {
  Py_ssize_t stop = start + count;
  while (builder->capacity < builder->length + count) {
    if (builder_grow(builder) < 0) return -1;
  }
#ifdef UDF_NUMPY
  if (values->array.array != NULL) return array_values_append(&values->array, builder, start, count);
#endif
  while (start < stop) {
    if (values->view.obj != NULL && builder->type.narrow == SQL_NULL &&
        builder->type.kind == kind_of_buffer(&values->view)) {
      return append_buffer(values, builder, start, stop - start);
    }
    /* One by one: a value that decides the type, and any that append_plain doesn't take. */
    if (append_one(values, builder, start++) < 0) return -1;
    Py_ssize_t left = values->sequence == NULL ? 0 : PySequence_Fast_GET_SIZE(values->sequence) - start;
    if (left > stop - start) left = stop - start;
    if (left > 0) start += append_plain(PySequence_Fast_ITEMS(values->sequence) + start, builder, left);
  }
  return 0;
}
