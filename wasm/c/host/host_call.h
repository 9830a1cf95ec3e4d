/* A call of a function of the host: its arguments put together, sent, and its results taken apart. */
#ifndef UDF_HOST_CALL_H
#define UDF_HOST_CALL_H

#include "codec/builder.h"
#include "codec/decode.h"

/* A function of the host with its types and the buffers of a call. The Python type is in host_function.c. */
struct host_function {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  PyObject *attributes; /* __name__, __doc__, __signature__ */
  PyObject *name;
  PyObject *bind; /* takes any arguments the function can be called with, and returns a tuple of all */
  int32_t number;
  bool ready;              /* the types are known */
  bool busy;               /* a call is put together or taken apart, which can run user code */
  struct value_type types; /* a STRUCT of two: the parameters, a STRUCT, and the result */
  struct builder arguments;
  struct column result;
  struct ArrowArrayView response_view;
  char *response;
  uint32_t response_size;
};

/* Add the functions that the module `_udf` has from its start. Returns 0, or -1 with an exception. */
int host_call_add_functions(PyObject *module);

/* Add HostError to the module `_udf`. Returns 0, or -1 with an exception. */
int host_call_prepare(PyObject *module);

/* What host_send returns if there are results, or an exception; else it returns one of enum udf_host_status. */
enum { HOST_ANSWERED = 0, HOST_EXCEPTION = -1 };

/* Learn the types of a function from the host, once. Returns 0, or -1 with an exception. */
int host_make_ready(struct host_function *function);

/* The steps of a call. They return 0, or -1 with an exception. A successful `host_begin` must be followed by
 * `host_end`; until then no other call of the function can begin. */
int host_begin(struct host_function *function, int64_t rows);

/* Add a row, a value for each parameter. After an exception the row isn't there. */
int host_append(struct host_function *function, PyObject *const *values);

/* Have the host call its function with the rows. Returns HOST_ANSWERED, HOST_EXCEPTION or a status of the host. */
int32_t host_send(struct host_function *function);

/* As `host_send`, with an array that is already in memory. */
int32_t host_send_array(struct host_function *function, const struct ArrowArray *arguments);

/* Return the result of a row: a new reference, or NULL with an exception. */
PyObject *host_result(struct host_function *function, int64_t row);

void host_end(struct host_function *function);

/* Raise HostError for a status of `host_send`. */
void host_raise(const struct host_function *function, int32_t status);

/* Turn what `host_send` returned into 0, or -1 with an exception. */
int host_check(const struct host_function *function, int32_t status);

static inline int64_t host_n_parameters(const struct host_function *function) {
  return function->types.children[0].n_children;
}

#endif
