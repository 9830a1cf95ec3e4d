#include "numpy/column_arrays.h"

#include "calls/batch_column.h"
#include "numpy/api.h"

/* Return the column behind an argument, and its length; NULL with an exception. */
static const struct column *column_of(PyObject *object, int64_t *length) {
  const struct column *column = batch_column_of(object, length);
  if (column == NULL) PyErr_SetString(PyExc_ValueError, "this is no column, or its batch is over");
  return column;
}

static PyObject *column_bools(PyObject *module, PyObject *object) {
  (void)module;
  int64_t length;
  const struct column *column = column_of(object, &length);
  if (column == NULL) return NULL;
  npy_intp size = (npy_intp)length;
  PyObject *array = PyArray_SimpleNew(1, &size, NPY_BOOL);
  if (array == NULL) return NULL;
  npy_bool *values = PyArray_DATA((PyArrayObject *)array);
  for (int64_t i = 0; i < length; i++) {
    int64_t at = column->first + i;
    values[i] = column->type->as_byte ? ((const int8_t *)column->data)[at] != 0 : ArrowBitGet(column->data, at);
  }
  return array;
}

static PyObject *column_strings(PyObject *module, PyObject *arguments) {
  (void)module;
  PyObject *object;
  PyArray_Descr *type;
  if (!PyArg_ParseTuple(arguments, "OO!", &object, &PyArrayDescr_Type, &type)) return NULL;
  int64_t length;
  const struct column *column = column_of(object, &length);
  if (column == NULL) return NULL;
  npy_intp size = (npy_intp)length;
  Py_INCREF(type); /* which the next takes */
  PyObject *array = PyArray_Zeros(1, &size, type, 0);
  if (array == NULL) return NULL;
  npy_string_allocator *allocator =
      NpyString_acquire_allocator((PyArray_StringDTypeObject *)PyArray_DESCR((PyArrayObject *)array));
  char *packed = PyArray_DATA((PyArrayObject *)array);
  npy_intp step = PyArray_ITEMSIZE((PyArrayObject *)array);
  int status = 0;
  for (int64_t i = 0; i < length && status == 0; i++, packed += step) {
    int64_t at = column->first + i;
    if (column_is_null(column, i)) {
      status = NpyString_pack_null(allocator, (npy_packed_static_string *)packed);
    } else {
      int32_t start = column->offsets[at];
      status = NpyString_pack(allocator, (npy_packed_static_string *)packed, (const char *)column->data + start,
                              (size_t)(column->offsets[at + 1] - start));
    }
  }
  NpyString_release_allocator(allocator);
  if (status == 0) return array;
  Py_DECREF(array);
  return PyErr_NoMemory();
}

static PyObject *column_lists(PyObject *module, PyObject *object) {
  (void)module;
  int64_t length;
  const struct column *column = column_of(object, &length);
  if (column == NULL) return NULL;
  if (column->kind != SQL_LIST && column->kind != SQL_ARRAY) {
    PyErr_SetString(PyExc_TypeError, "the column has no lists");
    return NULL;
  }
  npy_intp size = (npy_intp)length + 1;
  PyObject *ends = PyArray_SimpleNew(1, &size, NPY_LONGLONG);
  if (ends == NULL) return NULL;
  int64_t *end = PyArray_DATA((PyArrayObject *)ends);
  int64_t width = column->type->array_size;
  int64_t first = column->kind == SQL_ARRAY ? column->first * width : column->offsets[column->first];
  for (int64_t i = 0; i <= length; i++) {
    end[i] = column->kind == SQL_ARRAY ? i * width : column->offsets[column->first + i] - first;
  }
  PyObject *inside = batch_column_part(object, &column->children[0], first, end[length]);
  PyObject *result = inside == NULL ? NULL : PyTuple_Pack(2, ends, inside);
  Py_XDECREF(inside);
  Py_DECREF(ends);
  return result;
}

static PyObject *alive_views(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  return PyLong_FromSsize_t(batch_column_views());
}

static PyMethodDef functions[] = {
    {"column_bools", column_bools, METH_O, "The values of a BOOLEAN column, as an array of bool."},
    {"column_strings", column_strings, METH_VARARGS, "The values of a VARCHAR column, as an array of a StringDType."},
    {"column_lists", column_lists, METH_O, "(Where each list ends, from 0 on; the values of all, as a Column)."},
    {"alive_views", alive_views, METH_NOARGS, "The number of views of columns that somebody still has."},
    {NULL, NULL, 0, NULL},
};

int column_arrays_add_functions(PyObject *module) { return PyModule_AddFunctions(module, functions); }
