#include "host/awaiting.h"

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
  int64_t row;         /* in the call that serves it; -1: it isn't put together yet */
};

/* What was freed last, linked by `function`: a batch makes and frees some thousands. */
#define MAX_SPARE 4096
static struct pending *spare;
static int n_spare;

/* Raised with the result of a served call, which is how an awaited object returns one; used again when nobody has it. */
static PyObject *stop_iteration;

static PyTypeObject pending_type;

#define IS_PENDING(object) Py_IS_TYPE(object, &pending_type)

PyObject *awaiting_new(struct host_function *function, PyObject *const *values) {
  struct pending *pending = spare;
  if (pending != NULL) {
    spare = (struct pending *)pending->function;
    n_spare--;
    PyObject_Init((PyObject *)pending, &pending_type);
  } else {
    pending = PyObject_New(struct pending, &pending_type);
    if (pending == NULL) return NULL;
  }
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
  if (n_spare == MAX_SPARE) {
    PyObject_Free(self);
    return;
  }
  pending->function = (struct host_function *)spare;
  spare = pending;
  n_spare++;
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
};

/* Takes the reference over. */
static int add(struct round *round, PyObject *pending) {
  if (round->n == round->capacity) {
    Py_ssize_t capacity = round->capacity * 2 + 16;
    struct pending **asked = realloc(round->asked, (size_t)capacity * sizeof *asked);
    if (asked == NULL) {
      Py_DECREF(pending);
      return out_of_memory();
    }
    round->asked = asked;
    round->capacity = capacity;
  }
  round->asked[round->n++] = (struct pending *)pending;
  ((struct pending *)pending)->row = -1;
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

/* The row that a call gets among those that are put together: one that is there already, for equal arguments; or -1 with
 * an exception. */
static int64_t place(struct pending *pending, PyObject *known, int64_t next) {
  PyObject *key = key_of(pending), *there = NULL;
  if (key == NULL) return -1;
  int found = key == Py_None ? 0 : PyDict_SetDefaultRef(known, key, (PyObject *)pending, &there);
  Py_DECREF(key);
  int64_t row = found > 0 ? ((struct pending *)there)->row : next;
  Py_XDECREF(there);
  if (found >= 0) return row;
  if (PyErr_ExceptionMatches(PyExc_MemoryError)) return -1;
  PyErr_Clear(); /* Decimal("sNaN") has no hash */
  return next;
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
    if (pending->function != function || pending->outcome != NULL || pending->row >= 0) continue;
    int64_t row = place(pending, known, rows);
    int failed = row < 0 || (row == rows && append(pending) < 0);
    if (!failed) {
      pending->row = row;
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
    struct pending *pending = round->asked[i];
    int64_t row = pending->row;
    if (pending->function != function || pending->outcome != NULL || row < 0) continue;
    PyObject *value = NULL;
    if (status < 0) {
      host_raise(function, status);
    } else if (shared && results[row] != NULL) {
      value = Py_NewRef(results[row]);
    } else {
      value = host_result(function, row);
      if (shared) results[row] = Py_XNewRef(value);
    }
    if (value != NULL) serve_with(pending, value, 0);
    if (value == NULL) failed = serve_with_error(pending) < 0;
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

/* The coroutines of a batch: `append` takes one and runs it at once, up to what it awaits. */
struct coroutines {
  PyObject_HEAD
  PyObject *results;  /* a list; None in the places of those that haven't ended */
  struct task *tasks; /* those */
  Py_ssize_t n;
  Py_ssize_t capacity;
  struct round round; /* what they await */
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

/* One step of a coroutine. 1: it awaits; 0: it has ended, with `*value`, a new reference; -1: it raised. */
static int step(PyObject *coroutine, struct round *round, PyObject **value) {
  awaiting++;
  PySendResult sent = PyIter_Send(coroutine, Py_None, value);
  awaiting--;
  if (sent == PYGEN_ERROR) return -1;
  if (sent == PYGEN_RETURN) return 0;
  return ask(round, *value) < 0 ? -1 : 1;
}

/* Takes the reference to the coroutine over. */
static int add_task(struct coroutines *all, PyObject *coroutine) {
  if (all->n == all->capacity) {
    Py_ssize_t capacity = all->capacity * 2 + 16;
    struct task *tasks = realloc(all->tasks, (size_t)capacity * sizeof *tasks);
    if (tasks == NULL) {
      Py_DECREF(coroutine);
      return out_of_memory();
    }
    all->tasks = tasks;
    all->capacity = capacity;
  }
  all->tasks[all->n++] = (struct task){coroutine, PyList_GET_SIZE(all->results)};
  return 0;
}

static PyObject *coroutines_append(PyObject *self, PyObject *coroutine) {
  struct coroutines *all = (struct coroutines *)self;
  PyObject *value;
  int stepped = step(coroutine, &all->round, &value);
  if (stepped < 0 || (stepped > 0 && add_task(all, Py_NewRef(coroutine)) < 0)) return NULL;
  if (stepped > 0) value = Py_NewRef(Py_None);
  int failed = PyList_Append(all->results, value);
  Py_DECREF(value);
  return failed ? NULL : Py_NewRef(Py_None);
}

/* What a coroutine returned; -2 with an exception when code that looks for it has taken its place away. */
static int set_result(struct coroutines *all, Py_ssize_t place, PyObject *value) {
  if (place < PyList_GET_SIZE(all->results)) return PyList_SetItem(all->results, place, value) < 0 ? -2 : 0;
  Py_DECREF(value);
  PyErr_SetString(PyExc_RuntimeError, "the results are gone");
  return -2;
}

/* Runs all up to what they await next. -1, the place of one that raised, or -2. */
static Py_ssize_t step_all(struct coroutines *all, int return_null, int64_t *failed) {
  Py_ssize_t waiting = 0, at = -1;
  for (Py_ssize_t i = 0; i < all->n; i++) {
    struct task task = all->tasks[i];
    PyObject *value;
    int stepped = at == -1 ? step(task.coroutine, &all->round, &value) : 1;
    if (stepped == -1 && return_null && !PyErr_ExceptionMatches(PyExc_MemoryError)) {
      PyErr_Clear();
      ++*failed;
      value = Py_NewRef(Py_None);
      stepped = 0;
    }
    if (stepped == 0) stepped = set_result(all, task.place, value);
    if (stepped < 0) at = stepped == -1 ? task.place : -2;
    if (stepped > 0) all->tasks[waiting++] = task;
    if (stepped <= 0) {
      PyObject *raised = PyErr_GetRaisedException(); /* what the end of a coroutine runs must not see it */
      Py_DECREF(task.coroutine);
      PyErr_SetRaisedException(raised);
    }
  }
  all->n = waiting;
  return at;
}

void awaiting_clear(PyObject *coroutines) {
  struct coroutines *all = (struct coroutines *)coroutines;
  PyObject *raised = PyErr_GetRaisedException();
  forget(&all->round);
  while (all->n > 0) Py_DECREF(all->tasks[--all->n].coroutine);
  PyErr_SetRaisedException(raised);
}

Py_ssize_t awaiting_finish(PyObject *coroutines, int return_null, int64_t *failed) {
  struct coroutines *all = (struct coroutines *)coroutines;
  Py_ssize_t at = -1;
  while (all->n > 0 && at == -1) {
    for (Py_ssize_t i = 0; i < all->round.n && at == -1; i++) {
      if (all->round.asked[i]->outcome == NULL && serve(&all->round, i) < 0) at = -2;
    }
    PyObject *raised = PyErr_GetRaisedException();
    forget(&all->round);
    PyErr_SetRaisedException(raised);
    if (at == -1) at = step_all(all, return_null, failed);
  }
  awaiting_clear(coroutines);
  return at;
}

static void coroutines_dealloc(PyObject *self) {
  struct coroutines *all = (struct coroutines *)self;
  awaiting_clear(self);
  Py_DECREF(all->results);
  free(all->tasks);
  free(all->round.asked);
  PyObject_Free(self);
}

static PyMethodDef coroutines_methods[] = {
    {"append", coroutines_append, METH_O, "Run a coroutine up to what it awaits."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject coroutines_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_udf.Coroutines",
    .tp_basicsize = sizeof(struct coroutines),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = coroutines_dealloc,
    .tp_methods = coroutines_methods,
};

PyObject *awaiting_coroutines(PyObject *results) {
  struct coroutines *all = PyObject_New(struct coroutines, &coroutines_type);
  if (all == NULL) return NULL;
  all->results = Py_NewRef(results);
  all->tasks = NULL;
  all->n = all->capacity = 0;
  all->round = (struct round){.asked = NULL};
  return (PyObject *)all;
}

/* One coroutine, for functions that aren't called for rows. */
static PyObject *run(PyObject *module, PyObject *coroutine) {
  (void)module;
  PyObject *results = PyList_New(0), *result = NULL;
  PyObject *all = results == NULL ? NULL : awaiting_coroutines(results);
  PyObject *appended = all == NULL ? NULL : coroutines_append(all, coroutine);
  int64_t failed = 0;
  if (appended != NULL && awaiting_finish(all, 0, &failed) == -1) {
    if (PyList_GET_SIZE(results) == 1) result = Py_NewRef(PyList_GET_ITEM(results, 0));
    if (result == NULL) PyErr_SetString(PyExc_RuntimeError, "the results are gone");
  }
  Py_XDECREF(appended);
  Py_XDECREF(all);
  Py_XDECREF(results);
  return result;
}

static PyMethodDef functions[] = {
    {"run", run, METH_O, "run(coroutine): what it returns, after the host calls that it awaits."},
    {NULL, NULL, 0, NULL},
};

int awaiting_prepare(PyObject *module) {
  PyDateTime_IMPORT;
  if (PyDateTimeAPI == NULL || PyType_Ready(&pending_type) < 0 ||
      PyType_Ready(&coroutines_type) < 0) {
    return -1;
  }
  stop_iteration = PyObject_CallNoArgs(PyExc_StopIteration);
  if (stop_iteration == NULL) return -1;
  return PyModule_AddFunctions(module, functions);
}
