#include "host/awaiting.h"

#include "host/call_round.h"

struct task {
  PyObject *coroutine;
  Py_ssize_t place; /* in the list of results */
};

/* The coroutines of a batch. */
struct coroutines {
  PyObject_HEAD
  PyObject *results;  /* a list; None in the places of those that haven't returned */
  struct task *tasks; /* those that haven't returned */
  Py_ssize_t n;
  Py_ssize_t capacity;
  struct call_round round; /* what they await */
};

/* Drop a reference while an exception may be set, which code that runs at an object's end must not see. */
static void drop(PyObject *object) {
  PyObject *raised = PyErr_GetRaisedException();
  Py_DECREF(object);
  PyErr_SetRaisedException(raised);
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

/* Add what a coroutine awaits to the round: a call, or a list of calls (host.gather). Takes over the reference. Returns
 * 0, or -1 with an exception. */
static int add_awaited(struct call_round *round, PyObject *awaited) {
  if (is_pending_call(awaited)) return call_round_add(round, awaited);
  Py_ssize_t n = PyList_CheckExact(awaited) ? PyList_GET_SIZE(awaited) : 0;
  bool known = n > 0;
  for (Py_ssize_t i = 0; i < n && known; i++) known = is_pending_call(PyList_GET_ITEM(awaited, i));
  int status = 0;
  for (Py_ssize_t i = 0; i < n && known && status == 0; i++) {
    status = call_round_add(round, Py_NewRef(PyList_GET_ITEM(awaited, i)));
  }
  Py_DECREF(awaited);
  if (known) return status;
  PyErr_SetString(
      PyExc_RuntimeError,
      "the function awaits something that never comes: there is no event loop in the sandbox, only calls of "
      "host functions and host.gather can be awaited");
  return -1;
}

enum step {
  STEP_AWAITS,   /* what it awaits is in the round */
  STEP_RETURNED, /* with a value, a new reference */
  STEP_RAISED,   /* with an exception */
};

/* Run a coroutine up to what it awaits next, or to its end. */
static enum step step(PyObject *coroutine, struct call_round *round, PyObject **value) {
  pending_calls_begin();
  PySendResult sent = PyIter_Send(coroutine, Py_None, value);
  pending_calls_end();
  if (sent == PYGEN_ERROR) return STEP_RAISED;
  if (sent == PYGEN_RETURN) return STEP_RETURNED;
  return add_awaited(round, *value) < 0 ? STEP_RAISED : STEP_AWAITS;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

/* Add a coroutine that hasn't returned. Takes over the reference. Returns 0, or -1 with an exception. */
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
  switch (step(coroutine, &all->round, &value)) {
    case STEP_RAISED:
      return NULL;
    case STEP_AWAITS:
      if (add_task(all, Py_NewRef(coroutine)) < 0) return NULL;
      value = Py_NewRef(Py_None);
      break;
    case STEP_RETURNED:
      break;
  }
  int status = PyList_Append(all->results, value);
  Py_DECREF(value);
  return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* Store what a coroutine returned. Takes over the reference. Returns 0, or -1 with an exception if user code has found
 * the list and emptied it. */
static int set_result(struct coroutines *all, Py_ssize_t place, PyObject *value) {
  if (place < PyList_GET_SIZE(all->results)) return PyList_SetItem(all->results, place, value);
  Py_DECREF(value);
  PyErr_SetString(PyExc_RuntimeError, "the results are gone");
  return -1;
}

/* Run all up to what they await next. Stops at the first exception. */
static enum await_status step_all(struct coroutines *all, bool return_null, int64_t *failed, Py_ssize_t *raised_at) {
  enum await_status status = AWAIT_DONE;
  Py_ssize_t waiting = 0;
  for (Py_ssize_t i = 0; i < all->n; i++) {
    struct task task = all->tasks[i];
    PyObject *value;
    enum step stepped = status == AWAIT_DONE ? step(task.coroutine, &all->round, &value) : STEP_AWAITS;
    if (stepped == STEP_AWAITS) {
      all->tasks[waiting++] = task;
      continue;
    }
    if (stepped == STEP_RAISED && return_null && !PyErr_ExceptionMatches(PyExc_MemoryError)) {
      PyErr_Clear();
      ++*failed;
      value = Py_NewRef(Py_None);
      stepped = STEP_RETURNED;
    }
    if (stepped == STEP_RAISED) {
      status = AWAIT_RAISED;
      *raised_at = task.place;
    } else if (set_result(all, task.place, value) < 0) {
      status = AWAIT_ERROR;
    }
    drop(task.coroutine);
  }
  all->n = waiting;
  return status;
}

enum await_status awaiting_finish(PyObject *coroutines, bool return_null, int64_t *failed, Py_ssize_t *raised_at) {
  struct coroutines *all = (struct coroutines *)coroutines;
  enum await_status status = AWAIT_DONE;
  while (all->n > 0 && status == AWAIT_DONE) {
    if (call_round_serve(&all->round) < 0) return AWAIT_ERROR;
    call_round_clear(&all->round);
    status = step_all(all, return_null, failed, raised_at);
  }
  return status;
}

void awaiting_clear(PyObject *coroutines) {
  struct coroutines *all = (struct coroutines *)coroutines;
  PyObject *raised = PyErr_GetRaisedException(); /* code that runs at a coroutine's end must not see it */
  call_round_clear(&all->round);
  while (all->n > 0) Py_DECREF(all->tasks[--all->n].coroutine);
  PyErr_SetRaisedException(raised);
}

/* ---- the type ---------------------------------------------------------------------------------------------------- */

static void coroutines_dealloc(PyObject *self) {
  struct coroutines *all = (struct coroutines *)self;
  awaiting_clear(self);
  Py_DECREF(all->results);
  free(all->tasks);
  call_round_free(&all->round);
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
  all->round = (struct call_round){.calls = NULL};
  return (PyObject *)all;
}

/* Run one coroutine, for functions that aren't called for rows. */
static PyObject *run(PyObject *module, PyObject *coroutine) {
  (void)module;
  PyObject *results = PyList_New(0), *result = NULL;
  PyObject *all = results == NULL ? NULL : awaiting_coroutines(results);
  PyObject *appended = all == NULL ? NULL : coroutines_append(all, coroutine);
  int64_t failed = 0;
  Py_ssize_t raised_at = 0;
  if (appended != NULL && awaiting_finish(all, false, &failed, &raised_at) == AWAIT_DONE) {
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
  if (pending_call_prepare() < 0 || call_round_prepare() < 0 || PyType_Ready(&coroutines_type) < 0) return -1;
  return PyModule_AddFunctions(module, functions);
}
