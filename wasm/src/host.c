#include "host.h"

#include "abi.h"

#define IMPORT(name) __attribute__((import_module("duckdb_udf"), import_name(#name)))
extern int32_t imported_host_import(const char *name, uint32_t name_length, void *out, uint32_t out_length)
    IMPORT(host_import);

/* ---- things the host has by name ----------------------------------------------------------------------------------- */

#define FIRST_TRY_BYTES 16384

/* The bytes the host has under a name, None when there is no such thing. */
static PyObject *host_import(PyObject *module, PyObject *name) {
  (void)module;
  Py_ssize_t name_length;
  const char *text = PyUnicode_AsUTF8AndSize(name, &name_length);
  if (text == NULL) return NULL;
  PyObject *bytes = NULL;
  int32_t size = FIRST_TRY_BYTES, room;
  do {
    room = size;
    Py_XDECREF(bytes);
    bytes = PyBytes_FromStringAndSize(NULL, room);
    if (bytes == NULL) return NULL;
    size = imported_host_import(text, (uint32_t)name_length, PyBytes_AS_STRING(bytes), (uint32_t)room);
  } while (size > room);
  if (size < 0) {
    Py_DECREF(bytes);
    Py_RETURN_NONE;
  }
  _PyBytes_Resize(&bytes, size);
  return bytes;
}

static PyMethodDef functions[] = {
    {"host_import", host_import, METH_O, "host_import(name) -> bytes, or None: what the host has under a name."},
    {NULL, NULL, 0, NULL},
};

int host_add_functions(PyObject *module) { return PyModule_AddFunctions(module, functions); }
