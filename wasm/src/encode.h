/* Python objects to a column. */
#ifndef UDF_ENCODE_H
#define UDF_ENCODE_H

#include "types.h"

/* A result column under construction, or one inside it. Its buffers are kept from batch to batch. */
struct builder {
  struct value_type type;   /* NANOARROW_TYPE_NA until a value has shown the type; children unused */
  int declared;             /* the type was declared: values must fit it */
  int depth;                /* of nesting */
  int64_t length;
  int64_t null_count;
  int64_t capacity;         /* rows there is room for */
  struct ArrowBitmap validity; /* empty until the first NULL */
  struct ArrowBitmap bits;     /* values of BOOLEAN */
  struct ArrowBuffer data;     /* values, or the bytes of strings and blobs */
  struct ArrowBuffer offsets;  /* of strings, blobs, lists and maps */
  struct builder **children;   /* LIST: the values; MAP: the entries, a STRUCT; STRUCT: the fields */
  int64_t n_children;

  /* What `builder_finish` describes it with. */
  struct ArrowArray array;
  struct ArrowSchema schema;
  const void *buffers[3];
  struct ArrowArray **child_arrays;
  struct ArrowSchema **child_schemas;
  char format[24];
};

int encode_prepare(void);

/* All return 0, or -1 with an exception. */

/* `declared` NULL: infer the type of each batch from its values. */
int builder_init(struct builder *builder, const struct value_type *declared);

/* Empties the builder for a batch of `rows`. */
int builder_start(struct builder *builder, int64_t rows);
int builder_append_null(struct builder *builder);

/* After a failure the builder holds the rows before it. */
int builder_append(struct builder *builder, PyObject *value);

/* Describes what was built; `result` borrows the builder's buffers until the next start. */
int builder_finish(struct builder *builder, struct udf_result *result);

#endif
