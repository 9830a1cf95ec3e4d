#include "host/call_round.h"

#include <datetime.h>

int call_round_prepare(void) {
  PyDateTime_IMPORT;
  return PyDateTimeAPI == NULL ? -1 : 0;
}

int call_round_add(struct call_round *round, PyObject *call) {
  if (round->n == round->capacity) {
    Py_ssize_t capacity = round->capacity * 2 + 16;
    struct pending_call **calls = realloc(round->calls, (size_t)capacity * sizeof *calls);
    if (calls == NULL) {
      Py_DECREF(call);
      return out_of_memory();
    }
    round->calls = calls;
    round->capacity = capacity;
  }
  round->calls[round->n++] = (struct pending_call *)call;
  ((struct pending_call *)call)->row = NOT_PLACED;
  return 0;
}

void call_round_clear(struct call_round *round) {
  while (round->n > 0) Py_DECREF(round->calls[--round->n]);
}

void call_round_free(struct call_round *round) {
  call_round_clear(round);
  free(round->calls);
}

/* ---- equal arguments --------------------------------------------------------------------------------------------- */

/* Return a key that two arguments share only if the host can't distinguish them, None if there is no such key. */
static PyObject *key_of_value(PyObject *value) {
  PyTypeObject *type = Py_TYPE(value);
  if (type == &PyUnicode_Type || type == &PyLong_Type || type == &PyBytes_Type) return Py_NewRef(value);
  bool is_nonzero = type == &PyFloat_Type && PyFloat_AS_DOUBLE(value) != 0; /* 0.0 == -0.0 */
  bool is_naive = type == PyDateTimeAPI->DateTimeType && !((PyDateTime_DateTime *)value)->hastzinfo;
  if (is_nonzero || is_naive || type == &PyBool_Type || value == Py_None || type == PyDateTimeAPI->DateType ||
      type == (PyTypeObject *)decimal_class || type == (PyTypeObject *)uuid_class) {
    return PyTuple_Pack(2, type, value);
  }
  return Py_NewRef(Py_None);
}

/* Return a key of all arguments of a call, None if one of them has none. */
static PyObject *key_of(const struct pending_call *pending) {
  if (host_n_parameters(pending->function) == 1) return key_of_value(pending->arguments);
  Py_ssize_t n = PyTuple_GET_SIZE(pending->arguments);
  PyObject *keys = PyTuple_New(n);
  for (Py_ssize_t i = 0; keys != NULL && i < n; i++) {
    PyObject *key = key_of_value(PyTuple_GET_ITEM(pending->arguments, i));
    if (key != NULL) PyTuple_SET_ITEM(keys, i, key);
    if (key == NULL || key == Py_None) {
      Py_DECREF(keys);
      return Py_XNewRef(key);
    }
  }
  return keys;
}

/* ---- one call of the host ---------------------------------------------------------------------------------------- */

/* Return the row for a call: that of an earlier call with equal arguments, else `next`. -1 with an exception. */
static int64_t place(struct pending_call *pending, PyObject *known, int64_t next) {
  PyObject *key = key_of(pending), *there = NULL;
  if (key == NULL) return -1;
  int found = key == Py_None ? 0 : PyDict_SetDefaultRef(known, key, (PyObject *)pending, &there);
  Py_DECREF(key);
  int64_t row = found > 0 ? ((struct pending_call *)there)->row : next;
  Py_XDECREF(there);
  if (found >= 0) return row;
  if (PyErr_ExceptionMatches(PyExc_MemoryError)) return -1;
  PyErr_Clear(); /* Decimal("sNaN") has no hash */
  return next;
}

/* Add a row with the arguments of a call. */
static int append(struct pending_call *pending) {
  bool alone = host_n_parameters(pending->function) == 1;
  return host_append(pending->function, alone ? &pending->arguments : ((PyTupleObject *)pending->arguments)->ob_item);
}

/* Add a row for each distinct call of one function, from `first` on. Returns the number of rows, or -1 with an
 * exception. */
static int64_t put_together(struct host_function *function, struct call_round *round, Py_ssize_t first) {
  PyObject *known = PyDict_New();
  int64_t rows = 0;
  for (Py_ssize_t i = first; known != NULL && i < round->n; i++) {
    struct pending_call *pending = round->calls[i];
    if (pending->function != function || pending->outcome != NULL || pending->row != NOT_PLACED) continue;
    int64_t row = place(pending, known, rows);
    if (row >= 0 && (row < rows || append(pending) == 0)) {
      pending->row = row;
      rows += row == rows;
      continue;
    }
    /* An argument that doesn't fit is the mistake of its coroutine alone. A later call with equal arguments fails by
     * itself. */
    if (row == rows) PyDict_Clear(known);
    if (pending_call_serve_exception(pending) < 0) Py_CLEAR(known);
  }
  if (known == NULL) return -1;
  Py_DECREF(known);
  return rows;
}

/* Return whether one result object may serve several calls, because it can't be changed. */
static bool is_shared(const struct host_function *function) {
  enum sql_kind kind = function->result.kind;
  return kind < SQL_ENUM && kind != SQL_JSON;
}

/* Set the outcome of all calls of one function. `status` is that of `host_send`. */
static int hand_out(struct host_function *function, struct call_round *round, Py_ssize_t first, int64_t rows,
                    int32_t status) {
  PyObject **results = calloc((size_t)rows + 1, sizeof *results);
  if (results == NULL) return out_of_memory();
  bool shared = is_shared(function);
  int outcome = 0;
  for (Py_ssize_t i = first; i < round->n && outcome == 0; i++) {
    struct pending_call *pending = round->calls[i];
    int64_t row = pending->row;
    if (pending->function != function || pending->outcome != NULL || row == NOT_PLACED) continue;
    PyObject *value = NULL;
    if (status != HOST_ANSWERED) {
      host_raise(function, status);
    } else if (shared && results[row] != NULL) {
      value = Py_NewRef(results[row]);
    } else {
      value = host_result(function, row);
      if (shared) results[row] = Py_XNewRef(value);
    }
    if (value != NULL) {
      pending_call_serve(pending, value, false);
    } else {
      outcome = pending_call_serve_exception(pending);
    }
  }
  for (int64_t row = 0; row < rows; row++) Py_XDECREF(results[row]);
  free(results);
  return outcome;
}

/* Call the function of the call at `first` once, for it and all later calls of the same function. */
static int serve_from(struct call_round *round, Py_ssize_t first) {
  struct host_function *function = round->calls[first]->function;
  if (host_begin(function, round->n - first) < 0) return -1;
  int64_t rows = put_together(function, round, first);
  int32_t status = rows > 0 ? host_send(function) : HOST_ANSWERED;
  bool failed = rows < 0 || status == HOST_EXCEPTION;
  if (!failed && rows > 0) failed = hand_out(function, round, first, rows, status) < 0;
  host_end(function);
  return failed ? -1 : 0;
}

int call_round_serve(struct call_round *round) {
  for (Py_ssize_t i = 0; i < round->n; i++) {
    if (round->calls[i]->outcome == NULL && serve_from(round, i) < 0) return -1;
  }
  return 0;
}
