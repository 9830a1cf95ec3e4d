/* The exports that make a guest, before the snapshot is taken: modules are compiled, then the interpreter is started.
 *
 * Both run in the linked module, so the build needs no other Python of the guest's version. An instance does one of the
 * two: the one that compiles is dropped, the one that starts becomes the snapshot, from which the build removes
 * these exports.
 */
#define Py_BUILD_CORE 1 /* for the tables of frozen modules, which CPython keeps to itself */
#include <Python.h>
#include <marshal.h>

#include "abi.h"
#include "calls/argument_rows.h"
#include "calls/batch_column.h"
#include "calls/yielded_columns.h"
#include "codec/decode_scalars.h"
#include "codec/encode_times.h"
#include "codec/infer.h"
#include "codec/types.h"
#include "exports.h"
#include "failures.h"
#include "host/awaiting.h"
#include "host/host_call.h"
#include "host/host_function.h"
#include "internal/pycore_import.h"
#include "internal/pycore_initconfig.h"
#ifdef UDF_NUMPY
#include "numpy/array_values.h"
#include "numpy/column_arrays.h"
#include "numpy/extension_modules.h"
#include "numpy/scalars.h"
#endif
#include "scrypt.h"
#include "translation.h"

/* What CPython links from frozen.c and getpath.c: modules frozen by another Python of its version, and the search for
 * its own files. Here frozen modules come from the build (udf_frozen_module), and there are no files. */
#define MAX_FROZEN 8
static struct _frozen frozen[MAX_FROZEN + 1]; /* ends with an empty one */
static const struct _frozen none[] = {{NULL, NULL, 0, 0}};
static const struct _module_alias aliases[] = {
    {"_frozen_importlib", "importlib._bootstrap"},
    {"_frozen_importlib_external", "importlib._bootstrap_external"},
    {NULL, NULL},
};
const struct _frozen *_PyImport_FrozenBootstrap = frozen;
const struct _frozen *_PyImport_FrozenStdlib = none;
const struct _frozen *_PyImport_FrozenTest = none;
const struct _frozen *PyImport_FrozenModules = NULL;
const struct _module_alias *_PyImport_FrozenAliases = aliases;

PyStatus _PyConfig_InitPathConfig(PyConfig *config, int compute_path_config) {
  (void)config, (void)compute_path_config;
  return PyStatus_Ok();
}

/* Add a module that can be imported before the standard library: its marshalled code and its name, which ends with a
 * NUL, stay where they are. Returns 0, or 1 if there are too many. */
UDF_EXPORT(udf_frozen_module)
int32_t udf_frozen_module(const char *name, const unsigned char *code, uint32_t length) {
  size_t count = 0;
  while (frozen[count].name != NULL) count++;
  if (count == MAX_FROZEN) return 1;
  frozen[count] = (struct _frozen){name, code, (int)length, 0};
  return 0;
}

/* Set what both interpreters have in common: nothing comes from outside. */
static void common_config(PyConfig *config) {
  PyConfig_InitIsolatedConfig(config);
  config->site_import = 0;
  config->install_signal_handlers = 0;
  config->parse_argv = 0;
  config->write_bytecode = 0;
  config->pathconfig_warnings = 0;
  config->buffered_stdio = 0;
  /* One snapshot, one secret: see docs/explanation/security.md. Fixed so that the same inputs build the same guest. */
  config->use_hash_seed = 1;
  config->hash_seed = 20260101;
  config->_init_main = 0;
}

/* Print the pending exception or `status` to udf_output(). Returns 1. */
static int32_t report(PyStatus status) {
  if (PyStatus_Exception(status)) {
    fprintf(stderr, "%s: %s\n", status.func ? status.func : "", status.err_msg ? status.err_msg : "");
  } else if (PyErr_Occurred()) {
    PyErr_Print();
  }
  return 1;
}

/* ---- starting the interpreter ------------------------------------------------------------------------------------ */

/* The standard library's zip, placed in memory by the build before the start. */
static const char *archive;
static uint32_t archive_length;

static PyObject *udf_archive(PyObject *module, PyObject *unused) {
  (void)module, (void)unused;
  return PyMemoryView_FromMemory((char *)archive, archive_length, PyBUF_READ);
}

static PyMethodDef module_methods[] = {
    {"archive", udf_archive, METH_NOARGS, "The zip with the standard library, as a memoryview."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_udf", "The native half of the guest.", 0, module_methods, NULL, NULL, NULL, NULL,
};

static PyObject *init_module(void) {
  PyObject *module = PyModule_Create(&module_definition);
  if (module != NULL && (PyModule_AddObjectRef(module, "Column", (PyObject *)&batch_column_type) < 0 ||
                         host_call_add_functions(module) < 0 || scrypt_add_functions(module) < 0)) {
    Py_CLEAR(module);
  }
#ifdef UDF_NUMPY
  if (module != NULL && column_arrays_add_functions(module) < 0) Py_CLEAR(module);
#endif
  return module;
}

/* The maximum depth of recursion in the interpreter's C code, beyond which it raises RecursionError. It lets Python
 * code reach its own limit of 1000 calls where each takes four levels of C (`sorted` with a key that sorts), and fits
 * in the machine stack that the host gives a guest, WASM_STACK_BYTES. A level takes 200 bytes (hash of nested tuples)
 * to 2000
 * (`sorted`). */
#define C_RECURSION_LIMIT 4000

/* Start CPython without a file system: core first, then the importer that finds the rest of the library in `archive`,
 * then everything that needs it (PEP 587, multi-phase initialization). */
static PyStatus start_interpreter(void) {
  PyConfig config;
  common_config(&config);
  config.module_search_paths_set = 1;
  struct {
    wchar_t **setting;
    const wchar_t *value;
  } settings[] = {
      {&config.program_name, L"python"},
      {&config.executable, L""},
      {&config.base_executable, L""},
      {&config.prefix, L"/usr"},
      {&config.base_prefix, L"/usr"},
      {&config.exec_prefix, L"/usr"},
      {&config.base_exec_prefix, L"/usr"},
      {&config.platlibdir, L"lib"},
      {&config.filesystem_encoding, L"utf-8"},
      {&config.stdio_encoding, L"utf-8"},
      {&config.stdio_errors, L"backslashreplace"},
  };
  PyStatus status = PyStatus_Ok();
  for (size_t i = 0; i < Py_ARRAY_LENGTH(settings) && !PyStatus_Exception(status); i++) {
    status = PyConfig_SetString(&config, settings[i].setting, settings[i].value);
  }
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) return status;

  PyObject *importer = PyImport_ImportModule("_udf_importer");
  if (importer == NULL) return PyStatus_Error("_udf_importer failed");
  Py_DECREF(importer);
  return _Py_InitializeMain();
}

/* ---- objects of the snapshot: immortal, so that using one doesn't write to its page, which stays shared ---------- */

static int make_immortal(PyObject *object, void *unused) {
  if (object == NULL || _Py_IsImmortal(object)) return 0;
  object->ob_refcnt = _Py_IMMORTAL_REFCNT;
  if (PyTuple_CheckExact(object)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(object); i++) make_immortal(PyTuple_GET_ITEM(object, i), unused);
  } else if (PyCode_Check(object)) { /* no container to the collector, though it holds most of the constants */
    PyCodeObject *code = (PyCodeObject *)object;
    PyObject *held[] = {code->co_consts,          code->co_names,    code->co_exceptiontable, code->co_localsplusnames,
                        code->co_localspluskinds, code->co_filename, code->co_name,           code->co_qualname,
                        code->co_linetable};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(held); i++) make_immortal(held[i], unused);
  }
  return 0;
}

static int make_container_immortal(PyObject *object, void *unused) {
  make_immortal(object, unused);
  traverseproc traverse = Py_TYPE(object)->tp_traverse;
  if (traverse != NULL) traverse(object, make_immortal, unused);
  return 1;
}

/* Let each part import what it needs of Python and make its Python types. Returns 0, or -1 with an exception. */
static int prepare_types(void) {
  if (types_prepare() < 0 || decode_scalars_prepare() < 0 || encode_times_prepare() < 0 || infer_prepare() < 0 ||
      rows_prepare() < 0 || batch_column_prepare() < 0 || columns_prepare() < 0) {
    return -1;
  }
  PyObject *module = PyImport_ImportModule("_udf");
  if (module == NULL) return -1;
  bool failed = host_call_prepare(module) < 0 || host_function_prepare(module) < 0 || awaiting_prepare(module) < 0;
  Py_DECREF(module);
  return failed ? -1 : 0;
}

/* Start the interpreter and import _udf_guest. Run once, before the snapshot is taken, with the library's zip, which
 * stays where it is. Returns 0, or 1 with the reason in udf_output(). */
UDF_EXPORT(udf_prepare) int32_t udf_prepare(const char *zip, uint32_t zip_length) {
  archive = zip;
  archive_length = zip_length;
  if (PyImport_AppendInittab("_udf", init_module) < 0) return 1;
#ifdef UDF_NUMPY
  if (extension_modules_add() < 0) return 1;
#endif
  PyStatus status = start_interpreter();
  PyObject *guest = NULL;
  if (!PyStatus_Exception(status) && prepare_types() == 0) guest = PyImport_ImportModule("_udf_guest");
  if (guest == NULL || exports_prepare(guest) < 0 || failures_prepare(guest) < 0 || translation_prepare() < 0) {
    return report(status);
  }
#ifdef UDF_NUMPY
  if (numpy_scalars_prepare() < 0 || array_values_prepare() < 0) return report(status);
#endif
  PyThreadState_Get()->c_recursion_remaining -= Py_C_RECURSION_LIMIT - C_RECURSION_LIMIT;
  PyUnstable_GC_VisitObjects(make_container_immortal, NULL);
  return 0;
}

/* ---- compiling modules ------------------------------------------------------------------------------------------- */

/* The last module's code object, marshalled; or what was compressed last. */
static struct udf_text compiled;

UDF_EXPORT(udf_compiled) struct udf_text *udf_compiled(void) { return &compiled; }

/* Start an interpreter that compiles and does nothing else: it can't import, so it needs no frozen modules. */
UDF_EXPORT(udf_compile_start) int32_t udf_compile_start(void) {
  PyConfig config;
  common_config(&config);
  config._install_importlib = 0;
  PyStatus status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  return PyStatus_Exception(status) ? report(status) : 0;
}

/* Compile a module to udf_compiled(). `source` is UTF-8 and ends with a NUL. `optimize` is that of Python's `compile`.
 * Returns 0, or 1 with the reason in udf_output(). */
UDF_EXPORT(udf_compile) int32_t udf_compile(const char *filename, const char *source, int32_t optimize) {
  static PyObject *marshalled;
  PyObject *code = Py_CompileStringExFlags(source, filename, Py_file_input, NULL, optimize);
  Py_XSETREF(marshalled, code == NULL ? NULL : PyMarshal_WriteObjectToString(code, Py_MARSHAL_VERSION));
  Py_XDECREF(code);
  if (marshalled == NULL) return report(PyStatus_Ok());
  compiled = (struct udf_text){PyBytes_AS_STRING(marshalled), (uint32_t)PyBytes_GET_SIZE(marshalled)};
  return 0;
}

/* Of zlib, whose header is below its own source. */
int compress2(unsigned char *to, unsigned long *to_length, const unsigned char *from, unsigned long length, int level);
unsigned long compressBound(unsigned long length);

/* Compress bytes to udf_compiled(), in zlib's format. Here, because the zlib of another machine may give other bytes.
 * Returns 0, or zlib's error. */
UDF_EXPORT(udf_compress) int32_t udf_compress(const unsigned char *bytes, uint32_t length) {
  static unsigned char *compressed;
  unsigned long size = compressBound(length);
  compressed = realloc(compressed, size);
  if (compressed == NULL) return -4; /* Z_MEM_ERROR */
  int error = compress2(compressed, &size, bytes, length, 9);
  compiled = (struct udf_text){(const char *)compressed, (uint32_t)size};
  return error;
}
