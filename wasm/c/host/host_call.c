#include "host/host_call.h"

#include <string.h>

#include "abi.h"
#include "codec/encode.h"

#define IMPORT(name) __attribute__((import_module("duckdb_udf"), import_name(#name)))
extern int32_t imported_host_import(const char *name, uint32_t name_length, void *out, uint32_t out_length)
    IMPORT(host_import);
extern int32_t imported_host_call(int32_t function, const struct ArrowArray *arguments, void *out, uint32_t out_length)
    IMPORT(host_call);
extern int32_t imported_host_take(void *out, uint32_t out_length) IMPORT(host_take);

static PyObject *host_error; /* host.HostError */

/* ---- look-ups by name -------------------------------------------------------------------------------------------- */

/* Room for the first try of a look-up. */
#define FIRST_TRY_BYTES 16384

/* Return the bytes that the host has under a name, None if there are none. */
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

/* ---- types, which a function learns at its first call ------------------------------------------------------------ */

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
  int32_t got = imported_host_import(name, name_length, schema, (uint32_t)size);
  int status = got == size ? read_types(function, schema) : -1;
  free(schema);
  if (got != size) host_raise(function, UDF_HOST_ABSENT);
  function->ready = status == 0;
  return status;
}

int host_make_ready(struct host_function *function) { return function->ready ? 0 : fetch_types(function); }

/* ---- the steps of a call ----------------------------------------------------------------------------------------- */

/* The first size of a function's response buffer, and the largest that serves the next call too. */
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
  if (host_make_ready(function) < 0) return -1;
  if (function->busy) {
    PyErr_Format(PyExc_RuntimeError, "%U() is called by a value that it was called with", function->name);
    return -1;
  }
  if (make_room(function, RESPONSE_BYTES) < 0 || builder_start(&function->arguments, rows) < 0) return -1;
  function->busy = true;
  return 0;
}

void host_end(struct host_function *function) {
  function->busy = false;
  if (function->response_size > KEPT_RESPONSE_BYTES) {
    free(function->response);
    function->response = NULL;
    function->response_size = 0;
  }
}

/* Replace the error about a refused argument by one that says what the parameter takes. Errors that user code raised
 * stay. */
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
  builder_close_row(arguments, true);
  return 0;
}

int32_t host_send_array(struct host_function *function, const struct ArrowArray *arguments) {
  struct ArrowError error;
  error.message[0] = 0;
  struct ArrowArray *response = (struct ArrowArray *)function->response;
  response->length = -1; /* stays if the host writes no answer */
  int32_t size = imported_host_call(function->number, arguments, function->response, function->response_size);
  if (size >= 0 && (uint32_t)size > function->response_size) {
    if (make_room(function, (uint32_t)size) < 0) return HOST_EXCEPTION;
    response = (struct ArrowArray *)function->response;
    response->length = -1;
    size = imported_host_take(function->response, function->response_size);
  }
  if (size < 0) return size;
  if (response->length != arguments->length) return UDF_HOST_FAILED;
  if (ArrowArrayViewSetArray(&function->response_view, response->children[0], &error) != NANOARROW_OK) {
    PyErr_SetString(PyExc_RuntimeError, error.message);
    return HOST_EXCEPTION;
  }
  return column_open(&function->result, &function->response_view) < 0 ? HOST_EXCEPTION : HOST_ANSWERED;
}

int32_t host_send(struct host_function *function) {
  struct udf_result described;
  if (builder_finish(&function->arguments, &described) < 0) return HOST_EXCEPTION;
  return host_send_array(function, &described.array);
}

PyObject *host_result(struct host_function *function, int64_t row) {
  return column_get_or_none(&function->result, row);
}

void host_raise(const struct host_function *function, int32_t status) {
  static const char *const what[] = {"failed", "was refused", "took too long", "is not there"};
  bool known = status <= UDF_HOST_FAILED && status >= UDF_HOST_ABSENT;
  PyErr_Format(host_error, "%U %s", function->name, what[known ? UDF_HOST_FAILED - status : 0]);
}

int host_check(const struct host_function *function, int32_t status) {
  if (status != HOST_ANSWERED && status != HOST_EXCEPTION) host_raise(function, status);
  return status == HOST_ANSWERED ? 0 : -1;
}

/* ---- the module `_udf` ------------------------------------------------------------------------------------------- */

static PyMethodDef functions[] = {
    {"host_import", host_import, METH_O, "host_import(name) -> bytes, or None: what the host has under a name."},
    {NULL, NULL, 0, NULL},
};

int host_call_add_functions(PyObject *module) { return PyModule_AddFunctions(module, functions); }

int host_call_prepare(PyObject *module) {
  host_error =
      PyErr_NewExceptionWithDoc("host.HostError", "A host function failed, was refused, or took too long.", NULL, NULL);
  return host_error == NULL ? -1 : PyModule_AddObjectRef(module, "HostError", host_error);
}
