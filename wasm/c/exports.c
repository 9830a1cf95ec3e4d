/* The exports that define a function, bind its types and call it.
 *
 * One batch, from top to bottom: the host writes it into the arena (udf_arena) and calls udf_call. The interpreter
 * calls the user's function for each row (_udf_guest.driver). What was returned is appended to a column, which the host
 * reads where udf_result points to.
 */
#include "exports.h"

#include <stdlib.h>

#include "abi.h"
#include "codec/encode.h"
#include "codec/infer.h"
#include "compiled/guards.h"
#include "failures.h"
#include "host/awaiting.h"

/* Number of rows that are called before their results are appended, where results may wait. Changing over costs less
 * for many rows; the objects of few rows are still in the processor's cache, and few large ones are alive at once. */
#define ROWS_AT_ONCE 128

struct function function;
struct udf_result call_result;

static struct udf_progress progress;

static struct udf_text description;
static PyObject *description_bytes;

static PyObject *guest_define; /* _udf_guest.define */
static PyObject *guest_driver; /* _udf_guest.driver */

int exports_prepare(PyObject *guest) {
  guest_define = PyObject_GetAttrString(guest, "define");
  guest_driver = PyObject_GetAttrString(guest, "driver");
  return guest_define == NULL || guest_driver == NULL ? -1 : 0;
}

UDF_EXPORT(udf_abi_version) int32_t udf_abi_version(void) { return UDF_ABI_VERSION; }

UDF_EXPORT(udf_description) struct udf_text *udf_description(void) { return &description; }

/* The runtime's state, of which only the address is needed: its header is CPython's own. */
extern struct pyruntimestate _PyRuntime;

UDF_EXPORT(udf_progress) struct udf_progress *udf_progress(void) {
  progress.runtime = &_PyRuntime;
  return &progress;
}

UDF_EXPORT(udf_result) struct udf_result *udf_result(void) { return &call_result; }

/* Return where the host writes what the next export reads: at least `bytes`, 64-byte aligned. It stays there until the
 * host asks for more. NULL when memory is exhausted. */
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

/* ---- definition -------------------------------------------------------------------------------------------------- */

/* Compile a definition (JSON, see _udf_guest.define). udf_description() describes the function. */
UDF_EXPORT(udf_define) int32_t udf_define(const char *json, uint32_t length) {
  if (function.callable != NULL) return refuse("the instance has a function already");
  PyObject *defined = PyObject_CallFunction(guest_define, "s#", json, (Py_ssize_t)length);
  PyObject *callable, *text;
  if (defined == NULL || !PyArg_ParseTuple(defined, "OpppO!", &callable, &function.return_null, &function.by_batch,
                                           &function.is_async, &PyBytes_Type, &text)) {
    Py_XDECREF(defined);
    return fail(NULL, NO_ROW);
  }
  function.callable = Py_NewRef(callable);
  keep_text(&description, &description_bytes, Py_NewRef(text));
  Py_DECREF(defined);
  return UDF_OK;
}

/* Return whether values of a type can't change after they were returned, so that they can wait in a list before they
 * are appended. A list takes them faster than any function of ours could. */
static bool may_wait(const struct value_type *declared) {
  switch (declared->kind) {
    case SQL_BLOB: /* a bytearray */
    case SQL_JSON:
      return false;
    default:
      return declared->kind < SQL_ENUM;
  }
}

/* Make the columns that arguments are read from. */
static enum udf_status bind_arguments(struct ArrowSchema *arguments) {
  struct ArrowError error;
  error.message[0] = 0;
  if (ArrowArrayViewInitFromSchema(&function.batch, arguments, &error) != NANOARROW_OK) return refuse(error.message);
  function.n_args = arguments->n_children;
  if (value_type_read(&function.arguments, arguments) < 0) return fail(NULL, NO_ROW);
  function.sees_null = malloc(((size_t)function.n_args + 1) * sizeof *function.sees_null);
  function.columns = calloc((size_t)function.n_args + 1, sizeof *function.columns);
  if (function.sees_null == NULL || function.columns == NULL) return UDF_NO_MEMORY;
  for (int64_t i = 0; i < function.n_args; i++) {
    function.sees_null[i] = (arguments->children[i]->flags & ARROW_FLAG_NULLABLE) != 0;
    if (column_init(&function.columns[i], &function.arguments.children[i]) < 0) return fail(NULL, NO_ROW);
  }
  return UDF_OK;
}

/* Fix the types. `arguments` is the schema of the batches to come: a struct, in which a nullable child is an argument
 * that receives NULL as None. `returned` is the schema of the result, or NULL to infer it batch by batch. */
UDF_EXPORT(udf_bind) int32_t udf_bind(struct ArrowSchema *arguments, struct ArrowSchema *returned) {
  if (function.callable == NULL) return refuse("no function is defined");
  if (function.is_bound) return refuse("the function is bound already");

  struct value_type declared;
  if (returned != NULL && result_type_read(&declared, returned) < 0) return fail(NULL, NO_ROW);
  enum udf_status status = bind_arguments(arguments);
  if (status != UDF_OK) return status;
  if (builder_init(&function.builder, returned != NULL ? &declared : NULL) < 0) return fail(NULL, NO_ROW);
  bool waits = function.is_async || (returned != NULL && may_wait(&declared) && !function.by_batch);
  function.rows = rows_new(function.n_args, function.columns, function.sees_null, waits ? NULL : &function.builder);
  function.driver = PyObject_CallFunction(guest_driver, "ni", (Py_ssize_t)function.n_args, function.by_batch);
  function.returned = waits ? PyList_New(0) : NULL;
  if (function.rows == NULL || function.driver == NULL || (waits && function.returned == NULL))
    return fail(NULL, NO_ROW);
  if (function.is_async) function.coroutines = awaiting_coroutines(function.returned);
  if (function.is_async && function.coroutines == NULL) return fail(NULL, NO_ROW);
  function.is_bound = true;
  return UDF_OK;
}

/* ---- one batch --------------------------------------------------------------------------------------------------- */

enum udf_status take_batch(struct ArrowArray *batch) {
  struct ArrowError error;
  error.message[0] = 0;
  if (!function.is_bound) return refuse("no function is bound");
  function.rows->batch++;
  if (ArrowArrayViewSetArray(&function.batch, batch, &error) != NANOARROW_OK) return refuse(error.message);
  for (int64_t i = 0; i < function.n_args; i++) {
    if (column_open(&function.columns[i], function.batch.children[i]) < 0) return fail(NULL, NO_ROW);
  }
  return UDF_OK;
}

/* Return whether the pending exception of a row becomes NULL. If so, clear it. */
static bool becomes_null(void) {
  if (!function.return_null || PyErr_ExceptionMatches(PyExc_MemoryError)) return false;
  PyErr_Clear();
  return true;
}

/* Make every row of the batch NULL. */
static enum udf_status fail_batch(int64_t *failed_rows) {
  if (builder_start(&function.builder, function.rows->stop) < 0) return fail(NULL, NO_ROW);
  for (*failed_rows = 0; *failed_rows < function.rows->stop; ++*failed_rows) {
    if (builder_append_null(&function.builder) < 0) return fail(NULL, NO_ROW);
  }
  return UDF_OK;
}

/* Call the function for the rows up to `stop`, from where the last call ended. */
static enum udf_status call_rows(int64_t stop, int64_t *failed_rows) {
  struct rows *rows = function.rows;
  PyObject *returned = function.returned;
  PyObject *taker = function.is_async ? function.coroutines : returned != NULL ? returned : (PyObject *)rows;
  PyObject *arguments[] = {function.callable, (PyObject *)rows, taker};
  rows->stop = stop;
  for (;;) {
    PyObject *done = PyObject_Vectorcall(function.driver, arguments, 3, NULL);
    if (done != NULL) {
      Py_DECREF(done);
      return UDF_OK;
    }
    if (!becomes_null()) return fail(rows, rows->next - 1);
    if (function.by_batch) return fail_batch(failed_rows);
    if ((returned != NULL ? PyList_Append(returned, Py_None) : builder_append_null(&function.builder)) < 0) {
      return fail(NULL, NO_ROW);
    }
    ++*failed_rows;
  }
}

/* Run the coroutines of all rows to their end. */
static enum udf_status await_rows(int64_t *failed_rows) {
  Py_ssize_t place = 0;
  switch (awaiting_finish(function.coroutines, function.return_null, failed_rows, &place)) {
    case AWAIT_DONE:
      return UDF_OK;
    case AWAIT_ERROR:
      return fail(NULL, NO_ROW);
    case AWAIT_RAISED:
      break;
  }
  int64_t row = 0;
  for (; row < function.rows->stop; row++) { /* rows with a NULL that it does not want to see have no place */
    if (!rows_skip(function.rows, row) && place-- == 0) break;
  }
  return fail(function.rows, row);
}

/* Append the results that have waited, of the rows from `row` to `stop`. */
static enum udf_status append_rows(int64_t row, int64_t stop, int64_t *failed_rows) {
  PyObject *returned = function.returned;
  for (Py_ssize_t i = 0; row < stop; row++) {
    if (rows_skip(function.rows, row)) {
      if (builder_append_null(&function.builder) < 0) return fail(NULL, NO_ROW);
      continue;
    }
    /* User code can find the list and empty it. */
    if (i >= PyList_GET_SIZE(returned)) return refuse("the results are gone");
    if (builder_append(&function.builder, PyList_GET_ITEM(returned, i++)) == 0) continue;
    if (!becomes_null()) return fail(function.rows, row);
    if (builder_append_null(&function.builder) < 0) return fail(NULL, NO_ROW);
    ++*failed_rows;
  }
  return UDF_OK;
}

/* Empty a list, but not the room it has. */
static void forget_items(PyObject *list) {
  Py_ssize_t n = PyList_GET_SIZE(list);
  Py_SET_SIZE(list, 0);
  while (n-- > 0) Py_DECREF(((PyListObject *)list)->ob_item[n]);
}

/* Let the interpreter run the rows from `row` to `stop`. */
static enum udf_status interpret(int64_t row, int64_t stop, int64_t *failed_rows) {
  function.rows->next = row;
  progress.next_row = &function.rows->next;
  if (function.returned == NULL) return call_rows(stop, failed_rows);
  enum udf_status status = UDF_OK;
  int64_t at_once = function.is_async ? stop : ROWS_AT_ONCE;
  for (; row < stop && status == UDF_OK; row += at_once) {
    int64_t pause = row + at_once < stop ? row + at_once : stop;
    status = call_rows(pause, failed_rows);
    if (status == UDF_OK && function.is_async) status = await_rows(failed_rows);
    if (status == UDF_OK) status = append_rows(row, pause, failed_rows);
    if (function.is_async) awaiting_clear(function.coroutines);
    forget_items(function.returned);
  }
  return status;
}

/* Return whether the interpreter had better run the other rows too, because many were left to it. A row that it runs
 * alone costs half as much again. */
static bool bails_often(int64_t bailed, int64_t row) { return bailed >= 64 && bailed * 3 > row; }

/* Let compiled code run the rows, and the interpreter those that it leaves out. */
static enum udf_status run_compiled(int64_t length, int64_t *failed_rows) {
  struct compiled *compiled = function.compiled;
  struct builder *builder = &function.builder;
  if (!guards_hold(compiled->guards)) return interpret(0, length, failed_rows);
  if (compiled_start(compiled, length, function.n_args, function.columns, builder) < 0) return fail(NULL, NO_ROW);
  enum sql_kind kind = builder->type.kind;
  int64_t row = 0;
  while (row < length) {
    progress.next_row = &compiled->context->next;
    int64_t reached = compiled_run(compiled, row, length, builder);
    if (reached < 0) return fail(NULL, NO_ROW);
    call_result.compiled_rows += reached - row;
    row = reached;
    if (row == length) break;
    bool is_guess = !builder->declared && compiled->result != SQL_NULL && builder->null_count == builder->length;
    if (is_guess) builder_forget_type(builder); /* the value that the row returns decides */
    bool goes_on = !bails_often(++call_result.bailed_rows, row);
    int64_t stop = goes_on ? row + 1 : length;
    enum udf_status status = interpret(row, stop, failed_rows);
    if (status != UDF_OK) return status;
    row = stop;
    if (is_guess && builder->type.kind == SQL_NULL && infer_kind(builder, kind) < 0) return fail(NULL, NO_ROW);
    /* The row's code may have changed what the compiled code was made of, and its result the type of the column. */
    bool other = compiled->result != SQL_NULL && builder->type.kind != kind;
    if (row < length && (other || !guards_hold(compiled->guards))) {
      return interpret(row, length, failed_rows);
    }
  }
  bool inferred = !builder->declared && compiled->result != SQL_NULL;
  if (inferred && builder->null_count == length) builder->type.kind = SQL_NULL; /* as nothing was inferred */
  return UDF_OK;
}

/* Call the function for each row. The results are in udf_result(). */
UDF_EXPORT(udf_call) int32_t udf_call(struct ArrowArray *batch) {
  enum udf_status status = take_batch(batch);
  if (status != UDF_OK) return status;
  if (builder_start(&function.builder, batch->length) < 0) return fail(NULL, NO_ROW);
  int64_t failed_rows = 0;
  call_result.compiled_rows = call_result.bailed_rows = 0;
  status =
      function.compiled != NULL ? run_compiled(batch->length, &failed_rows) : interpret(0, batch->length, &failed_rows);
  if (status != UDF_OK) return status;
  if (function.builder.length != batch->length) return refuse("the results are not one for each row");
  if (builder_finish(&function.builder, &call_result) < 0) return fail(NULL, NO_ROW);
  call_result.failed_rows = failed_rows;
  return UDF_OK;
}
