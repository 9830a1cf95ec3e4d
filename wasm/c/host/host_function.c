#include "host/host_function.h"

#include <string.h>

#include "host/awaiting.h"
#include "calls/batch_column.h"
#include "codec/encode.h"

#define IMPORT(name) __attribute__((import_module("duckdb_udf"), import_name(#name)))
extern int32_t imported_host_import(const char *name, uint32_t name_length, void *out, uint32_t out_length)
    IMPORT(host_import);
extern int32_t imported_host_call(int32_t function, const struct ArrowArray *arguments, void *out, uint32_t out_length)
    IMPORT(host_call);
extern int32_t imported_host_take(void *out, uint32_t out_length) IMPORT(host_take);

static PyObject *host_error; /* host.HostError */

/* ---- things the host has by name ----------------------------------------------------------------------------------- */

#define FIRST_TRY_BYTES 16384

/* The bytes the host has under a name, None when there is no such thing. */
static PyObject *host_import(PyObject *module, PyObject *name) {
  (void)module;
  Py_ssize_t name_length;
  const char *text = PyUnicode_AsUTF8AndSize(name, &name_length);
  if (text == NULL) return NULL;
  PyObject *bytes = NULL;
  int32_t size = FIRST_TRY_BYTES, room;
  do {
    room = size;
    Py_XDECREF(bytes);
    bytes = PyBytes_FromStringAndSize(NULL, room);
    if (bytes == NULL) return NULL;
    size = imported_host_import(text, (uint32_t)name_length, PyBytes_AS_STRING(bytes), (uint32_t)room);
  } while (size > room);
  if (size < 0) {
    Py_DECREF(bytes);
    Py_RETURN_NONE;
  }
  _PyBytes_Resize(&bytes, size);
  return bytes;
}

/* ---- types, asked for when a function is first called --------------------------------------------------------------- */

static int read_types(struct host_function *function, struct ArrowSchema *schema) {
  struct ArrowError error;
  error.message[0] = 0;
  if (value_type_read(&function->types, schema) < 0 ||
      builder_init(&function->arguments, &function->types.children[0]) < 0 ||
      column_init(&function->result, &function->types.children[1]) < 0) {
    return -1;
  }
  if (ArrowArrayViewInitFromSchema(&function->response_view, schema->children[1], &error) == NANOARROW_OK) return 0;
  PyErr_SetString(PyExc_RuntimeError, error.message);
  return -1;
}

static int fetch_types(struct host_function *function) {
  char name[32];
  uint32_t name_length = (uint32_t)snprintf(name, sizeof name, "host:types:%d", (int)function->number);
  int32_t size = imported_host_import(name, name_length, NULL, 0);
  if (size < (int32_t)sizeof(struct ArrowSchema)) {
    host_raise(function, UDF_HOST_ABSENT);
    return -1;
  }
  struct ArrowSchema *schema = malloc((size_t)size);
  if (schema == NULL) return out_of_memory();
  int failed = -1;
  if (imported_host_import(name, name_length, schema, (uint32_t)size) == size) failed = read_types(function, schema);
  free(schema);
  if (failed && !PyErr_Occurred()) host_raise(function, UDF_HOST_ABSENT);
  function->ready = !failed;
  return failed;
}

static int make_ready(struct host_function *function) { return function->ready ? 0 : fetch_types(function); }

/* ---- the steps of a call -------------------------------------------------------------------------------------------- */

/* What a response takes at first, and what is kept for the next. */
#define RESPONSE_BYTES 65536
#define KEPT_RESPONSE_BYTES (1 << 20)

static int make_room(struct host_function *function, uint32_t size) {
  if (size <= function->response_size) return 0;
  free(function->response);
  function->response = aligned_alloc(64, ((size_t)size + 63) & ~(size_t)63);
  function->response_size = function->response == NULL ? 0 : size;
  return function->response == NULL ? out_of_memory() : 0;
}

int host_begin(struct host_function *function, int64_t rows) {
  if (make_ready(function) < 0) return -1;
  if (function->busy) {
    PyErr_Format(PyExc_RuntimeError, "%U() is called by a value that it was called with", function->name);
    return -1;
  }
  if (make_room(function, RESPONSE_BYTES) < 0 || builder_start(&function->arguments, rows) < 0) return -1;
  function->busy = 1;
  return 0;
}

void host_end(struct host_function *function) {
  function->busy = 0;
  if (function->response_size > KEPT_RESPONSE_BYTES) {
    free(function->response);
    function->response = NULL;
    function->response_size = 0;
  }
}

/* Says of an argument that was refused what it had to be; what the user's own code raised stays. */
static void explain_argument(const struct host_function *function, int64_t i, PyObject *value) {
  if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError) &&
      !PyErr_ExceptionMatches(PyExc_OverflowError)) {
    return;
  }
  PyErr_Clear();
  const struct value_type *type = &function->types.children[0].children[i];
  PyErr_Format(PyExc_TypeError, "%U() takes %s as %R, got %s %.200R", function->name, kind_facts(type->kind)->name,
               type->name, Py_TYPE(value)->tp_name, value);
}

int host_append(struct host_function *function, PyObject *const *values) {
  struct builder *arguments = &function->arguments;
  if (builder_next_row(arguments) < 0) return -1;
  for (int64_t i = 0; i < arguments->n_children; i++) {
    if (builder_append(arguments->children[i], values[i]) == 0) continue;
    builder_undo_row(arguments);
    explain_argument(function, i, values[i]);
    return -1;
  }
  builder_close_row(arguments, 1);
  return 0;
}

/* Has the host call its function: see `host_send`. */
static int32_t send_array(struct host_function *function, const struct ArrowArray *arguments) {
  struct ArrowError error;
  error.message[0] = 0;
  struct ArrowArray *response = (struct ArrowArray *)function->response;
  response->length = -1; /* of an answer that was never given */
  int32_t size = imported_host_call(function->number, arguments, function->response, function->response_size);
  if (size >= 0 && (uint32_t)size > function->response_size) {
    if (make_room(function, (uint32_t)size) < 0) return -1;
    response = (struct ArrowArray *)function->response;
    response->length = -1;
    size = imported_host_take(function->response, function->response_size);
  }
  if (size < 0) return size;
  if (response->length != arguments->length) return UDF_HOST_FAILED;
  if (ArrowArrayViewSetArray(&function->response_view, response->children[0], &error) != NANOARROW_OK) {
    PyErr_SetString(PyExc_RuntimeError, error.message);
    return -1;
  }
  return column_open(&function->result, &function->response_view);
}

int32_t host_send(struct host_function *function) {
  struct udf_result described;
  return builder_finish(&function->arguments, &described) < 0 ? -1 : send_array(function, &described.array);
}

PyObject *host_result(struct host_function *function, int64_t row) {
  return column_is_null(&function->result, row) ? Py_NewRef(Py_None) : column_get(&function->result, row);
}

void host_raise(const struct host_function *function, int32_t status) {
  static const char *const what[] = {"failed", "was refused", "took too long", "is not there"};
  int known = status <= UDF_HOST_FAILED && status >= UDF_HOST_ABSENT;
  PyErr_Format(host_error, "%U %s", function->name, what[known ? UDF_HOST_FAILED - status : 0]);
}

/* What a status of `host_send` comes to: 0, or -1 with an exception. */
static int check(const struct host_function *function, int32_t status) {
  if (status < -1) host_raise(function, status);
  return status < 0 ? -1 : 0;
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

static PyObject *call_one(struct host_function *function, PyObject *const *values) {
  if (host_begin(function, 1) < 0) return NULL;
  PyObject *result = NULL;
  if (host_append(function, values) == 0 && check(function, host_send(function)) == 0) result = host_result(function, 0);
  host_end(function);
  return result;
}

static PyObject *function_vectorcall(PyObject *self, PyObject *const *values, size_t nargsf, PyObject *names) {
  struct host_function *function = (struct host_function *)self;
  if (make_ready(function) < 0) return NULL;
  PyObject *bound = NULL;
  if (names != NULL || PyVectorcall_NARGS(nargsf) != host_n_parameters(function)) {
    bound = PyObject_Vectorcall(function->bind, values, nargsf, names);
    if (bound == NULL) return NULL;
    if (!PyTuple_Check(bound) || PyTuple_GET_SIZE(bound) != host_n_parameters(function)) {
      Py_DECREF(bound);
      PyErr_SetString(PyExc_TypeError, "the arguments are gone"); /* code that looks for them can do it */
      return NULL;
    }
    values = ((PyTupleObject *)bound)->ob_item;
  }
  PyObject *result = awaiting ? awaiting_new(function, values) : call_one(function, values);
  Py_XDECREF(bound);
  return result;
}

/* Appends one row of columns, which code of the user's may change meanwhile. */
static int append_from(struct host_function *function, PyObject *columns, Py_ssize_t row, PyObject **values) {
  Py_ssize_t n = PyTuple_GET_SIZE(columns), i = 0;
  for (; i < n && row < PySequence_Fast_GET_SIZE(PyTuple_GET_ITEM(columns, i)); i++) {
    values[i] = Py_NewRef(PySequence_Fast_GET_ITEM(PyTuple_GET_ITEM(columns, i), row));
  }
  int failed = i < n || host_append(function, values) < 0;
  if (i < n) PyErr_SetString(PyExc_RuntimeError, "a column became shorter while it was read");
  while (i-- > 0) Py_DECREF(values[i]);
  return failed ? -1 : 0;
}

static PyObject *get_results(struct host_function *function, Py_ssize_t rows) {
  PyObject *results = PyList_New(rows);
  for (Py_ssize_t row = 0; results != NULL && row < rows; row++) {
    PyObject *value = host_result(function, row);
    if (value != NULL) PyList_SET_ITEM(results, row, value);
    if (value == NULL) Py_CLEAR(results);
  }
  return results;
}

/* The results of all rows, whose values are in a sequence for each parameter. */
static PyObject *call_many(struct host_function *function, PyObject *columns, Py_ssize_t rows) {
  PyObject **values = PyMem_New(PyObject *, (size_t)PyTuple_GET_SIZE(columns));
  if (values == NULL) return PyErr_NoMemory();
  if (host_begin(function, rows) < 0) {
    PyMem_Free(values);
    return NULL;
  }
  int failed = 0;
  for (Py_ssize_t row = 0; row < rows && !failed; row++) failed = append_from(function, columns, row, values) < 0;
  PyObject *results = !failed && check(function, host_send(function)) == 0 ? get_results(function, rows) : NULL;
  host_end(function);
  PyMem_Free(values);
  return results;
}

/* Whether values of a column lie in memory as those that are built for a parameter, so that they need no copy. */
static int lies_alike(const struct column *column, const struct value_type *parameter) {
  const struct value_type *type = column->type;
  if (type->kind != parameter->kind || column->first != 0 || type->as_byte) return 0;
  switch (type->kind) {
    case SQL_BOOLEAN:
    case SQL_BIGINT:
    case SQL_UBIGINT:
    case SQL_DOUBLE:
    case SQL_VARCHAR:
    case SQL_BLOB:
    case SQL_DATE:
      return 1;
    case SQL_TIME:
    case SQL_TIMESTAMP:
    case SQL_TIMESTAMPTZ:
      return type->unit == NANOARROW_TIME_UNIT_MICRO;
    case SQL_DECIMAL:
      return type->precision == parameter->precision && type->scale == parameter->scale;
    default:
      return 0;
  }
}

/* The results of all rows of columns of the batch, which the host reads where they are. NULL without an exception: they
 * lie otherwise. */
#define MAX_COLUMNS 16
static PyObject *call_columns(struct host_function *function, PyObject *const *given, Py_ssize_t n) {
  struct ArrowArray columns[MAX_COLUMNS], *children[MAX_COLUMNS];
  const void *buffers[MAX_COLUMNS][3], *none = NULL;
  int64_t rows = 0;
  for (Py_ssize_t i = 0; i < n; i++) {
    int64_t length = 0;
    const struct column *column = i < MAX_COLUMNS ? batch_column_of(given[i], &length) : NULL;
    if (column == NULL || !lies_alike(column, &function->types.children[0].children[i])) return NULL;
    if (length == 0 || (i > 0 && length != rows)) return NULL;
    rows = length;
    const void *bytes[] = {column->validity, column->offsets != NULL ? column->offsets : column->data, column->data};
    memcpy(buffers[i], bytes, sizeof bytes);
    columns[i] = (struct ArrowArray){
        .length = rows, .null_count = -1, .n_buffers = column->offsets != NULL ? 3 : 2, .buffers = buffers[i]};
    children[i] = &columns[i];
  }
  struct ArrowArray arguments = {.length = rows, .n_buffers = 1, .n_children = n, .buffers = &none, .children = children};
  if (host_begin(function, 0) < 0) return NULL;
  PyObject *results = check(function, send_array(function, &arguments)) == 0 ? get_results(function, rows) : NULL;
  host_end(function);
  return results;
}

static PyObject *function_batch(PyObject *self, PyObject *const *given, Py_ssize_t n) {
  struct host_function *function = (struct host_function *)self;
  if (make_ready(function) < 0) return NULL;
  if (n != host_n_parameters(function) || n == 0) {
    return PyErr_Format(PyExc_TypeError, "%U.batch() takes %d column(s), one for each parameter, got %zd",
                        function->name, (int)host_n_parameters(function), n);
  }
  PyObject *results = call_columns(function, given, n);
  if (results != NULL || PyErr_Occurred()) return results;
  PyObject *columns = PyTuple_New(n);
  Py_ssize_t rows = 0;
  for (Py_ssize_t i = 0; columns != NULL && i < n; i++) {
    PyObject *column = PyUnicode_Check(given[i]) || PyDict_Check(given[i]) ? NULL : PySequence_Fast(given[i], "");
    if (column == NULL) {
      if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Format(PyExc_TypeError, "%U.batch() takes columns, as lists, got %s", function->name,
                     Py_TYPE(given[i])->tp_name);
      }
      Py_CLEAR(columns);
      break;
    }
    PyTuple_SET_ITEM(columns, i, column);
    if (i == 0) rows = PySequence_Fast_GET_SIZE(column);
    if (PySequence_Fast_GET_SIZE(column) != rows) {
      PyErr_Format(PyExc_ValueError, "%U.batch() takes columns of one length, got %zd and %zd values", function->name,
                   rows, PySequence_Fast_GET_SIZE(column));
      Py_CLEAR(columns);
    }
  }
  if (columns != NULL) results = rows == 0 ? PyList_New(0) : call_many(function, columns, rows);
  Py_XDECREF(columns);
  return results;
}

/* ---- the type ------------------------------------------------------------------------------------------------------- */

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

/* What it holds of types and buffers stays: the module `host` makes each function once, and keeps it. */
static void function_dealloc(PyObject *self) {
  struct host_function *function = (struct host_function *)self;
  Py_XDECREF(function->attributes);
  Py_XDECREF(function->name);
  Py_XDECREF(function->bind);
  free(function->response);
  Py_TYPE(self)->tp_free(self);
}

/* With a `__get__`, `help` and `inspect` take it for a function. */
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

static PyMethodDef functions[] = {
    {"host_import", host_import, METH_O, "host_import(name) -> bytes, or None: what the host has under a name."},
    {NULL, NULL, 0, NULL},
};

int host_add_functions(PyObject *module) { return PyModule_AddFunctions(module, functions); }

int host_prepare(void) {
  PyObject *module = PyImport_ImportModule("_udf");
  if (module == NULL) return -1;
  host_error = PyErr_NewExceptionWithDoc("host.HostError", "A host function failed, was refused, or took too long.",
                                         NULL, NULL);
  int failed = host_error == NULL || PyType_Ready(&function_type) < 0 ||
               PyModule_AddObjectRef(module, "HostError", host_error) < 0 ||
               PyModule_AddObjectRef(module, "HostFunction", (PyObject *)&function_type) < 0 ||
               awaiting_prepare(module) < 0;
  Py_DECREF(module);
  return failed ? -1 : 0;
}
