/* Aggregate functions as DuckDB has them. */
#ifndef NATIVE_AGGREGATE_H
#define NATIVE_AGGREGATE_H

#include "calls.h"
#include "epochs.h"
#include "groups.h"

#define MOST_COLUMNS 16

/* What Python says of a function that it wants registered. */
struct aggregate_definition {
  const char *name, *result, *result_query; /* result: SQL type; result_query: returns a column of it */
  const char *const *type_queries;          /* likewise of each column */
  int64_t number;                           /* Python's name of it */
  int32_t n_types, is_inline;               /* n_types: -1 for any columns; inline: the source text comes first */
  struct type native;                       /* the result, if C knows its type */
};

/* A function with a number of columns, as DuckDB has it. */
struct aggregate {
  int64_t number;
  void *database; /* DatabaseInstance: it is open during a query */
  int32_t is_inline, n_columns;
  struct collector *collector; /* of its states */
  void **types;                /* of the columns; NULL: any */
  char *result;
  struct type native;
  /* The number of cancels when Python was asked last, and which was the function's. */
  _Atomic(uint64_t) cancels, cancelled;
};

enum aggregate_reason { CHECK, GROUPS };

/* What C asks Python: whether so much may be held (CHECK), or to run groups (GROUPS). */
struct aggregate_call {
  int32_t reason, failed, is_done, is_put;
  int64_t function, rows;
  uint64_t held_bytes, group_bytes;
  uint64_t begun, cancelled;    /* when the query began; Python's answer to CHECK: the function's last cancel */
  void *array, *schema;         /* the arguments in Arrow's C data interface */
  void *out_array, *out_schema; /* likewise the results */
  const struct type *native;
  void *info, *output; /* output: where values of the native type may be put; NULL: nowhere */
};

bool aggregate_register(void *connection, void *database, const struct aggregate_definition *);
bool aggregate_ask(struct aggregate_call *);
uint64_t begun_of(void **states, uint64_t n);
void aggregate_finalize(void *info, void **states, void *result, uint64_t n, uint64_t offset);

#endif
