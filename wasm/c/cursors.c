/* The exports for functions that yield rows: one call of the function, whose rows are read step by step. */
#include "abi.h"
#include "calls/yielded_columns.h"
#include "codec/encode.h"
#include "codec/infer.h"
#include "exports.h"
#include "failures.h"

/* Number of rows of a Columns object after which the size of what was read is looked at again. */
#define COLUMN_ROWS 256

/* The one call that an instance reads from. The host gives every scan an instance of its own. */
static struct {
  bool is_open;
  PyObject *iterator;     /* NULL: there are no rows (any more) */
  struct columns columns; /* the last Columns object that was yielded, which may have rows left */
} cursor;

/* Call the function with the only row of `batch`. A NULL that the function doesn't want to see yields no rows. */
UDF_EXPORT(udf_open) int32_t udf_open(struct ArrowArray *batch) {
  if (cursor.is_open) return refuse("a cursor is open already");
  if (batch->length != 1) return refuse("a cursor is opened with one row of arguments");
  enum udf_status status = take_batch(batch);
  if (status != UDF_OK) return status;

  PyObject *iterator = NULL;
  if (!rows_skip(function.rows, 0)) {
    PyObject *arguments = rows_arguments(function.rows, 0);
    PyObject *value = arguments == NULL ? NULL : PyObject_CallObject(function.callable, arguments);
    iterator = value == NULL ? NULL : iterate_rows(value);
    Py_XDECREF(arguments);
    Py_XDECREF(value);
    if (iterator == NULL) return fail(function.rows, 0);
  }
  cursor.is_open = true;
  cursor.iterator = iterator;
  return UDF_OK;
}

/* Return whether a value that was yielded is the only column of its row, and not a row with that column. */
static bool is_alone(const struct builder *builder, PyObject *value) {
  if (!builder->declared || builder->type.kind != SQL_STRUCT || builder->n_children != 1 || value == Py_None)
    return false;
  if (PyDict_Check(value)) {
    enum sql_kind kind = builder->children[0]->type.kind;
    return (kind == SQL_STRUCT || kind == SQL_MAP || kind == SQL_JSON) && PyDict_GET_SIZE(value) > 0 &&
           PyDict_GetItem(value, builder->children[0]->type.name) == NULL;
  }
  return !PyTuple_Check(value) && kind_of_value(value) != SQL_STRUCT;
}

static int append_row(struct builder *builder, PyObject *value) {
  if (!is_alone(builder, value)) return builder_append(builder, value);
  PyObject *row = PyTuple_Pack(1, value);
  int status = row == NULL ? -1 : builder_append(builder, row);
  Py_XDECREF(row);
  return status;
}

/* Read up to UDF_CURSOR_ROWS values, or UDF_CURSOR_BYTES and one more, into udf_result(). None means that there are no
 * more. */
UDF_EXPORT(udf_next) int32_t udf_next(void) {
  if (!cursor.is_open) return refuse("no cursor is open");
  struct builder *builder = &function.builder;
  if (builder_start(builder, UDF_CURSOR_ROWS) < 0) return fail(NULL, NO_ROW);
  while (builder->length < UDF_CURSOR_ROWS && builder_size(builder) < UDF_CURSOR_BYTES) {
    if (columns_left(&cursor.columns)) {
      int64_t room = UDF_CURSOR_ROWS - builder->length;
      if (room > COLUMN_ROWS) room = COLUMN_ROWS;
      if (columns_append(&cursor.columns, builder, room) < 0) return fail(NULL, builder->length);
      continue;
    }
    PyObject *value = cursor.iterator == NULL ? NULL : PyIter_Next(cursor.iterator);
    if (value == NULL) {
      if (PyErr_Occurred()) return fail(NULL, builder->length);
      Py_CLEAR(cursor.iterator);
      break;
    }
    int status = is_columns(value) ? columns_open(&cursor.columns, value) : append_row(builder, value);
    Py_DECREF(value);
    if (status < 0) return fail(NULL, builder->length);
  }
  if (builder_finish(builder, &call_result) < 0) return fail(NULL, NO_ROW);
  call_result.failed_rows = 0;
  return UDF_OK;
}

/* Close the cursor, at whatever step it is. A generator's `finally` runs now. */
UDF_EXPORT(udf_close) int32_t udf_close(void) {
  if (!cursor.is_open) return refuse("no cursor is open");
  cursor.is_open = false;
  columns_close(&cursor.columns);
  Py_CLEAR(cursor.iterator);
  return UDF_OK;
}
