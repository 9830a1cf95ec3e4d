/* What the guest asks of its host beyond a clock and a random source: the imports of the module "duckdb_udf". */
#ifndef UDF_HOST_H
#define UDF_HOST_H

#include "codec/builder.h"
#include "codec/decode.h"

/* A function of the host's as a Python object: called with one value for each parameter, or with lists of them (`batch`). */
struct host_function {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  PyObject *attributes; /* __name__, __doc__, __signature__ */
  PyObject *name;
  PyObject *bind; /* takes any arguments that the function can be called with, and gives a tuple of all */
  int32_t number;
  int ready; /* the types are known */
  int busy;  /* a call is being put together or taken apart, which may run code of the user's */
  struct value_type types; /* a STRUCT of two: the parameters, a STRUCT, and the result */
  struct builder arguments;
  struct column result;
  struct ArrowArrayView response_view;
  char *response;
  uint32_t response_size;
};

/* Both return 0, or -1 with an exception: what the module `_udf` has of this from its start, and the rest. */
int host_add_functions(PyObject *module);
int host_prepare(void);

/* The steps of a call; they return 0, or -1 with an exception. No other call of the function can begin before
 * `host_end`, which has to follow a successful `host_begin`. */
int host_begin(struct host_function *function, int64_t rows);

/* Adds a row, a value for each parameter; after an error it is as if there had been none. */
int host_append(struct host_function *function, PyObject *const *values);

/* Has the host call its function: 0; -1 with an exception; or what the host says, of which `host_raise` makes one. */
int32_t host_send(struct host_function *function);

/* The result of a row: a new reference, or NULL with an exception. */
PyObject *host_result(struct host_function *function, int64_t row);

void host_end(struct host_function *function);

/* Raises what a status of `host_send` stands for. */
void host_raise(const struct host_function *function, int32_t status);

static inline int64_t host_n_parameters(const struct host_function *function) {
  return function->types.children[0].n_children;
}

#endif
