/* The exports of the guest: one CPython interpreter that is started while the guest is built, kept in the snapshot, and
 * from then on only defines functions and calls them.
 *
 * One batch, from top to bottom: the host writes it into the arena (udf_arena) and calls udf_call, which has the
 * interpreter call the user's function for each row (_udf_guest.driver), appends what was returned to a column, and the
 * host reads the column that udf_result points to.
 */
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "abi.h"
#include "host/awaiting.h"
#include "calls/batch_column.h"
#include "calls/yielded_columns.h"
#include "codec/decode.h"
#include "codec/encode.h"
#include "host/host_function.h"
#include "codec/infer.h"
#include "exports.h"
#include "calls/argument_rows.h"
#include "codec/encode_scalars.h"

#define MAX_FUNCTIONS 64
#define MAX_CURSORS 64

/* How many rows are called before their results are appended, where they may wait: the cost of changing over is spread,
 * the objects are still in the cache, and few large ones are alive at once. */
#define ROWS_AT_ONCE 128

/* The row loop hands this over where an error belongs to no row. */
#define NO_ROW (-1)

struct function {
  PyObject *callable; /* NULL: this handle is free */
  int return_null;    /* an exception makes its row NULL, or all rows of a batch */
  int by_batch;       /* called once a batch with columns, not once a row */
  int is_async;       /* gives coroutines, which are run together, a batch at a time */
  int64_t n_args;     /* -1 until bound */
  uint8_t *sees_null; /* for each argument: NULL reaches the function as None */
  struct value_type arguments; /* of the batch: a struct */
  struct column *columns;
  struct rows *rows;
  PyObject *driver;   /* _udf_guest.driver: calls the function for rows */
  PyObject *returned; /* the list that it fills; NULL: it hands results to `rows` one by one */
  PyObject *coroutines; /* takes what an async function gives, and fills the list in its place; NULL for others */
  struct ArrowArrayView batch;
  struct builder builder;
};

/* A function's iterator, pulled from step by step. */
struct cursor {
  struct function *function; /* NULL: this cursor is free */
  PyObject *iterator;        /* NULL: there are no rows (any more) */
  struct columns columns;    /* the last of what it gave, of which there may be rows left */
};

static struct function functions[MAX_FUNCTIONS];
static struct cursor cursors[MAX_CURSORS];
static struct udf_result result;
static struct udf_text description;
static struct udf_text failure;
static PyObject *description_bytes;
static PyObject *failure_bytes;

static PyObject *guest_define;  /* _udf_guest.define */
static PyObject *guest_explain; /* _udf_guest.explain */
static PyObject *guest_driver;  /* _udf_guest.driver */

int reactor_prepare(PyObject *guest) {
  guest_define = PyObject_GetAttrString(guest, "define");
  guest_explain = PyObject_GetAttrString(guest, "explain");
  guest_driver = PyObject_GetAttrString(guest, "driver");
  return guest_define == NULL || guest_explain == NULL || guest_driver == NULL ? -1 : 0;
}

/* ---- text that outlives its call ------------------------------------------------------------------------------- */

static void keep_text(struct udf_text *text, PyObject **owner, PyObject *bytes) {
  Py_XSETREF(*owner, bytes);
  *text = (struct udf_text){PyBytes_AS_STRING(bytes), (uint32_t)PyBytes_GET_SIZE(bytes)};
}

UDF_EXPORT(udf_description) struct udf_text *udf_description(void) { return &description; }

UDF_EXPORT(udf_error) struct udf_text *udf_error(void) { return &failure; }

UDF_EXPORT(udf_result) struct udf_result *udf_result(void) { return &result; }

/* Whether memory ran out, which is not what CPython's parser means with its MemoryError: code that nests too deep. */
static int is_out_of_memory(PyObject *exception) {
  if (!PyErr_GivenExceptionMatches(exception, PyExc_MemoryError)) return 0;
  PyObject *arguments = ((PyBaseExceptionObject *)exception)->args;
  PyObject *said = PyTuple_GET_SIZE(arguments) == 1 ? PyTuple_GET_ITEM(arguments, 0) : NULL;
  const char *text = said != NULL && PyUnicode_Check(said) ? PyUnicode_AsUTF8(said) : NULL;
  if (text == NULL) PyErr_Clear();
  return text == NULL || strncmp(text, "Parser stack overflowed", 23) != 0;
}

/* Turns the pending exception into udf_error() and a status. `row` is NO_ROW or the row of the batch, `function` NULL or
 * the one whose arguments of that row are shown. */
static int32_t fail(struct function *function, int64_t row) {
  PyObject *exception = PyErr_GetRaisedException();
  if (is_out_of_memory(exception)) {
    Py_DECREF(exception);
    return UDF_NO_MEMORY;
  }
  PyObject *arguments = function == NULL || row < 0 ? NULL : rows_arguments(function->rows, row);
  if (arguments == NULL) { /* none, or reading them is what failed */
    PyErr_Clear();
    arguments = PyTuple_New(0);
  }
  PyObject *text =
      arguments == NULL ? NULL : PyObject_CallFunction(guest_explain, "OLO", exception, (long long)row, arguments);
  Py_XDECREF(arguments);
  Py_DECREF(exception);
  if (text == NULL || !PyBytes_Check(text)) {
    int out_of_memory = text == NULL && PyErr_ExceptionMatches(PyExc_MemoryError);
    PyErr_Clear();
    Py_XDECREF(text);
    if (out_of_memory) return UDF_NO_MEMORY;
    text = PyBytes_FromString("{\"type\":\"Exception\",\"message\":\"the error could not be described\"}");
    if (text == NULL) return UDF_NO_MEMORY;
  }
  keep_text(&failure, &failure_bytes, text);
  return UDF_FAILED;
}

/* ---- the arena ------------------------------------------------------------------------------------------------- */

UDF_EXPORT(udf_abi_version) int32_t udf_abi_version(void) { return UDF_ABI_VERSION; }

/* Where the host writes what the next export reads: at least `bytes`, 64-byte aligned, kept until a larger one is asked
 * for. NULL when memory is exhausted. */
UDF_EXPORT(udf_arena) void *udf_arena(uint32_t bytes) {
  static void *arena;
  static uint32_t capacity;
  if (bytes > capacity) {
    free(arena);
    capacity = 0;
    arena = aligned_alloc(64, ((size_t)bytes + 63) & ~(size_t)63);
    if (arena != NULL) capacity = bytes;
  }
  return arena;
}

/* ---- definition ------------------------------------------------------------------------------------------------ */

/* Compiles a definition (JSON, see _udf_guest.define) and returns its handle; udf_description() describes the function
 * that was found. */
UDF_EXPORT(udf_define) int32_t udf_define(const char *json, uint32_t length) {
  int32_t handle = 0;
  while (handle < MAX_FUNCTIONS && functions[handle].callable != NULL) handle++;
  if (handle == MAX_FUNCTIONS) {
    PyErr_Format(PyExc_RuntimeError, "an instance holds at most %d functions", MAX_FUNCTIONS);
    return -fail(NULL, NO_ROW);
  }
  struct function *function = &functions[handle];
  PyObject *defined = PyObject_CallFunction(guest_define, "s#", json, (Py_ssize_t)length);
  PyObject *callable, *text;
  if (defined == NULL || !PyArg_ParseTuple(defined, "OpppO!", &callable, &function->return_null, &function->by_batch,
                                            &function->is_async, &PyBytes_Type, &text)) {
    Py_XDECREF(defined);
    return -fail(NULL, NO_ROW);
  }
  function->callable = Py_NewRef(callable);
  function->n_args = -1;
  keep_text(&description, &description_bytes, Py_NewRef(text));
  Py_DECREF(defined);
  return handle;
}

/* Whether values of a type can't change after they were returned, so that appending them may wait: a list takes them
 * faster than any function of ours could. */
static int may_wait(const struct value_type *declared) {
  switch (declared->kind) {
    case SQL_BLOB: /* a bytearray */
    case SQL_JSON:
      return 0;
    default:
      return declared->kind < SQL_ENUM;
  }
}

static int32_t refuse(const char *message) {
  PyErr_SetString(PyExc_RuntimeError, message);
  return fail(NULL, NO_ROW);
}

/* Fixes the types: `arguments` is the schema of the batches to come (a struct; a nullable child is an argument that sees
 * NULL as None), `returned` that of the result, or NULL to infer it batch by batch. */
UDF_EXPORT(udf_bind) int32_t udf_bind(int32_t handle, struct ArrowSchema *arguments, struct ArrowSchema *returned) {
  if (handle < 0 || handle >= MAX_FUNCTIONS || functions[handle].callable == NULL) return refuse("no such function");
  struct function *function = &functions[handle];
  if (function->n_args >= 0) return refuse("the function is bound already");

  struct ArrowError error;
  error.message[0] = 0;
  struct value_type declared;
  if (returned != NULL && value_type_read(&declared, returned) < 0) return fail(NULL, NO_ROW);
  if (ArrowArrayViewInitFromSchema(&function->batch, arguments, &error) != NANOARROW_OK) return refuse(error.message);
  int64_t n_args = arguments->n_children;
  if (value_type_read(&function->arguments, arguments) < 0) return fail(NULL, NO_ROW);
  function->sees_null = malloc((size_t)n_args + 1);
  function->columns = calloc((size_t)n_args + 1, sizeof *function->columns);
  if (function->sees_null == NULL || function->columns == NULL) return UDF_NO_MEMORY;
  for (int64_t i = 0; i < n_args; i++) {
    function->sees_null[i] = (arguments->children[i]->flags & ARROW_FLAG_NULLABLE) != 0;
    if (column_init(&function->columns[i], &function->arguments.children[i]) < 0) return fail(NULL, NO_ROW);
  }
  if (builder_init(&function->builder, returned != NULL ? &declared : NULL) < 0) return fail(NULL, NO_ROW);
  int waits = function->is_async || (returned != NULL && may_wait(&declared) && !function->by_batch);
  function->rows = rows_new(n_args, function->columns, function->sees_null, waits ? NULL : &function->builder);
  function->driver = PyObject_CallFunction(guest_driver, "ni", (Py_ssize_t)n_args, function->by_batch);
  function->returned = waits ? PyList_New(0) : NULL;
  if (function->rows == NULL || function->driver == NULL || (waits && function->returned == NULL)) {
    return fail(NULL, NO_ROW);
  }
  if (function->is_async) function->coroutines = awaiting_coroutines(function->returned);
  if (function->is_async && function->coroutines == NULL) return fail(NULL, NO_ROW);
  function->n_args = n_args;
  return UDF_OK;
}

/* ---- one batch ------------------------------------------------------------------------------------------------- */

/* Points a bound function's columns at a batch. NULL with a status when there is no such function or batch. */
static struct function *take_batch(int32_t handle, struct ArrowArray *batch, int32_t *status) {
  *status = UDF_OK;
  struct ArrowError error;
  error.message[0] = 0;
  if (handle < 0 || handle >= MAX_FUNCTIONS || functions[handle].callable == NULL || functions[handle].n_args < 0) {
    *status = refuse("no such bound function");
    return NULL;
  }
  struct function *function = &functions[handle];
  function->rows->batch++;
  if (ArrowArrayViewSetArray(&function->batch, batch, &error) != NANOARROW_OK) {
    *status = refuse(error.message);
    return NULL;
  }
  for (int64_t i = 0; i < function->n_args; i++) {
    if (column_open(&function->columns[i], function->batch.children[i]) < 0) {
      *status = fail(NULL, NO_ROW);
      return NULL;
    }
  }
  return function;
}

/* Whether the pending exception of a row becomes NULL; it is cleared then. */
static int becomes_null(struct function *function) {
  if (!function->return_null || PyErr_ExceptionMatches(PyExc_MemoryError)) return 0;
  PyErr_Clear();
  return 1;
}

/* NULL for every row of a batch. */
static int32_t fail_batch(struct function *function, int64_t *failed_rows) {
  if (builder_start(&function->builder, function->rows->stop) < 0) return fail(NULL, NO_ROW);
  for (*failed_rows = 0; *failed_rows < function->rows->stop; ++*failed_rows) {
    if (builder_append_null(&function->builder) < 0) return fail(NULL, NO_ROW);
  }
  return UDF_OK;
}

/* Calls the function for the rows up to `stop`, from where it left off. */
static int32_t call_rows(struct function *function, int64_t stop, int64_t *failed_rows) {
  struct rows *rows = function->rows;
  PyObject *returned = function->returned;
  PyObject *taker = function->is_async ? function->coroutines : returned != NULL ? returned : (PyObject *)rows;
  PyObject *arguments[] = {function->callable, (PyObject *)rows, taker};
  rows->stop = stop;
  for (;;) {
    PyObject *done = PyObject_Vectorcall(function->driver, arguments, 3, NULL);
    if (done != NULL) {
      Py_DECREF(done);
      return UDF_OK;
    }
    if (!becomes_null(function)) return fail(function, rows->next - 1);
    if (function->by_batch) return fail_batch(function, failed_rows);
    int failed = returned != NULL ? PyList_Append(returned, Py_None) : builder_append_null(&function->builder);
    if (failed) return fail(NULL, NO_ROW);
    ++*failed_rows;
  }
}

/* Runs the coroutines of all rows to their end. */
static int32_t await_rows(struct function *function, int64_t *failed_rows) {
  Py_ssize_t place = awaiting_finish(function->coroutines, function->return_null, failed_rows);
  if (place < 0) return place == -1 ? UDF_OK : fail(NULL, NO_ROW);
  int64_t row = 0;
  for (; row < function->rows->stop; row++) { /* rows with a NULL that it does not want to see have no place */
    if (!rows_skip(function->rows, row) && place-- == 0) break;
  }
  return fail(function, row);
}

/* Appends the results that have waited, of the rows from `row` to `stop`. */
static int32_t append_rows(struct function *function, int64_t row, int64_t stop, int64_t *failed_rows) {
  PyObject *returned = function->returned;
  for (Py_ssize_t i = 0; row < stop; row++) {
    if (rows_skip(function->rows, row)) {
      if (builder_append_null(&function->builder) < 0) return fail(NULL, NO_ROW);
      continue;
    }
    if (i >= PyList_GET_SIZE(returned)) return refuse("the results are gone"); /* code that looks for them can do it */
    if (builder_append(&function->builder, PyList_GET_ITEM(returned, i++)) == 0) continue;
    if (!becomes_null(function)) return fail(function, row);
    if (builder_append_null(&function->builder) < 0) return fail(NULL, NO_ROW);
    ++*failed_rows;
  }
  return UDF_OK;
}

/* Empties a list, which keeps its room. */
static void forget_items(PyObject *list) {
  Py_ssize_t n = PyList_GET_SIZE(list);
  Py_SET_SIZE(list, 0);
  while (n-- > 0) Py_DECREF(((PyListObject *)list)->ob_item[n]);
}

/* Calls the function for each row; the results are in udf_result(). */
UDF_EXPORT(udf_call) int32_t udf_call(int32_t handle, struct ArrowArray *batch) {
  int32_t status;
  struct function *function = take_batch(handle, batch, &status);
  if (function == NULL) return status;
  if (builder_start(&function->builder, batch->length) < 0) return fail(NULL, NO_ROW);

  int64_t failed_rows = 0;
  function->rows->next = 0;
  if (function->returned == NULL) {
    status = call_rows(function, batch->length, &failed_rows);
  } else {
    int64_t at_once = function->is_async ? batch->length : ROWS_AT_ONCE;
    for (int64_t row = 0; row < batch->length && status == UDF_OK; row += at_once) {
      int64_t stop = row + at_once < batch->length ? row + at_once : batch->length;
      status = call_rows(function, stop, &failed_rows);
      if (status == UDF_OK && function->is_async) status = await_rows(function, &failed_rows);
      if (status == UDF_OK) status = append_rows(function, row, stop, &failed_rows);
      if (function->is_async) awaiting_clear(function->coroutines);
      forget_items(function->returned);
    }
  }
  if (status != UDF_OK) return status;
  if (function->builder.length != batch->length) return refuse("the results are not one for each row");
  if (builder_finish(&function->builder, &result) < 0) return fail(NULL, NO_ROW);
  result.failed_rows = failed_rows;
  return UDF_OK;
}

/* ---- cursors: functions that yield rows -------------------------------------------------------------------------- */

/* Calls the function with the only row of `batch` and returns a cursor over what it gives; a NULL it does not want to see
 * gives no rows. */
UDF_EXPORT(udf_open) int32_t udf_open(int32_t handle, struct ArrowArray *batch) {
  int32_t status;
  struct function *function = take_batch(handle, batch, &status);
  if (function == NULL) return -status;
  int32_t number = 0;
  while (number < MAX_CURSORS && cursors[number].function != NULL) number++;
  if (number == MAX_CURSORS) return -refuse("too many open cursors");
  if (batch->length != 1) return -refuse("a cursor is opened with one row of arguments");

  PyObject *iterator = NULL;
  if (!rows_skip(function->rows, 0)) {
    PyObject *arguments = rows_arguments(function->rows, 0);
    PyObject *value = arguments == NULL ? NULL : PyObject_CallObject(function->callable, arguments);
    iterator = value == NULL ? NULL : iterate_rows(value);
    Py_XDECREF(arguments);
    Py_XDECREF(value);
    if (iterator == NULL) return -fail(function, 0);
  }
  cursors[number] = (struct cursor){.function = function, .iterator = iterator};
  return number;
}

/* Pulls up to UDF_CURSOR_ROWS values into udf_result(); none means there are no more. */
UDF_EXPORT(udf_next) int32_t udf_next(int32_t number) {
  if (number < 0 || number >= MAX_CURSORS || cursors[number].function == NULL) return refuse("no such cursor");
  struct cursor *cursor = &cursors[number];
  struct builder *builder = &cursor->function->builder;
  if (builder_start(builder, UDF_CURSOR_ROWS) < 0) return fail(NULL, NO_ROW);
  while (builder->length < UDF_CURSOR_ROWS) {
    if (columns_left(&cursor->columns)) {
      int64_t room = UDF_CURSOR_ROWS - builder->length;
      if (columns_append(&cursor->columns, builder, room) < 0) return fail(NULL, builder->length);
      continue;
    }
    PyObject *value = cursor->iterator == NULL ? NULL : PyIter_Next(cursor->iterator);
    if (value == NULL) {
      if (PyErr_Occurred()) return fail(NULL, builder->length);
      Py_CLEAR(cursor->iterator);
      break;
    }
    int failed = is_columns(value) ? columns_open(&cursor->columns, value) : builder_append(builder, value);
    Py_DECREF(value);
    if (failed) return fail(NULL, builder->length);
  }
  if (builder_finish(builder, &result) < 0) return fail(NULL, NO_ROW);
  result.failed_rows = 0;
  return UDF_OK;
}

/* Ends a cursor, at whatever step it is; a generator's `finally` runs now. */
UDF_EXPORT(udf_close) int32_t udf_close(int32_t number) {
  if (number < 0 || number >= MAX_CURSORS || cursors[number].function == NULL) return refuse("no such cursor");
  struct cursor closed = cursors[number];
  cursors[number] = (struct cursor){.function = NULL};
  columns_close(&closed.columns);
  Py_XDECREF(closed.iterator);
  return UDF_OK;
}
