#define Py_BUILD_CORE 1 /* to look into sets and dicts without running code */
#include "compiled/guards.h"

#include "compiled/decimal_context.h"
#include "pycore_setobject.h"

/* The first item of each guard; the numbers are those of wasm/python/_udf_compiler/lookups.py. */
enum guard_kind {
  GUARD_NAME = 0,     /* a dict, a name, and its value; without the value: there is no such name */
  GUARD_DICT = 1,     /* a dict, and its keys and values in turn */
  GUARD_LIST = 2,     /* a list, and its items */
  GUARD_SET = 3,      /* a set, and its items in their order */
  GUARD_FUNCTION = 4, /* a function, its code, its defaults, its keyword defaults */
  GUARD_CELL = 5,     /* a cell, and its contents */
  GUARD_DECIMALS = 6, /* decimal.getcontext, and the class of what it returns */
  GUARD_CLASS = 7,    /* a class, the name of an attribute, and what is stored for it; without it: there is none */
  GUARD_PARTIAL = 8,  /* a functools.partial, its function, arguments and keyword arguments */
};

#define ITEM(guard, i) PyTuple_GET_ITEM(guard, i)

static bool name_holds(PyObject *guard) {
  PyObject *value = PyDict_GetItemWithError(ITEM(guard, 1), ITEM(guard, 2));
  if (value == NULL && PyErr_Occurred()) {
    PyErr_Clear();
    return false;
  }
  return PyTuple_GET_SIZE(guard) == 3 ? value == NULL : value == ITEM(guard, 3);
}

static bool dict_holds(PyObject *dict, PyObject *items) {
  if (PyDict_GET_SIZE(dict) * 2 != PyTuple_GET_SIZE(items)) return false;
  Py_ssize_t position = 0, i = 0;
  for (PyObject *key, *value; PyDict_Next(dict, &position, &key, &value); i += 2) {
    if (key != ITEM(items, i) || value != ITEM(items, i + 1)) return false;
  }
  return true;
}

static bool list_holds(PyObject *list, PyObject *items) {
  if (PyList_GET_SIZE(list) != PyTuple_GET_SIZE(items)) return false;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++) {
    if (PyList_GET_ITEM(list, i) != ITEM(items, i)) return false;
  }
  return true;
}

static bool set_holds(PyObject *set, PyObject *items) {
  if (PySet_GET_SIZE(set) != PyTuple_GET_SIZE(items)) return false;
  Py_ssize_t position = 0, i = 0;
  Py_hash_t hash;
  for (PyObject *item; _PySet_NextEntry(set, &position, &item, &hash); i++) {
    if (item != ITEM(items, i)) return false;
  }
  return true;
}

static bool function_holds(PyObject *guard) {
  PyFunctionObject *function = (PyFunctionObject *)ITEM(guard, 1);
  PyObject *defaults = function->func_defaults == NULL ? Py_None : function->func_defaults;
  PyObject *keywords = function->func_kwdefaults == NULL ? Py_None : function->func_kwdefaults;
  return function->func_code == ITEM(guard, 2) && defaults == ITEM(guard, 3) && keywords == ITEM(guard, 4);
}

static bool class_holds(PyObject *guard) {
  PyObject *value = _PyType_Lookup((PyTypeObject *)ITEM(guard, 1), ITEM(guard, 2));
  return PyTuple_GET_SIZE(guard) == 3 ? value == NULL : value == ITEM(guard, 3);
}

static bool partial_holds(PyObject *guard) {
  static const char *const names[] = {"func", "args", "keywords"};
  for (Py_ssize_t i = 0; i < 3; i++) {
    PyObject *value = PyObject_GetAttrString(ITEM(guard, 1), names[i]);
    if (value == NULL) PyErr_Clear();
    Py_XDECREF(value);
    if (value != ITEM(guard, 2 + i)) return false;
  }
  return true;
}

static bool holds(PyObject *guard) {
  switch ((enum guard_kind)PyLong_AsLong(ITEM(guard, 0))) {
    case GUARD_NAME:
      return name_holds(guard);
    case GUARD_DICT:
      return dict_holds(ITEM(guard, 1), ITEM(guard, 2));
    case GUARD_LIST:
      return list_holds(ITEM(guard, 1), ITEM(guard, 2));
    case GUARD_SET:
      return set_holds(ITEM(guard, 1), ITEM(guard, 2));
    case GUARD_FUNCTION:
      return function_holds(guard);
    case GUARD_CELL:
      return PyCell_GET(ITEM(guard, 1)) == ITEM(guard, 2);
    case GUARD_DECIMALS:
      return decimal_context_holds(guard);
    case GUARD_CLASS:
      return class_holds(guard);
    case GUARD_PARTIAL:
      return partial_holds(guard);
  }
  return false;
}

bool guards_hold(PyObject *guards) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(guards); i++) {
    if (!holds(PyTuple_GET_ITEM(guards, i))) return false;
  }
  return true;
}
