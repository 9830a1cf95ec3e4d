/* Table functions as DuckDB has them. */
#ifndef NATIVE_TABLE_H
#define NATIVE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "calls.h"

/* What Python is to do for a table function: after those of `enum reason`. */
enum table_reason { TABLE_BIND = 32, TABLE_SCAN, TABLE_NEXT, TABLE_END, TABLE_FREE, TABLE_STEPPED };

struct table_call {
  int32_t reason, n;          /* arguments, or columns that are wanted */
  int64_t table, bound, scan; /* Python's numbers of a function, of a call of it, and of a scan of that */
  uint64_t connection;
  const uint64_t *wanted; /* the columns that a scan is for */
  void *schema, *array;   /* in Arrow's C data interface: the arguments, the columns, the rows */
  void *result, *context, **error;
  int64_t cardinality;      /* the number of rows, or -1 */
  const struct type *types; /* of all columns; NULL: there is one that C doesn't know */
  uint64_t n_columns;
  struct pool *pool; /* of the instance that is lent */
  struct call *step; /* one that C has begun */
  int64_t rows;      /* that the scan has had */
  int32_t is_row, lends;
  int32_t is_done, failed;
};

/* A call of a function in a plan. */
struct bound {
  int64_t number, cardinality;
  uint64_t connection;
};

struct table_parameter {
  const char *name, *type; /* NULL: any */
  int32_t kind, unused;
};

/* A function with its parameters. A name has one for each number of arguments that it takes. */
struct table_form {
  const char *name;
  int64_t table;
  const struct table_parameter *parameters;
  int32_t n, unused;
};

bool table_ask(struct table_call *, void **error);
void table_set_error(void **error, int32_t code, const char *message);
void scan_init(void *info, void *context, void **error);
void scan_execute(void *info, void *context, void **error);
void scan_progress(void *info, void *context, void **error);
bool tables_register(void *database);
void tables_expect(const struct table_form *, int32_t n);

#endif
