/* Rows of a batch by compiled code, written where the builder has room for them. */
#ifndef UDF_COMPILED_ROW_LOOP_H
#define UDF_COMPILED_ROW_LOOP_H

#include "codec/builder.h"
#include "codec/decode.h"
#include "compiled/context.h"

struct compiled {
  int32_t (*run)(struct compiled_context *, int32_t row, int32_t stop);
  struct compiled_context *context;
  PyObject *guards;     /* what the code was made of */
  enum sql_kind result; /* of results that no type is declared for; SQL_NULL: the code appends results by itself */
  int64_t capacity;     /* number of rows that `valid` and the values of a BOOLEAN have room for */
};

/* Make what runs the code in a slot of the table. `constants` are bytes and `guards` a tuple. NULL with an exception.
 */
struct compiled *compiled_new(uint32_t slot, PyObject *constants, PyObject *guards, int64_t n_columns,
                              enum sql_kind result);

void compiled_free(struct compiled *compiled);

/* Prepare for a batch that the builder was started for. Returns 0, or -1 with an exception. */
int compiled_start(struct compiled *compiled, int64_t length, int64_t n_columns, const struct column *columns,
                   struct builder *builder);

/* Run from `row`. Returns the row that the code stopped at, which the interpreter has to run unless it is `stop`. -1
 * with an exception. */
int64_t compiled_run(struct compiled *compiled, int64_t row, int64_t stop, struct builder *builder);

#endif
