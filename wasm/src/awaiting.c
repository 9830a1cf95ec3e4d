#include "awaiting.h"

#include <datetime.h>
#include <string.h>

int awaiting;

/* A call that waits for its round. */
struct pending {
  PyObject_HEAD
  struct host_function *function;
  PyObject *arguments; /* a tuple of several or none, the value alone of one */
  PyObject *outcome;   /* the result, or the exception; NULL: not served yet */
  int failed;          /* it is the exception */
};

/* Raised with the result of a served call, which is how an awaited object returns one; used again when nobody has it. */
static PyObject *stop_iteration;

static PyTypeObject pending_type;

#define IS_PENDING(object) Py_IS_TYPE(object, &pending_type)

PyObject *awaiting_new(struct host_function *function, PyObject *const *values) {
  struct pending *pending = PyObject_New(struct pending, &pending_type);
  if (pending == NULL) return NULL;
  int64_t n = host_n_parameters(function);
  pending->function = (struct host_function *)Py_NewRef(function);
  pending->outcome = NULL;
  pending->failed = 0;
  pending->arguments = n == 1 ? Py_NewRef(values[0]) : PyTuple_New(n);
  for (int64_t i = 0; n != 1 && pending->arguments != NULL && i < n; i++) {
    PyTuple_SET_ITEM(pending->arguments, i, Py_NewRef(values[i]));
  }
  if (pending->arguments == NULL) Py_CLEAR(pending);
  return (PyObject *)pending;
}

static void pending_dealloc(PyObject *self) {
  struct pending *pending = (struct pending *)self;
  Py_XDECREF(pending->function);
  Py_XDECREF(pending->arguments);
  Py_XDECREF(pending->outcome);
  PyObject_Free(self);
}

static PyObject *return_value(PyObject *value) {
  if (Py_REFCNT(stop_iteration) != 1) {
    PyObject *fresh = PyObject_CallNoArgs(PyExc_StopIteration);
    if (fresh == NULL) return NULL;
    Py_SETREF(stop_iteration, fresh);
  }
  PyStopIterationObject *stop = (PyStopIterationObject *)stop_iteration;
  Py_XSETREF(stop->value, Py_NewRef(value));
  PyErr_SetRaisedException(Py_NewRef(stop_iteration));
  return NULL;
}

static PyObject *pending_next(PyObject *self) {
  struct pending *pending = (struct pending *)self;
  if (pending->outcome == NULL) {
    if (awaiting) return Py_NewRef(self);
    PyErr_SetString(PyExc_RuntimeError, "a call of a host function is awaited after its coroutine has ended");
    return NULL;
  }
  if (!pending->failed) return return_value(pending->outcome);
  PyErr_SetRaisedException(Py_NewRef(pending->outcome));
  return NULL;
}

static PyObject *pending_repr(PyObject *self) {
  return PyUnicode_FromFormat("<call of %R, to be awaited>", ((struct pending *)self)->function);
}

static PyAsyncMethods pending_as_async = {.am_await = PyObject_SelfIter};

static PyTypeObject pending_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_udf.Pending",
    .tp_doc = "A call of a host function, to be awaited.",
    .tp_basicsize = sizeof(struct pending),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = pending_dealloc,
    .tp_repr = pending_repr,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = pending_next,
    .tp_as_async = &pending_as_async,
};

/* ---- equal arguments ------------------------------------------------------------------------------------------------ */

/* A key that two arguments share only if the host can't tell them apart; None when there is none. */
static PyObject *key_of_value(PyObject *value) {
  PyTypeObject *type = Py_TYPE(value);
  if (type == &PyUnicode_Type || type == &PyLong_Type || type == &PyBytes_Type) return Py_NewRef(value);
  int is_nonzero = type == &PyFloat_Type && PyFloat_AS_DOUBLE(value) != 0; /* 0.0 == -0.0 */
  int is_naive = type == PyDateTimeAPI->DateTimeType && !((PyDateTime_DateTime *)value)->hastzinfo;
  if (is_nonzero || is_naive || type == &PyBool_Type || value == Py_None || type == PyDateTimeAPI->DateType ||
      type == (PyTypeObject *)decimal_class || type == (PyTypeObject *)uuid_class) {
    return PyTuple_Pack(2, type, value);
  }
  return Py_NewRef(Py_None);
}

static PyObject *key_of(const struct pending *pending) {
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

/* ---- one round ------------------------------------------------------------------------------------------------------ */

/* What the coroutines ask for. */
struct round {
  struct pending **asked;
  Py_ssize_t n;
  Py_ssize_t capacity;
  int64_t *places; /* of each that is served now: its row in the call; -1: none */
};

/* Takes the reference over. */
static int add(struct round *round, PyObject *pending) {
  if (round->n == round->capacity) {
    Py_ssize_t capacity = round->capacity * 2 + 16;
    struct pending **asked = realloc(round->asked, (size_t)capacity * sizeof *asked);
    if (asked != NULL) round->asked = asked;
    int64_t *places = asked == NULL ? NULL : realloc(round->places, (size_t)capacity * sizeof *places);
    if (places == NULL) {
      Py_DECREF(pending);
      return out_of_memory();
    }
    round->places = places;
    round->capacity = capacity;
  }
  round->asked[round->n++] = (struct pending *)pending;
  return 0;
}

static void forget(struct round *round) {
  while (round->n > 0) Py_DECREF(round->asked[--round->n]);
}

static void serve_with(struct pending *pending, PyObject *outcome, int failed) {
  Py_XSETREF(pending->outcome, outcome);
  pending->failed = failed;
}

/* The pending exception becomes the outcome of a call; not memory running out: 0, or -1 with the exception. */
static int serve_with_error(struct pending *pending) {
  if (PyErr_ExceptionMatches(PyExc_MemoryError)) return -1;
  serve_with(pending, PyErr_GetRaisedException(), 1);
  return 0;
}

/* The row that a call gets among those that are put together: one that is there already, for equal arguments. */
static int64_t place(struct pending *pending, PyObject *known, int64_t next) {
  PyObject *key = key_of(pending), *row = NULL, *fresh = NULL;
  int64_t found = -1;
  if (key == Py_None) {
    found = next;
  } else if (key != NULL && (fresh = PyLong_FromLongLong(next)) != NULL) {
    int there = PyDict_SetDefaultRef(known, key, fresh, &row);
    found = there > 0 ? PyLong_AsLongLong(row) : next;
    if (there < 0 && !PyErr_ExceptionMatches(PyExc_MemoryError)) PyErr_Clear(); /* Decimal("sNaN") has no hash */
    if (PyErr_Occurred()) found = -1;
  }
  Py_XDECREF(key);
  Py_XDECREF(fresh);
  Py_XDECREF(row);
  return found;
}

static int append(struct pending *pending) {
  int alone = host_n_parameters(pending->function) == 1;
  return host_append(pending->function, alone ? &pending->arguments : ((PyTupleObject *)pending->arguments)->ob_item);
}

/* Puts together what is asked of one function. The number of rows, or -1 with an exception. */
static int64_t put_together(struct host_function *function, struct round *round, Py_ssize_t first) {
  PyObject *known = PyDict_New();
  int64_t rows = 0;
  for (Py_ssize_t i = first; known != NULL && i < round->n; i++) {
    struct pending *pending = round->asked[i];
    round->places[i] = -1;
    if (pending->function != function || pending->outcome != NULL) continue;
    int64_t row = place(pending, known, rows);
    int failed = row < 0 || (row == rows && append(pending) < 0);
    if (!failed) {
      round->places[i] = row;
      rows += row == rows;
      continue;
    }
    /* An argument that doesn't fit is its coroutine's mistake; a later one that equals it tries for itself. */
    if (row == rows) PyDict_Clear(known);
    if (serve_with_error(pending) < 0) Py_CLEAR(known);
  }
  if (known == NULL) return -1;
  Py_DECREF(known);
  return rows;
}

/* Whether a result may be one object for all who asked: it can't be changed. */
static int is_shared(const struct host_function *function) {
  enum sql_kind kind = function->result.kind;
  return kind < SQL_ENUM && kind != SQL_JSON;
}

static int hand_out(struct host_function *function, struct round *round, Py_ssize_t first, int64_t rows,
                    int32_t status) {
  PyObject **results = calloc((size_t)rows + 1, sizeof *results);
  if (results == NULL) return out_of_memory();
  int shared = is_shared(function), failed = 0;
  for (Py_ssize_t i = first; i < round->n && !failed; i++) {
    int64_t row = round->places[i];
    if (row < 0) continue;
    PyObject *value = NULL;
    if (status < 0) {
      host_raise(function, status);
    } else if (shared && results[row] != NULL) {
      value = Py_NewRef(results[row]);
    } else {
      value = host_result(function, row);
      if (shared) results[row] = Py_XNewRef(value);
    }
    if (value != NULL) serve_with(round->asked[i], value, 0);
    if (value == NULL) failed = serve_with_error(round->asked[i]) < 0;
  }
  for (int64_t row = 0; row < rows; row++) Py_XDECREF(results[row]);
  free(results);
  return failed ? -1 : 0;
}

/* One call of a function, for all who ask for it from `first` on. */
static int serve(struct round *round, Py_ssize_t first) {
  struct host_function *function = round->asked[first]->function;
  if (host_begin(function, round->n - first) < 0) return -1;
  int64_t rows = put_together(function, round, first);
  int32_t status = rows > 0 ? host_send(function) : 0;
  int failed = rows < 0 || status == -1 || (rows > 0 && hand_out(function, round, first, rows, status) < 0);
  host_end(function);
  return failed ? -1 : 0;
}

/* ---- coroutines ----------------------------------------------------------------------------------------------------- */

struct task {
  PyObject *coroutine;
  Py_ssize_t place;
};

/* Takes what a coroutine awaits into the round: a call, or a list of them (host.gather). 0, or -1 with an exception. */
static int ask(struct round *round, PyObject *awaited) {
  if (IS_PENDING(awaited)) return add(round, awaited);
  int known = PyList_CheckExact(awaited) && PyList_GET_SIZE(awaited) > 0, failed = 0;
  for (Py_ssize_t i = 0; known && i < PyList_GET_SIZE(awaited); i++) known = IS_PENDING(PyList_GET_ITEM(awaited, i));
  for (Py_ssize_t i = 0; known && !failed && i < PyList_GET_SIZE(awaited); i++) {
    failed = add(round, Py_NewRef(PyList_GET_ITEM(awaited, i))) < 0;
  }
  if (!known) {
    PyErr_SetString(PyExc_RuntimeError, "the function awaits something that never comes: there is no event loop in the "
                                        "sandbox, only calls of host functions and host.gather can be awaited");
  }
  Py_DECREF(awaited);
  return known && !failed ? 0 : -1;
}

/* One step of a coroutine. 1: it awaits; 0: it has ended, and its result is in the list; -1: it raised; -2: other. */
static int step(struct task *task, PyObject *coroutines, struct round *round) {
  PyObject *value;
  awaiting++;
  PySendResult sent = PyIter_Send(task->coroutine, Py_None, &value);
  awaiting--;
  if (sent == PYGEN_ERROR) return -1;
  if (sent == PYGEN_NEXT) return ask(round, value) < 0 ? -1 : 1;
  if (task->place < PyList_GET_SIZE(coroutines)) return PyList_SetItem(coroutines, task->place, value) < 0 ? -2 : 0;
  Py_DECREF(value);
  PyErr_SetString(PyExc_RuntimeError, "the results are gone"); /* code that looks for them can do it */
  return -2;
}

/* Runs every task up to what it awaits next. -1, the place of one that raised, or -2. */
static Py_ssize_t step_all(struct task *tasks, Py_ssize_t *n, PyObject *coroutines, struct round *round,
                           int return_null, int64_t *failed) {
  Py_ssize_t waiting = 0, at = -1;
  for (Py_ssize_t i = 0; i < *n; i++) {
    struct task task = tasks[i];
    int stepped = at == -1 ? step(&task, coroutines, round) : 1;
    if (stepped == -1 && return_null && !PyErr_ExceptionMatches(PyExc_MemoryError)) {
      PyErr_Clear();
      ++*failed;
      stepped = task.place < PyList_GET_SIZE(coroutines)
                    ? PyList_SetItem(coroutines, task.place, Py_NewRef(Py_None))
                    : 0;
    }
    if (stepped < 0) at = stepped == -1 ? task.place : -2;
    if (stepped > 0) tasks[waiting++] = task;
    if (stepped <= 0) {
      PyObject *raised = PyErr_GetRaisedException(); /* what the end of a coroutine runs must not see it */
      Py_DECREF(task.coroutine);
      PyErr_SetRaisedException(raised);
    }
  }
  *n = waiting;
  return at;
}

Py_ssize_t awaiting_run(PyObject *coroutines, int return_null, int64_t *failed) {
  Py_ssize_t n = 0, at = -1, length = PyList_GET_SIZE(coroutines);
  struct task *tasks = malloc(((size_t)length + 1) * sizeof *tasks);
  struct round round = {0};
  if (tasks == NULL) {
    PyErr_NoMemory();
    return -2;
  }
  for (Py_ssize_t i = 0; i < length; i++) {
    PyObject *item = PyList_GET_ITEM(coroutines, i);
    if (item != Py_None) tasks[n++] = (struct task){Py_NewRef(item), i};
  }
  while (n > 0 && at == -1) {
    at = step_all(tasks, &n, coroutines, &round, return_null, failed);
    for (Py_ssize_t i = 0; i < round.n && at == -1; i++) {
      if (round.asked[i]->outcome == NULL && serve(&round, i) < 0) at = -2;
    }
    PyObject *raised = PyErr_GetRaisedException();
    forget(&round);
    PyErr_SetRaisedException(raised);
  }
  PyObject *raised = PyErr_GetRaisedException();
  while (n > 0) Py_DECREF(tasks[--n].coroutine);
  PyErr_SetRaisedException(raised);
  free(tasks);
  free(round.asked);
  free(round.places);
  return at;
}

/* One coroutine, for functions that aren't called for rows. */
static PyObject *run(PyObject *module, PyObject *coroutine) {
  (void)module;
  PyObject *alone = PyList_New(1), *result = NULL;
  int64_t failed = 0;
  if (alone == NULL) return NULL;
  PyList_SET_ITEM(alone, 0, Py_NewRef(coroutine));
  if (awaiting_run(alone, 0, &failed) == -1) {
    if (PyList_GET_SIZE(alone) == 1) result = Py_NewRef(PyList_GET_ITEM(alone, 0));
    if (result == NULL) PyErr_SetString(PyExc_RuntimeError, "the results are gone");
  }
  Py_DECREF(alone);
  return result;
}

static PyMethodDef functions[] = {
    {"run", run, METH_O, "run(coroutine): what it returns, after the host calls that it awaits."},
    {NULL, NULL, 0, NULL},
};

int awaiting_prepare(PyObject *module) {
  PyDateTime_IMPORT;
  if (PyDateTimeAPI == NULL || PyType_Ready(&pending_type) < 0) return -1;
  stop_iteration = PyObject_CallNoArgs(PyExc_StopIteration);
  if (stop_iteration == NULL) return -1;
  return PyModule_AddFunctions(module, functions);
}
