/* Columns under construction: room, NULLs, removing rows, and their description as Arrow structs. */
#ifndef UDF_BUILDER_H
#define UDF_BUILDER_H

#include <assert.h>

#include "codec/types.h"

/* A result column under construction, or one inside it. Its buffers serve one batch after the other. */
struct builder {
  struct value_type type; /* SQL_NULL until a value shows the type; children unused */
  bool declared;          /* the type was declared: values must fit it */
  int depth;              /* of nesting */
  bool in_struct;         /* inside a STRUCT */
  bool no_union;          /* inference may not make it a UNION: see builder_become_union */
  struct builder *root;   /* the one that is inside no other */
  int n_inferred;         /* of the root: number of columns inside that were inferred for the batch */
  int64_t length;
  int64_t null_count;
  int64_t capacity;            /* number of rows there is room for */
  struct ArrowBitmap validity; /* empty until the first NULL */
  struct ArrowBitmap bits;     /* values of BOOLEAN */
  struct ArrowBuffer data;     /* values, the bytes of strings and blobs, or the numbers of a UNION's members */
  struct ArrowBuffer offsets;  /* of strings, blobs, lists and maps */
  struct builder **children;   /* LIST: the values; MAP: the entries, a STRUCT; STRUCT: fields; UNION: members */
  int64_t n_children;
  PyObject *names; /* STRUCT: the fields' numbers by name, once `builder_names` was asked for them */

  /* The description that `builder_finish` makes. */
  struct ArrowArray array;
  struct ArrowSchema schema;
  const void *buffers[3];
  struct ArrowArray **child_arrays;
  struct ArrowSchema **child_schemas;
  char *format;
};

/* Functions that return int return 0, or -1 with an exception. */

/* Make an empty builder. With `declared` NULL, the type of each batch is inferred from its values. */
int builder_init(struct builder *builder, const struct value_type *declared);

/* Empty the builder for a batch of `rows`. */
int builder_start(struct builder *builder, int64_t rows);

/* Add a column inside, whose type is not inferred yet. NULL with an exception if types nest too deep. */
struct builder *builder_add_child(struct builder *builder);

/* Append NULLs to a column inside until it is as long as the builder. */
int builder_fill_child(struct builder *builder, struct builder *child);

/* Turn a column whose type was inferred into a UNION. Its contents become the first member. Fails inside another UNION,
 * in a list inside a STRUCT, and in a MAP's key: DuckDB 2.0.0 crashes when it makes a VARIANT of those. The host
 * refuses them too, where it reads results. */
int builder_become_union(struct builder *builder);

/* Make room for the batch once the type is inferred, with a placeholder for each NULL appended so far. */
int builder_settle(struct builder *builder);

/* Give the keys of an inferred MAP a type if no value has: all rows with entries have failed. In infer.c. */
int infer_keys(struct builder *map);

/* Forget the type that was inferred, of a column that has only NULLs yet. */
static inline void builder_forget_type(struct builder *builder) {
  builder->type.kind = SQL_NULL;
  builder->bits.size_bits = builder->bits.buffer.size_bytes = 0;
}

/* Make room for more rows. */
int builder_grow(struct builder *builder);

/* Make room for one more row. Only columns inside others ever need it. */
static inline int builder_next_row(struct builder *builder) {
  return builder->length < builder->capacity ? 0 : builder_grow(builder);
}

/* Count the row just written. */
static inline void builder_close_row(struct builder *builder, bool valid) {
  assert(builder->length < builder->capacity);
  if (builder->null_count > 0) ArrowBitmapAppendUnsafe(&builder->validity, valid, 1);
  builder->length++;
}

/* Count rows just written, all of them valid. */
static inline void builder_close_rows(struct builder *builder, int64_t count) {
  assert(count >= 0 && count <= builder->capacity - builder->length);
  if (builder->null_count > 0) ArrowBitmapAppendUnsafe(&builder->validity, 1, count);
  builder->length += count;
}

int builder_append_null(struct builder *builder);

/* Return a borrowed dict of the numbers of a STRUCT's fields by name, NULL with an exception. */
PyObject *builder_names(struct builder *builder);

/* Return the number of bytes that the rows take so far. */
int64_t builder_size(const struct builder *builder);

/* Remove what a failed row left in the columns inside. */
void builder_undo_row(struct builder *builder);

/* Describe the column. `result` borrows the builder's buffers until the next start. */
int builder_finish(struct builder *builder, struct udf_result *result);

#endif
