#include "calls/argument_rows.h"

#include "calls/append_many.h"
#include "calls/batch_column.h"
#include "codec/encode.h"

static void rows_dealloc(PyObject *self) {
  Py_XDECREF(((struct rows *)self)->tuple);
  PyObject_Free(self);
}

bool rows_skip(const struct rows *rows, int64_t row) {
  for (int64_t i = 0; i < rows->n_columns; i++) {
    if (!rows->sees_null[i] && column_is_null(&rows->columns[i], row)) return true;
  }
  return false;
}

/* Put the arguments of a row into a tuple. */
static int fill(const struct rows *rows, PyObject *tuple, int64_t row) {
  for (int64_t i = 0; i < rows->n_columns; i++) {
    PyObject *value = column_get_or_none(&rows->columns[i], row), *before = PyTuple_GET_ITEM(tuple, i);
    if (value == NULL) return -1;
    PyTuple_SET_ITEM(tuple, i, value);
    Py_XDECREF(before);
  }
  return 0;
}

PyObject *rows_arguments(const struct rows *rows, int64_t row) {
  PyObject *tuple = PyTuple_New(rows->n_columns);
  if (tuple != NULL && fill(rows, tuple, row) < 0) Py_CLEAR(tuple);
  return tuple;
}

static PyObject *rows_next(PyObject *self) {
  struct rows *rows = (struct rows *)self;
  while (rows->next < rows->stop) {
    int64_t row = rows->next++;
    if (rows_skip(rows, row)) {
      if (rows->builder != NULL && builder_append_null(rows->builder) < 0) return NULL;
      continue;
    }
    if (rows->n_columns == 0) return Py_NewRef(Py_None);
    if (rows->n_columns == 1) return column_get_or_none(&rows->columns[0], row);
    if (rows->tuple == NULL || Py_REFCNT(rows->tuple) != 1) {
      Py_XSETREF(rows->tuple, PyTuple_New(rows->n_columns));
      if (rows->tuple == NULL) return NULL;
    }
    return fill(rows, rows->tuple, row) < 0 ? NULL : Py_NewRef(rows->tuple);
  }
  return NULL;
}

static PyObject *rows_append(PyObject *self, PyObject *value) {
  struct builder *builder = ((struct rows *)self)->builder;
  if (builder == NULL) {
    PyErr_SetString(PyExc_RuntimeError, "results are appended elsewhere");
    return NULL;
  }
  return builder_append(builder, value) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *rows_columns(PyObject *self, PyObject *unused) {
  (void)unused;
  struct rows *rows = (struct rows *)self;
  PyObject *columns = PyTuple_New(rows->n_columns);
  for (int64_t i = 0; columns != NULL && i < rows->n_columns; i++) {
    PyObject *column = batch_column_new(&rows->columns[i], rows->stop, &rows->batch);
    if (column == NULL) Py_CLEAR(columns);
    if (column != NULL) PyTuple_SET_ITEM(columns, i, column);
  }
  return columns;
}

static PyObject *rows_take(PyObject *self, PyObject *results) {
  struct rows *rows = (struct rows *)self;
  if (PyUnicode_Check(results) || PyDict_Check(results)) {
    PyErr_Format(PyExc_TypeError,
                 "the function returned %.100s; one of the batch shape returns a column, list or other "
                 "iterable with a value for each row",
                 Py_TYPE(results)->tp_name);
    return NULL;
  }
  struct values values;
  if (values_open(&values, results,
                  "the function returned no iterable; one of the batch shape returns a column, list or "
                  "other iterable with a value for each row") < 0) {
    return NULL;
  }
  Py_ssize_t length = values.length;
  int status = 0;
  if (length == rows->stop) {
    status = values_append(&values, rows->builder, 0, length);
    rows->next = rows->builder->length + 1; /* after the row that failed, if one did */
  }
  values_close(&values);
  if (status < 0) return NULL;
  if (rows->builder->length == rows->stop) return Py_NewRef(Py_None);
  PyErr_Format(PyExc_ValueError, "the function returned %zd values for a batch of %lld rows", length,
               (long long)rows->stop);
  return NULL;
}

#ifdef UDF_NUMPY
static PyObject *rows_forget(PyObject *self, PyObject *unused) {
  (void)unused;
  ((struct rows *)self)->next = 0;
  Py_RETURN_NONE;
}
#endif

static PyMethodDef rows_methods[] = {
#ifdef UDF_NUMPY
    {"forget", rows_forget, METH_NOARGS, "Let the next error be that of no row."},
#endif
    {"columns", rows_columns, METH_NOARGS, "The arguments of all rows, as columns."},
    {"take", rows_take, METH_O, "Take the results of all rows."},
    {"append", rows_append, METH_O, "Take a row's result."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject rows_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_udf.rows",
    .tp_basicsize = sizeof(struct rows),
    .tp_dealloc = rows_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = rows_next,
    .tp_methods = rows_methods,
};

int rows_prepare(void) { return PyType_Ready(&rows_type); }

struct rows *rows_new(int64_t n_columns, struct column *columns, const bool *sees_null, struct builder *builder) {
  struct rows *rows = PyObject_New(struct rows, &rows_type);
  if (rows == NULL) return NULL;
  rows->n_columns = n_columns;
  rows->columns = columns;
  rows->sees_null = sees_null;
  rows->next = rows->stop = 0;
  rows->batch = 0;
  rows->builder = builder;
  rows->tuple = NULL;
  return rows;
}
