#include "numpy/extension_modules.h"

#include <Python.h>
#include <stdlib.h>

/* MODULE(name, function) for each: written by the build. */
#define MODULE(name, function) extern PyObject *function(void);
#include "numpy_modules.h"
#undef MODULE

int extension_modules_add(void) {
#define MODULE(name, function) \
  if (PyImport_AppendInittab(name, function) < 0) return -1;
#include "numpy_modules.h"
#undef MODULE
  return 0;
}

/* The floating-point status word of wasm/numpy/include/fenv.h. */
int udf_floating_point_status;

/* Of C++'s exceptions, which the guest has none of: what is thrown ends the instance. numpy throws when memory is
 * exhausted inside fft and unique. */
void *__cxa_allocate_exception(size_t size) { return malloc(size); }
[[noreturn]] void __cxa_throw(void *exception, void *type, void (*destructor)(void *)) {
  (void)exception, (void)type, (void)destructor;
  __builtin_trap();
}
