/* Columns under construction: room, NULLs, taking rows back, and their description as Arrow structs. */
#ifndef UDF_BUILDER_H
#define UDF_BUILDER_H

#include "types.h"

/* A result column under construction, or one inside it. Its buffers are kept from batch to batch. */
struct builder {
  struct value_type type;   /* SQL_NULL until a value has shown the type; children unused */
  int declared;             /* the type was declared: values must fit it */
  int depth;                /* of nesting */
  int in_struct;            /* inside a STRUCT */
  int no_union;             /* inference may not make it a UNION: see builder_become_union */
  struct builder *root;     /* the one that all are inside of */
  int n_inferred;           /* of the root: how many columns inside were inferred for the batch */
  int64_t length;
  int64_t null_count;
  int64_t capacity;         /* rows there is room for */
  struct ArrowBitmap validity; /* empty until the first NULL */
  struct ArrowBitmap bits;     /* values of BOOLEAN */
  struct ArrowBuffer data;     /* values, the bytes of strings and blobs, or the numbers of a UNION's members */
  struct ArrowBuffer offsets;  /* of strings, blobs, lists and maps */
  struct builder **children;   /* LIST: the values; MAP: the entries, a STRUCT; STRUCT: fields; UNION: members */
  int64_t n_children;

  /* What `builder_finish` describes it with. */
  struct ArrowArray array;
  struct ArrowSchema schema;
  const void *buffers[3];
  struct ArrowArray **child_arrays;
  struct ArrowSchema **child_schemas;
  char *format;
};

/* Functions that return int return 0, or -1 with an exception. */

int out_of_memory(void);

/* `declared` NULL: infer the type of each batch from its values. */
int builder_init(struct builder *builder, const struct value_type *declared);

/* Empties the builder for a batch of `rows`. */
int builder_start(struct builder *builder, int64_t rows);

/* A column inside, of a type yet to be inferred; NULL with an exception when types nest too deep. */
struct builder *builder_add_child(struct builder *builder);

/* Makes a column inside as long as the builder, by NULLs. */
int builder_fill_child(struct builder *builder, struct builder *child);

/* Turns a column whose type was inferred into a UNION, of which what it was becomes the first member. Not inside another
 * one, in a list inside a STRUCT, or in a MAP's key: DuckDB 2.0.0 crashes when it makes a VARIANT of those. The host
 * refuses them too (duckdb_wasi_udf/_arrow/value_checks.py). */
int builder_become_union(struct builder *builder);

/* To be called when the type has been inferred: room for the batch, and a placeholder for each NULL appended so far. */
int builder_settle(struct builder *builder);

int builder_grow(struct builder *builder);

/* Room for one more row: only columns inside others ever have none. */
static inline int builder_next_row(struct builder *builder) {
  return builder->length < builder->capacity ? 0 : builder_grow(builder);
}

/* Marks the row just written. */
static inline void builder_close_row(struct builder *builder, int valid) {
  if (builder->null_count > 0) ArrowBitmapAppendUnsafe(&builder->validity, (uint8_t)valid, 1);
  builder->length++;
}

/* Marks rows just written, all of them valid. */
static inline void builder_close_rows(struct builder *builder, int64_t count) {
  if (builder->null_count > 0) ArrowBitmapAppendUnsafe(&builder->validity, 1, count);
  builder->length += count;
}

int builder_append_null(struct builder *builder);

/* Takes back what a row that failed has left in the columns inside. */
void builder_undo_row(struct builder *builder);

/* Describes what was built; `result` borrows the builder's buffers until the next start. */
int builder_finish(struct builder *builder, struct udf_result *result);

#endif
