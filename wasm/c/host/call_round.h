/* One round of pending calls: what the coroutines of a batch wait for. The host gets one call for each function. */
#ifndef UDF_CALL_ROUND_H
#define UDF_CALL_ROUND_H

#include "host/pending_call.h"

struct call_round {
  struct pending_call **calls;
  Py_ssize_t n;
  Py_ssize_t capacity;
};

/* Functions that return int return 0, or -1 with an exception. */

/* Import what the functions need of Python. */
int call_round_prepare(void);

/* Add a pending call. Takes over the reference. */
int call_round_add(struct call_round *round, PyObject *call);

/* Serve all calls that have no outcome yet. */
int call_round_serve(struct call_round *round);

/* Empty the round. */
void call_round_clear(struct call_round *round);

/* Empty the round and free its memory. */
void call_round_free(struct call_round *round);

#endif
