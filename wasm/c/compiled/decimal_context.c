#define CONFIG_32 1
#define ANSI 1
#include "compiled/decimal_context.h"

#include <mpdecimal.h>

/* The beginning of PyDecContextObject (CPython's Modules/_decimal/_decimal.c), which no header has. */
struct context_object {
  PyObject_HEAD
  mpd_context_t context;
  PyObject *traps, *flags;
  int capitals;
  PyThreadState *thread;
};

static struct context_object *current; /* the context that was looked at last */

bool decimal_context_holds(PyObject *guard) {
  PyTypeObject *type = (PyTypeObject *)PyTuple_GET_ITEM(guard, 2);
  PyObject *found = PyObject_CallNoArgs(PyTuple_GET_ITEM(guard, 1));
  if (found == NULL) {
    PyErr_Clear();
    return false;
  }
  struct context_object *context = (struct context_object *)found;
  const mpd_context_t *c = &context->context;
  uint32_t traps = MPD_IEEE_Invalid_operation | MPD_Division_by_zero | MPD_Overflow;
  bool holds = Py_IS_TYPE(found, type) && type->tp_basicsize == (Py_ssize_t)sizeof *context && c->prec == 28 &&
               c->emax == 999999 && c->emin == -999999 && c->traps == traps && c->round == MPD_ROUND_HALF_EVEN &&
               c->clamp == 0 && context->capitals == 1;
  if (!holds) {
    Py_DECREF(found);
    return false;
  }
  struct context_object *before = current;
  current = context;
  Py_XDECREF((PyObject *)before);
  return true;
}

void decimal_context_signal(uint32_t signals) {
  if (current != NULL) current->context.status |= signals;
}
