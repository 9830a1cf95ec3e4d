/* A call of a host function that waits for others: what an async function awaits. */
#ifndef UDF_PENDING_CALL_H
#define UDF_PENDING_CALL_H

#include "host/host_call.h"

struct pending_call {
  PyObject_HEAD
  union {
    struct host_function *function;
    struct pending_call *next_spare; /* in the free list, after the object's end */
  };
  PyObject *arguments; /* a tuple of several or none, the value alone of one */
  PyObject *outcome;   /* the result, or the exception; NULL: not served yet */
  bool failed;         /* the outcome is an exception */
  int64_t row;         /* in the host call that serves it; NOT_PLACED until it has one */
};

#define NOT_PLACED (-1)

/* Make the Python type. Returns 0, or -1 with an exception. */
int pending_call_prepare(void);

/* Make a call that waits. NULL with an exception. */
PyObject *pending_call_new(struct host_function *function, PyObject *const *values);

bool is_pending_call(PyObject *object);

/* Set the outcome. Takes over the reference. */
void pending_call_serve(struct pending_call *call, PyObject *outcome, bool failed);

/* Make the exception that is set the outcome. Returns 0, or -1 with the exception if memory ran out. */
int pending_call_serve_exception(struct pending_call *call);

/* Mark the start and the end of a coroutine's step. A step can lie inside another: a coroutine can run a coroutine. */
void pending_calls_begin(void);
void pending_calls_end(void);

/* Return whether a coroutine's step runs, so that host functions return calls that wait. Outside of a step nobody could
 * serve them. */
bool pending_calls_wanted(void);

#endif
