#include "builder.h"

#include <string.h>

/* ---- types ------------------------------------------------------------------------------------------------------- */

int out_of_memory(void) {
  PyErr_NoMemory();
  return -1;
}

/* Bytes of a value in `data`; 0 for types whose values are elsewhere or of no fixed width. */
static int64_t value_width(enum ArrowType type) {
  switch (type) {
    case NANOARROW_TYPE_DATE32:
      return 4;
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_UINT64:
    case NANOARROW_TYPE_DOUBLE:
    case NANOARROW_TYPE_TIME64:
    case NANOARROW_TYPE_TIMESTAMP:
      return 8;
    case NANOARROW_TYPE_DECIMAL128:
      return 16;
    default:
      return 0;
  }
}

static int is_list(enum ArrowType type) { return type == NANOARROW_TYPE_LIST || type == NANOARROW_TYPE_MAP; }

static int has_bytes(enum ArrowType type) { return type == NANOARROW_TYPE_STRING || type == NANOARROW_TYPE_BINARY; }

static int has_offsets(enum ArrowType type) { return has_bytes(type) || is_list(type); }

static void init_empty(struct builder *builder) {
  ArrowBitmapInit(&builder->validity);
  ArrowBitmapInit(&builder->bits);
  ArrowBufferInit(&builder->data);
  ArrowBufferInit(&builder->offsets);
}

struct builder *builder_add_child(struct builder *builder) {
  if (builder->depth >= MAX_DEPTH) {
    PyErr_Format(PyExc_OverflowError, "the function returned a value nested deeper than %d", MAX_DEPTH);
    return NULL;
  }
  int64_t n = builder->n_children + 1;
  struct builder **children = realloc(builder->children, (size_t)n * sizeof *children);
  if (children != NULL) builder->children = children;
  struct builder *child = children == NULL ? NULL : calloc(1, sizeof *child);
  if (child == NULL) {
    out_of_memory();
    return NULL;
  }
  child->depth = builder->depth + 1;
  child->type.arrow = NANOARROW_TYPE_NA;
  init_empty(child);
  children[n - 1] = child;
  builder->n_children = n;
  return child;
}

/* Frees what a builder inside another holds. */
static void free_child(struct builder *builder) {
  for (int64_t i = 0; i < builder->n_children; i++) free_child(builder->children[i]);
  ArrowBitmapReset(&builder->validity);
  ArrowBitmapReset(&builder->bits);
  ArrowBufferReset(&builder->data);
  ArrowBufferReset(&builder->offsets);
  free(builder->children);
  free(builder->child_arrays);
  free(builder->child_schemas);
  Py_XDECREF(builder->type.name);
  free(builder);
}

static void drop_children(struct builder *builder) {
  for (int64_t i = 0; i < builder->n_children; i++) free_child(builder->children[i]);
  builder->n_children = 0;
}

static int init_declared(struct builder *builder, const struct value_type *declared) {
  builder->declared = 1;
  builder->type = *declared;
  Py_XINCREF(builder->type.name);
  struct builder *parent = builder;
  if (declared->arrow == NANOARROW_TYPE_MAP) { /* its entries, a struct of key and value */
    parent = builder_add_child(builder);
    if (parent == NULL) return -1;
    parent->declared = 1;
    parent->type = (struct value_type){.arrow = NANOARROW_TYPE_STRUCT};
  }
  for (int64_t i = 0; i < declared->n_children; i++) {
    struct builder *child = builder_add_child(parent);
    if (child == NULL || init_declared(child, &declared->children[i]) < 0) return -1;
  }
  return 0;
}

int builder_init(struct builder *builder, const struct value_type *declared) {
  memset(builder, 0, sizeof *builder);
  builder->type.arrow = NANOARROW_TYPE_NA;
  init_empty(builder);
  return declared == NULL ? 0 : init_declared(builder, declared);
}

/* Room for the fixed-width part of `capacity` rows. */
static int make_room(struct builder *builder, int64_t capacity) {
  int64_t width = value_width(builder->type.arrow), more = capacity - builder->length;
  ArrowErrorCode code = NANOARROW_OK;
  if (builder->type.arrow == NANOARROW_TYPE_BOOL) {
    code = ArrowBitmapReserve(&builder->bits, more);
  } else if (has_offsets(builder->type.arrow)) {
    builder->offsets.size_bytes = (builder->length + 1) * 4; /* what growing has to keep */
    code = ArrowBufferReserve(&builder->offsets, more * 4 + 4);
  } else if (width > 0) {
    builder->data.size_bytes = builder->length * width;
    code = ArrowBufferReserve(&builder->data, more * width);
  }
  if (code == NANOARROW_OK && builder->null_count > 0) code = ArrowBitmapReserve(&builder->validity, more);
  if (code != NANOARROW_OK) return out_of_memory();
  builder->capacity = capacity;
  return 0;
}

int builder_settle(struct builder *builder) {
  int64_t length = builder->length;
  builder->length = 0;
  builder->offsets.size_bytes = 0;
  int failed = make_room(builder, builder->capacity);
  builder->length = length;
  if (failed) return -1;
  int64_t width = value_width(builder->type.arrow);
  if (builder->type.arrow == NANOARROW_TYPE_BOOL) ArrowBitmapAppendUnsafe(&builder->bits, 0, length);
  if (has_offsets(builder->type.arrow)) memset(builder->offsets.data, 0, (size_t)(length + 1) * 4);
  if (width > 0) memset(builder->data.data, 0, (size_t)(length * width));
  return 0;
}

static int start(struct builder *builder, int64_t rows) {
  builder->length = 0;
  builder->null_count = 0;
  builder->capacity = rows;
  ArrowBitmapResize(&builder->validity, 0, 0);
  ArrowBitmapResize(&builder->bits, 0, 0);
  builder->data.size_bytes = 0;
  builder->offsets.size_bytes = 0;
  for (int64_t i = 0; i < builder->n_children; i++) {
    if (start(builder->children[i], 0) < 0) return -1;
  }
  return builder_settle(builder);
}

int builder_start(struct builder *builder, int64_t rows) {
  if (!builder->declared) {
    drop_children(builder);
    builder->type = (struct value_type){.arrow = NANOARROW_TYPE_NA};
  }
  return start(builder, rows);
}

int builder_grow(struct builder *builder) {
  return make_room(builder, builder->capacity < 32 ? 64 : builder->capacity * 2);
}

/* Takes rows back. */
static void truncate_to(struct builder *builder, int64_t length) {
  if (builder->length <= length) return;
  if (builder->null_count > 0) {
    builder->null_count = length - ArrowBitCountSet(builder->validity.buffer.data, 0, length);
    ArrowBitmapResize(&builder->validity, builder->null_count > 0 ? length : 0, 0);
  }
  if (builder->type.arrow == NANOARROW_TYPE_BOOL) ArrowBitmapResize(&builder->bits, length, 0);
  const int32_t *offsets = (const int32_t *)builder->offsets.data;
  if (has_bytes(builder->type.arrow)) builder->data.size_bytes = offsets[length];
  if (is_list(builder->type.arrow)) truncate_to(builder->children[0], offsets[length]);
  if (builder->type.arrow == NANOARROW_TYPE_STRUCT) {
    for (int64_t i = 0; i < builder->n_children; i++) truncate_to(builder->children[i], length);
  }
  builder->length = length;
}

void builder_undo_row(struct builder *builder) {
  if (is_list(builder->type.arrow)) {
    truncate_to(builder->children[0], ((const int32_t *)builder->offsets.data)[builder->length]);
  } else if (builder->type.arrow == NANOARROW_TYPE_STRUCT) {
    for (int64_t i = 0; i < builder->n_children; i++) truncate_to(builder->children[i], builder->length);
  }
}

int builder_append_null(struct builder *builder) {
  if (builder_next_row(builder) < 0) return -1;
  if (builder->type.arrow == NANOARROW_TYPE_STRUCT) {
    for (int64_t i = 0; i < builder->n_children; i++) {
      if (builder_append_null(builder->children[i]) < 0) return -1;
    }
  }
  if (builder->null_count == 0) {
    if (ArrowBitmapReserve(&builder->validity, builder->capacity) != NANOARROW_OK) return out_of_memory();
    ArrowBitmapAppendUnsafe(&builder->validity, 1, builder->length);
  }
  builder->null_count++;
  int64_t width = value_width(builder->type.arrow);
  if (builder->type.arrow == NANOARROW_TYPE_BOOL) {
    ArrowBitmapAppendUnsafe(&builder->bits, 0, 1);
  } else if (width > 0) {
    memset(builder->data.data + builder->length * width, 0, (size_t)width);
  } else if (has_offsets(builder->type.arrow)) {
    int32_t *offsets = (int32_t *)builder->offsets.data;
    offsets[builder->length + 1] = offsets[builder->length];
  }
  builder_close_row(builder, 0);
  return 0;
}

/* ---- the result ---------------------------------------------------------------------------------------- */

/* The type in the notation of the Arrow C data interface. */
static void write_format(struct builder *builder) {
  const char *format = "n";
  switch (builder->type.arrow) {
    case NANOARROW_TYPE_BOOL:
      format = "b";
      break;
    case NANOARROW_TYPE_INT64:
      format = "l";
      break;
    case NANOARROW_TYPE_UINT64:
      format = "L";
      break;
    case NANOARROW_TYPE_DOUBLE:
      format = "g";
      break;
    case NANOARROW_TYPE_STRING:
      format = "u";
      break;
    case NANOARROW_TYPE_BINARY:
      format = "z";
      break;
    case NANOARROW_TYPE_DATE32:
      format = "tdD";
      break;
    case NANOARROW_TYPE_TIME64:
      format = "ttu";
      break;
    case NANOARROW_TYPE_TIMESTAMP:
      format = builder->type.with_time_zone ? "tsu:UTC" : "tsu:";
      break;
    case NANOARROW_TYPE_DECIMAL128:
      snprintf(builder->format, sizeof builder->format, "d:%d,%d", (int)builder->type.precision,
               (int)builder->type.scale);
      return;
    case NANOARROW_TYPE_LIST:
      format = "+l";
      break;
    case NANOARROW_TYPE_STRUCT:
      format = "+s";
      break;
    case NANOARROW_TYPE_MAP:
      format = "+m";
      break;
    default:
      break;
  }
  snprintf(builder->format, sizeof builder->format, "%s", format);
}

/* Fills the structs that describe the builder and those inside it. */
static int describe(struct builder *builder) {
  size_t n = (size_t)builder->n_children;
  free(builder->child_arrays);
  free(builder->child_schemas);
  builder->child_arrays = malloc((n + 1) * sizeof *builder->child_arrays);
  builder->child_schemas = malloc((n + 1) * sizeof *builder->child_schemas);
  if (builder->child_arrays == NULL || builder->child_schemas == NULL) return out_of_memory();
  for (size_t i = 0; i < n; i++) {
    if (describe(builder->children[i]) < 0) return -1;
    builder->child_arrays[i] = &builder->children[i]->array;
    builder->child_schemas[i] = &builder->children[i]->schema;
  }

  enum ArrowType type = builder->type.arrow;
  int64_t n_buffers = 2;
  builder->buffers[0] = builder->null_count > 0 ? builder->validity.buffer.data : NULL;
  builder->buffers[1] = builder->data.data;
  if (type == NANOARROW_TYPE_BOOL) {
    builder->buffers[1] = builder->bits.buffer.data;
  } else if (has_offsets(type)) {
    builder->buffers[1] = builder->offsets.data;
    builder->buffers[2] = builder->data.data;
    n_buffers = has_bytes(type) ? 3 : 2;
  } else if (type == NANOARROW_TYPE_STRUCT) {
    n_buffers = 1;
  } else if (type == NANOARROW_TYPE_NA) {
    n_buffers = 0;
  }
  write_format(builder);
  const char *name = builder->type.name == NULL ? "" : PyUnicode_AsUTF8(builder->type.name);
  if (name == NULL) return -1;
  builder->schema = (struct ArrowSchema){
      .format = builder->format,
      .name = name,
      .flags = ARROW_FLAG_NULLABLE,
      .n_children = builder->n_children,
      .children = builder->child_schemas,
  };
  builder->array = (struct ArrowArray){
      .length = builder->length,
      .null_count = builder->null_count,
      .n_buffers = n_buffers,
      .n_children = builder->n_children,
      .buffers = builder->buffers,
      .children = builder->child_arrays,
  };
  return 0;
}

int builder_finish(struct builder *builder, struct udf_result *result) {
  if (describe(builder) < 0) return -1;
  result->schema = builder->schema;
  result->array = builder->array;
  return 0;
}
