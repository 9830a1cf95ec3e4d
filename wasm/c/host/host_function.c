#include "host/host_function.h"

#include <string.h>

#include "calls/batch_column.h"
#include "host/host_call.h"
#include "host/pending_call.h"

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* Call the function with one value for each parameter. */
static PyObject *call_one(struct host_function *function, PyObject *const *values) {
  if (host_begin(function, 1) < 0) return NULL;
  PyObject *result = NULL;
  if (host_append(function, values) == 0 && host_check(function, host_send(function)) == 0)
    result = host_result(function, 0);
  host_end(function);
  return result;
}

static PyObject *function_vectorcall(PyObject *self, PyObject *const *values, size_t nargsf, PyObject *names) {
  struct host_function *function = (struct host_function *)self;
  if (host_make_ready(function) < 0) return NULL;
  PyObject *bound = NULL;
  if (names != NULL || PyVectorcall_NARGS(nargsf) != host_n_parameters(function)) {
    bound = PyObject_Vectorcall(function->bind, values, nargsf, names);
    if (bound == NULL) return NULL;
    if (!PyTuple_Check(bound) || PyTuple_GET_SIZE(bound) != host_n_parameters(function)) {
      Py_DECREF(bound);
      PyErr_SetString(PyExc_TypeError, "the arguments are gone"); /* user code can find the tuple and change it */
      return NULL;
    }
    values = ((PyTupleObject *)bound)->ob_item;
  }
  PyObject *result = pending_calls_wanted() ? pending_call_new(function, values) : call_one(function, values);
  Py_XDECREF(bound);
  return result;
}

/* Append one row of columns. User code that runs meanwhile can change them. */
static int append_from(struct host_function *function, PyObject *columns, Py_ssize_t row, PyObject **values) {
  Py_ssize_t n = PyTuple_GET_SIZE(columns), i = 0;
  for (; i < n && row < PySequence_Fast_GET_SIZE(PyTuple_GET_ITEM(columns, i)); i++) {
    values[i] = Py_NewRef(PySequence_Fast_GET_ITEM(PyTuple_GET_ITEM(columns, i), row));
  }
  int status = i < n ? -1 : host_append(function, values);
  if (i < n) PyErr_SetString(PyExc_RuntimeError, "a column became shorter while it was read");
  while (i-- > 0) Py_DECREF(values[i]);
  return status;
}

/* Return the results of all rows as a list. */
static PyObject *get_results(struct host_function *function, Py_ssize_t rows) {
  PyObject *results = PyList_New(rows);
  for (Py_ssize_t row = 0; results != NULL && row < rows; row++) {
    PyObject *value = host_result(function, row);
    if (value != NULL) PyList_SET_ITEM(results, row, value);
    if (value == NULL) Py_CLEAR(results);
  }
  return results;
}

/* Call the function for all rows. `columns` has a sequence of values for each parameter. */
static PyObject *call_many(struct host_function *function, PyObject *columns, Py_ssize_t rows) {
  PyObject **values = PyMem_New(PyObject *, (size_t)PyTuple_GET_SIZE(columns));
  if (values == NULL) return PyErr_NoMemory();
  if (host_begin(function, rows) < 0) {
    PyMem_Free(values);
    return NULL;
  }
  int status = 0;
  for (Py_ssize_t row = 0; row < rows && status == 0; row++) status = append_from(function, columns, row, values);
  if (status == 0) status = host_check(function, host_send(function));
  PyObject *results = status == 0 ? get_results(function, rows) : NULL;
  host_end(function);
  PyMem_Free(values);
  return results;
}

/* Return whether the values of a column lie in memory as those of a parameter, so that they need no copy. */
static bool lies_alike(const struct column *column, const struct value_type *parameter) {
  const struct value_type *type = column->type;
  if (type->kind != parameter->kind || column->first != 0 || type->as_byte) return false;
  switch (type->kind) {
    case SQL_BOOLEAN:
    case SQL_BIGINT:
    case SQL_UBIGINT:
    case SQL_DOUBLE:
    case SQL_VARCHAR:
    case SQL_BLOB:
    case SQL_DATE:
      return true;
    case SQL_TIME:
    case SQL_TIMESTAMP:
    case SQL_TIMESTAMPTZ:
      return type->unit == NANOARROW_TIME_UNIT_MICRO;
    case SQL_DECIMAL:
      return type->precision == parameter->precision && type->scale == parameter->scale;
    default:
      return false;
  }
}

/* The maximum number of columns that are passed without a copy. */
#define MAX_COLUMNS 16

/* Call the function for all rows of columns of the batch, which the host reads where they are. NULL without an
 * exception if they need a copy. */
static PyObject *call_columns(struct host_function *function, PyObject *const *objects, Py_ssize_t n) {
  struct ArrowArray columns[MAX_COLUMNS], *children[MAX_COLUMNS];
  const void *buffers[MAX_COLUMNS][3], *none = NULL;
  int64_t rows = 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    int64_t length = 0;
    const struct column *column = i < MAX_COLUMNS ? batch_column_of(objects[i], &length) : NULL;
    if (column == NULL || !lies_alike(column, &function->types.children[0].children[i])) return NULL;
    if (length == 0 || (i > 0 && length != rows)) return NULL;
    rows = length;
    const void *bytes[] = {column->validity, column->offsets != NULL ? column->offsets : column->data, column->data};
    memcpy(buffers[i], bytes, sizeof bytes);
    columns[i] = (struct ArrowArray){
        .length = rows, .null_count = -1, .n_buffers = column->offsets != NULL ? 3 : 2, .buffers = buffers[i]};
    children[i] = &columns[i];
  }
  struct ArrowArray arguments = {
      .length = rows, .n_buffers = 1, .n_children = n, .buffers = &none, .children = children};
  if (host_begin(function, 0) < 0) return NULL;
  PyObject *results =
      host_check(function, host_send_array(function, &arguments)) == 0 ? get_results(function, rows) : NULL;
  host_end(function);
  return results;
}

/* Return a tuple of one sequence for each parameter, all of one length, which is written to `rows`. */
static PyObject *sequences_of(const struct host_function *function, PyObject *const *objects, Py_ssize_t n,
                              Py_ssize_t *rows) {
  PyObject *sequences = PyTuple_New(n);
  for (Py_ssize_t i = 0; sequences != NULL && i < n; i++) {
    bool is_column = !PyUnicode_Check(objects[i]) && !PyDict_Check(objects[i]);
    PyObject *sequence = is_column ? PySequence_Fast(objects[i], "") : NULL;
    if (sequence == NULL) {
      if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Format(PyExc_TypeError, "%U.batch() takes columns, as lists, got %s", function->name,
                     Py_TYPE(objects[i])->tp_name);
      }
      Py_CLEAR(sequences);
      break;
    }
    PyTuple_SET_ITEM(sequences, i, sequence);
    if (i == 0) *rows = PySequence_Fast_GET_SIZE(sequence);
    if (PySequence_Fast_GET_SIZE(sequence) != *rows) {
      PyErr_Format(PyExc_ValueError, "%U.batch() takes columns of one length, got %zd and %zd values", function->name,
                   *rows, PySequence_Fast_GET_SIZE(sequence));
      Py_CLEAR(sequences);
    }
  }
  return sequences;
}

static PyObject *function_batch(PyObject *self, PyObject *const *objects, Py_ssize_t n) {
  struct host_function *function = (struct host_function *)self;
  if (host_make_ready(function) < 0) return NULL;
  if (n != host_n_parameters(function) || n == 0) {
    return PyErr_Format(PyExc_TypeError, "%U.batch() takes %d column(s), one for each parameter, got %zd",
                        function->name, (int)host_n_parameters(function), n);
  }
  PyObject *results = call_columns(function, objects, n);
  if (results != NULL || PyErr_Occurred()) return results;
  Py_ssize_t rows = 0;
  PyObject *sequences = sequences_of(function, objects, n, &rows);
  if (sequences != NULL) results = rows == 0 ? PyList_New(0) : call_many(function, sequences, rows);
  Py_XDECREF(sequences);
  return results;
}

/* ---- the type ---------------------------------------------------------------------------------------------------- */

static PyObject *function_new(PyTypeObject *type, PyObject *arguments, PyObject *names) {
  int number;
  PyObject *name, *bind;
  static char *known[] = {"number", "name", "bind", NULL};
  if (!PyArg_ParseTupleAndKeywords(arguments, names, "iUO", known, &number, &name, &bind)) return NULL;
  struct host_function *function = (struct host_function *)type->tp_alloc(type, 0);
  if (function == NULL) return NULL;
  function->attributes = PyDict_New();
  if (function->attributes == NULL) {
    Py_DECREF(function);
    return NULL;
  }
  function->vectorcall = function_vectorcall;
  function->number = number;
  function->name = Py_NewRef(name);
  function->bind = Py_NewRef(bind);
  return (PyObject *)function;
}

/* The types and the buffers of arguments are never freed: the module `host` makes each function once and keeps it. */
static void function_dealloc(PyObject *self) {
  struct host_function *function = (struct host_function *)self;
  Py_XDECREF(function->attributes);
  Py_XDECREF(function->name);
  Py_XDECREF(function->bind);
  free(function->response);
  Py_TYPE(self)->tp_free(self);
}

/* `help` and `inspect` treat an object with `__get__` as a function. */
static PyObject *function_get(PyObject *self, PyObject *object, PyObject *type) {
  (void)object, (void)type;
  return Py_NewRef(self);
}

static PyObject *function_repr(PyObject *self) {
  return PyUnicode_FromFormat("<host function %U>", ((struct host_function *)self)->name);
}

static PyMethodDef function_methods[] = {
    {"batch", (PyCFunction)(void (*)(void))function_batch, METH_FASTCALL,
     "batch(*columns) -> list: the results of many calls, made as one."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject function_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_udf.HostFunction",
    .tp_basicsize = sizeof(struct host_function),
    .tp_dictoffset = offsetof(struct host_function, attributes),
    .tp_vectorcall_offset = offsetof(struct host_function, vectorcall),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_call = PyVectorcall_Call,
    .tp_new = function_new,
    .tp_dealloc = function_dealloc,
    .tp_repr = function_repr,
    .tp_descr_get = function_get,
    .tp_methods = function_methods,
};

int host_function_prepare(PyObject *module) {
  if (PyType_Ready(&function_type) < 0) return -1;
  return PyModule_AddObjectRef(module, "HostFunction", (PyObject *)&function_type);
}
