#include "calls/batch_column.h"

#include <string.h>

struct batch_column {
  PyObject_HEAD
  struct column *column;
  int64_t length;
  const uint64_t *current; /* number of the current batch */
  uint64_t batch;          /* number of its own batch */
  struct column part;      /* what `column` points to if it is a part of another column's values */
};

static Py_ssize_t views; /* buffers of columns that somebody has */

/* Check that the memory still holds the column's batch. Returns 0, or -1 with an exception. */
static int check_batch(const struct batch_column *self) {
  if (*self->current == self->batch) return 0;
  PyErr_SetString(PyExc_ValueError, "the column's batch is over; keep column.to_list() instead");
  return -1;
}

static Py_ssize_t column_length(PyObject *object) { return (Py_ssize_t)((struct batch_column *)object)->length; }

static PyObject *column_item(PyObject *object, Py_ssize_t row) {
  struct batch_column *self = (struct batch_column *)object;
  if (check_batch(self) < 0) return NULL;
  if (row >= 0 && row < self->length) return column_get_or_none(self->column, row);
  PyErr_SetString(PyExc_IndexError, "row out of range");
  return NULL;
}

static PyObject *make_list(struct batch_column *self, Py_ssize_t start, Py_ssize_t step, Py_ssize_t length) {
  if (check_batch(self) < 0) return NULL;
  PyObject *list = PyList_New(length);
  for (Py_ssize_t i = 0; list != NULL && i < length; i++) {
    PyObject *value = column_get_or_none(self->column, start + i * step);
    if (value == NULL) Py_CLEAR(list);
    if (value != NULL) PyList_SET_ITEM(list, i, value);
  }
  return list;
}

static PyObject *column_subscript(PyObject *object, PyObject *key) {
  struct batch_column *self = (struct batch_column *)object;
  if (PySlice_Check(key)) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(key, &start, &stop, &step) < 0) return NULL;
    Py_ssize_t length = PySlice_AdjustIndices((Py_ssize_t)self->length, &start, &stop, step);
    return make_list(self, start, step, length);
  }
  Py_ssize_t row = PyNumber_AsSsize_t(key, PyExc_IndexError);
  if (row == -1 && PyErr_Occurred()) return NULL;
  return column_item(object, row < 0 ? row + (Py_ssize_t)self->length : row);
}

static PyObject *column_to_list(PyObject *object, PyObject *unused) {
  (void)unused;
  return make_list((struct batch_column *)object, 0, 1, column_length(object));
}

static PyObject *column_iter(PyObject *object) {
  PyObject *list = column_to_list(object, NULL);
  PyObject *iterator = list == NULL ? NULL : PyObject_GetIter(list);
  Py_XDECREF(list);
  return iterator;
}

static PyObject *column_nulls(PyObject *object, void *unused) {
  (void)unused;
  struct batch_column *self = (struct batch_column *)object;
  if (check_batch(self) < 0) return NULL;
  PyObject *mask = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)self->length);
  for (int64_t row = 0; mask != NULL && row < self->length; row++) {
    PyBytes_AS_STRING(mask)[row] = (char)column_is_null(self->column, row);
  }
  return mask;
}

static PyObject *column_null_count(PyObject *object, void *unused) {
  (void)unused;
  struct batch_column *self = (struct batch_column *)object;
  if (check_batch(self) < 0) return NULL;
  int64_t count = 0;
  for (int64_t row = 0; row < self->length; row++) count += column_is_null(self->column, row);
  return PyLong_FromLongLong(count);
}

static PyObject *column_type(PyObject *object, void *unused) {
  (void)unused;
  return PyUnicode_FromString(kind_facts(((struct batch_column *)object)->column->kind)->name);
}

static PyObject *column_repr(PyObject *object) {
  struct batch_column *self = (struct batch_column *)object;
  return PyUnicode_FromFormat("<Column of %lld %s>", (long long)self->length, kind_facts(self->column->kind)->name);
}

/* Return the format of a value in the notation of the struct module, NULL if it isn't a plain number. */
static const char *buffer_format(const struct value_type *type) {
  switch (type->kind) {
    case SQL_TINYINT:
      return "b";
    case SQL_SMALLINT:
      return "h";
    case SQL_INTEGER:
    case SQL_DATE:
      return "i";
    case SQL_BIGINT:
    case SQL_TIME:
    case SQL_TIMESTAMP:
    case SQL_TIMESTAMPTZ:
      return "q";
    case SQL_UTINYINT:
      return "B";
    case SQL_USMALLINT:
      return "H";
    case SQL_UINTEGER:
      return "I";
    case SQL_UBIGINT:
      return "Q";
    case SQL_FLOAT:
      return "f";
    case SQL_DOUBLE:
      return "d";
    default:
      return NULL;
  }
}

static int column_get_buffer(PyObject *object, Py_buffer *view, int flags) {
  struct batch_column *self = (struct batch_column *)object;
  const char *format = buffer_format(self->column->type);
  view->obj = NULL;
  if (check_batch(self) < 0) return -1;
  if (format == NULL || (flags & PyBUF_WRITABLE) == PyBUF_WRITABLE) {
    PyErr_Format(PyExc_BufferError, "a column of %s has no %sbuffer; iterate over it, or use to_list()",
                 kind_facts(self->column->kind)->name, format == NULL ? "" : "writable ");
    return -1;
  }
  int width = kind_facts(self->column->kind)->width;
  uint8_t *start = (uint8_t *)(uintptr_t)self->column->data + self->column->first * width;
  *view = (Py_buffer){
      .buf = start,
      .obj = Py_NewRef(object),
      .len = (Py_ssize_t)self->length * width,
      .itemsize = width,
      .readonly = 1,
      .ndim = 1,
      .format = (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? (char *)(uintptr_t)format : NULL,
  };
  if ((flags & PyBUF_ND) == PyBUF_ND) {
    Py_ssize_t *sizes = malloc(2 * sizeof *sizes);
    if (sizes == NULL) {
      Py_CLEAR(view->obj);
      PyErr_NoMemory();
      return -1;
    }
    sizes[0] = (Py_ssize_t)self->length;
    sizes[1] = width;
    view->shape = view->internal = sizes;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? sizes + 1 : NULL;
  }
  views++;
  return 0;
}

static void column_release_buffer(PyObject *object, Py_buffer *view) {
  (void)object;
  free(view->internal);
  views--;
}

#ifdef UDF_NUMPY
/* Call a function of _udf_numpy.arrays with the column. */
static PyObject *column_to_array(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *names,
                                 const char *function) {
  Py_ssize_t most = strcmp(function, "to_array") == 0 ? 2 : 1;
  PyObject *module = PyImport_ImportModule("_udf_numpy.arrays");
  PyObject *called = module == NULL ? NULL : PyObject_GetAttrString(module, function);
  Py_XDECREF(module);
  Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
  PyObject *all[3] = {object};
  PyObject *result = NULL;
  if (called != NULL && count + named > most) {
    PyErr_Format(PyExc_TypeError, "a Column's method takes at most %zd arguments", most);
  } else if (called != NULL) {
    for (Py_ssize_t i = 0; i < count + named; i++) all[i + 1] = arguments[i];
    result = PyObject_Vectorcall(called, all, (size_t)count + 1, names);
  }
  Py_XDECREF(called);
  return result;
}

static PyObject *column_array(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *names) {
  return column_to_array(object, arguments, count, names, "to_array");
}

static PyObject *column_unit(PyObject *object, void *unused) {
  (void)unused;
  static const char *const names[] = {"s", "ms", "us", "ns"};
  return PyUnicode_FromString(names[((struct batch_column *)object)->column->type->unit]);
}

static PyObject *column_to_numpy(PyObject *object, PyObject *const *arguments, Py_ssize_t count, PyObject *names) {
  return column_to_array(object, arguments, count, names, "to_numpy");
}
#endif

static PyMethodDef column_methods[] = {
    {"to_list", column_to_list, METH_NOARGS, "The values as a list, None for NULL."},
#ifdef UDF_NUMPY
    {"__array__", (PyCFunction)(void (*)(void))column_array, METH_FASTCALL | METH_KEYWORDS, "The values as an array."},
    {"to_numpy", (PyCFunction)(void (*)(void))column_to_numpy, METH_FASTCALL | METH_KEYWORDS,
     "The values as an array, without a copy if there is a way."},
#endif
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Column[int] in annotations."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef column_attributes[] = {
    {"type", column_type, NULL, "The SQL type, such as 'BIGINT'.", NULL},
    {"null_count", column_null_count, NULL, "The number of NULLs.", NULL},
    {"nulls", column_nulls, NULL, "A byte for each row: 1 where it is NULL.", NULL},
#ifdef UDF_NUMPY
    {"unit", column_unit, NULL, "The unit of times: 's', 'ms', 'us' or 'ns'.", NULL},
#endif
    {NULL, NULL, NULL, NULL, NULL},
};

static PySequenceMethods column_as_sequence = {.sq_length = column_length, .sq_item = column_item};
static PyMappingMethods column_as_mapping = {.mp_length = column_length, .mp_subscript = column_subscript};
static PyBufferProcs column_as_buffer = {column_get_buffer, column_release_buffer};

PyTypeObject batch_column_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "duckdb_wasi_udf.Column",
    .tp_doc = "A column of a batch: a sequence of values, and for numbers a buffer.",
    .tp_basicsize = sizeof(struct batch_column),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_SEQUENCE,
    .tp_repr = column_repr,
    .tp_iter = column_iter,
    .tp_as_sequence = &column_as_sequence,
    .tp_as_mapping = &column_as_mapping,
    .tp_as_buffer = &column_as_buffer,
    .tp_methods = column_methods,
    .tp_getset = column_attributes,
};

int batch_column_prepare(void) { return PyType_Ready(&batch_column_type); }

PyObject *batch_column_new(struct column *column, int64_t length, const uint64_t *current) {
  struct batch_column *self = PyObject_New(struct batch_column, &batch_column_type);
  if (self == NULL) return NULL;
  self->column = column;
  self->length = length;
  self->current = current;
  self->batch = *current;
  return (PyObject *)self;
}

PyObject *batch_column_part(PyObject *whole, const struct column *values, int64_t start, int64_t length) {
  struct batch_column *self =
      (struct batch_column *)batch_column_new(NULL, length, ((struct batch_column *)whole)->current);
  if (self == NULL) return NULL;
  self->part = *values;
  self->part.first += start;
  self->column = &self->part;
  return (PyObject *)self;
}

Py_ssize_t batch_column_views(void) { return views; }

const struct column *batch_column_of(PyObject *object, int64_t *length) {
  struct batch_column *self = (struct batch_column *)object;
  if (!Py_IS_TYPE(object, &batch_column_type) || *self->current != self->batch) return NULL;
  *length = self->length;
  return self->column;
}
