#include "failures.h"

#include <string.h>

static PyObject *guest_explain; /* _udf_guest.explain */

static struct udf_text failure;
static PyObject *failure_bytes;

int failures_prepare(PyObject *guest) {
  guest_explain = PyObject_GetAttrString(guest, "explain");
  return guest_explain == NULL ? -1 : 0;
}

UDF_EXPORT(udf_error) struct udf_text *udf_error(void) { return &failure; }

void keep_text(struct udf_text *text, PyObject **owner, PyObject *bytes) {
  Py_XSETREF(*owner, bytes);
  *text = (struct udf_text){PyBytes_AS_STRING(bytes), (uint32_t)PyBytes_GET_SIZE(bytes)};
}

/* Return whether memory ran out. CPython's parser raises MemoryError too, for code that nests too deep. */
static bool is_out_of_memory(PyObject *exception) {
  if (!PyErr_GivenExceptionMatches(exception, PyExc_MemoryError)) return false;
  PyObject *arguments = ((PyBaseExceptionObject *)exception)->args;
  PyObject *message = PyTuple_GET_SIZE(arguments) == 1 ? PyTuple_GET_ITEM(arguments, 0) : NULL;
  const char *text = message != NULL && PyUnicode_Check(message) ? PyUnicode_AsUTF8(message) : NULL;
  if (text == NULL) PyErr_Clear();
  return text == NULL || strncmp(text, "Parser stack overflowed", 23) != 0;
}

/* Return the arguments to show with an error, as a tuple: empty if there are none, or if reading them fails. */
static PyObject *arguments_of(const struct rows *rows, int64_t row) {
  PyObject *arguments = rows == NULL || row < 0 ? NULL : rows_arguments(rows, row);
  if (arguments != NULL) return arguments;
  PyErr_Clear();
  return PyTuple_New(0);
}

enum udf_status fail(const struct rows *rows, int64_t row) {
  PyObject *exception = PyErr_GetRaisedException();
  if (is_out_of_memory(exception)) {
    Py_DECREF(exception);
    return UDF_NO_MEMORY;
  }
  PyObject *arguments = arguments_of(rows, row);
  PyObject *text =
      arguments == NULL ? NULL : PyObject_CallFunction(guest_explain, "OLO", exception, (long long)row, arguments);
  Py_XDECREF(arguments);
  Py_DECREF(exception);
  if (text == NULL || !PyBytes_Check(text)) {
    bool out_of_memory = text == NULL && PyErr_ExceptionMatches(PyExc_MemoryError);
    PyErr_Clear();
    Py_XDECREF(text);
    if (out_of_memory) return UDF_NO_MEMORY;
    text = PyBytes_FromString("{\"type\":\"Exception\",\"message\":\"the error could not be described\"}");
    if (text == NULL) return UDF_NO_MEMORY;
  }
  keep_text(&failure, &failure_bytes, text);
  return UDF_FAILED;
}

enum udf_status refuse(const char *message) {
  PyErr_SetString(PyExc_RuntimeError, message);
  return fail(NULL, NO_ROW);
}
