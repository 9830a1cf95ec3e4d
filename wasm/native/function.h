/* Functions as DuckDB has them. */
#ifndef NATIVE_FUNCTION_H
#define NATIVE_FUNCTION_H

#include "calls.h"
#include "columns.h"

#define MOST_POOLS 64

/* A pool that Python has found for arguments, and for inline functions for a source text. */
struct use {
  struct pool *pool;
  char *code;
  uint32_t code_bytes;
  int32_t n;
  struct type types[MOST_ARGUMENTS]; /* without the source text */
};

struct function {
  int64_t number;
  void *database;                 /* DatabaseInstance, as a part of a connection's number */
  int32_t n_arguments, is_inline; /* inline: the first of any number of arguments is the source text */
  struct type arguments[MOST_ARGUMENTS], result;
  spin_lock lock; /* of the uses */
  int32_t n_uses, next_use;
  struct use uses[MOST_POOLS];
  _Atomic(struct pool *) pool; /* of a named function, which has one */
};

/* ArrowSchema or ArrowArray: https://arrow.apache.org/docs/format/CDataInterface.html. Their functions that release
 * them are at different places. */
struct arrow_struct {
  uint64_t words[16];
};
#define SCHEMA_RELEASE 7
#define ARRAY_RELEASE 8

void inline_start(void *info);
int32_t inline_types(void *info, void *input, struct type *types);
struct pool *inline_pool(struct function *, const struct column *, int32_t n, uint64_t rows);
const char *arrow_export(void *info, struct function *, void *input, struct arrow_struct *schema,
                         struct arrow_struct *array);
void arrow_release(struct arrow_struct *schema, struct arrow_struct *array);
void function_free(void *);

#endif
