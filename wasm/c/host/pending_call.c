#include "host/pending_call.h"

#include <assert.h>

/* The number of coroutine steps that run, one inside the other. The guest has one thread. */
static int running_steps;

void pending_calls_begin(void) { running_steps++; }

void pending_calls_end(void) {
  assert(running_steps > 0);
  running_steps--;
}

bool pending_calls_wanted(void) { return running_steps > 0; }

/* The free list: an async batch makes and frees some thousands of calls. */
#define MAX_SPARE 4096
static struct pending_call *spare;
static int n_spare;

/* Raised with the result of a served call, as awaited objects return one. Used again if nobody else has it. */
static PyObject *stop_iteration;

static PyTypeObject pending_call_type;

bool is_pending_call(PyObject *object) { return Py_IS_TYPE(object, &pending_call_type); }

PyObject *pending_call_new(struct host_function *function, PyObject *const *values) {
  struct pending_call *call = spare;
  if (call != NULL) {
    spare = call->next_spare;
    n_spare--;
    PyObject_Init((PyObject *)call, &pending_call_type);
  } else {
    call = PyObject_New(struct pending_call, &pending_call_type);
    if (call == NULL) return NULL;
  }
  int64_t n = host_n_parameters(function);
  call->function = (struct host_function *)Py_NewRef(function);
  call->outcome = NULL;
  call->failed = false;
  call->row = NOT_PLACED;
  call->arguments = n == 1 ? Py_NewRef(values[0]) : PyTuple_New(n);
  for (int64_t i = 0; n != 1 && call->arguments != NULL && i < n; i++) {
    PyTuple_SET_ITEM(call->arguments, i, Py_NewRef(values[i]));
  }
  if (call->arguments == NULL) Py_CLEAR(call);
  return (PyObject *)call;
}

static void pending_call_dealloc(PyObject *self) {
  struct pending_call *call = (struct pending_call *)self;
  Py_XDECREF(call->function);
  Py_XDECREF(call->arguments);
  Py_XDECREF(call->outcome);
  if (n_spare == MAX_SPARE) {
    PyObject_Free(self);
    return;
  }
  call->next_spare = spare;
  spare = call;
  n_spare++;
}

void pending_call_serve(struct pending_call *call, PyObject *outcome, bool failed) {
  Py_XSETREF(call->outcome, outcome);
  call->failed = failed;
}

int pending_call_serve_exception(struct pending_call *call) {
  if (PyErr_ExceptionMatches(PyExc_MemoryError)) return -1;
  pending_call_serve(call, PyErr_GetRaisedException(), true);
  return 0;
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

static PyObject *pending_call_next(PyObject *self) {
  struct pending_call *call = (struct pending_call *)self;
  if (call->outcome == NULL) {
    if (pending_calls_wanted()) return Py_NewRef(self);
    PyErr_SetString(PyExc_RuntimeError, "a call of a host function is awaited after its coroutine has ended");
    return NULL;
  }
  if (!call->failed) return return_value(call->outcome);
  PyErr_SetRaisedException(Py_NewRef(call->outcome));
  return NULL;
}

static PyObject *pending_call_repr(PyObject *self) {
  return PyUnicode_FromFormat("<call of %R, to be awaited>", ((struct pending_call *)self)->function);
}

static PyAsyncMethods pending_call_as_async = {.am_await = PyObject_SelfIter};

static PyTypeObject pending_call_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_udf.Pending",
    .tp_doc = "A call of a host function, to be awaited.",
    .tp_basicsize = sizeof(struct pending_call),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = pending_call_dealloc,
    .tp_repr = pending_call_repr,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = pending_call_next,
    .tp_as_async = &pending_call_as_async,
};

int pending_call_prepare(void) {
  if (PyType_Ready(&pending_call_type) < 0) return -1;
  stop_iteration = PyObject_CallNoArgs(PyExc_StopIteration);
  return stop_iteration == NULL ? -1 : 0;
}
