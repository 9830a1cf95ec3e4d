#include "codec/builder.h"

#include <string.h>

/* The maximum number of columns inside an inferred result. The host's reader of results has a higher bound. */
#define MAX_INFERRED 20000

/* ---- types ------------------------------------------------------------------------------------------------------- */

/* Return the bytes of a value in `data`, 0 for types without fixed width and for values elsewhere. */
static int64_t value_width(enum sql_kind kind) { return kind_facts(kind)->width; }

static bool is_list(enum sql_kind kind) { return kind == SQL_LIST || kind == SQL_MAP; }

static bool has_bytes(enum sql_kind kind) {
  return kind == SQL_VARCHAR || kind == SQL_BLOB || kind == SQL_BIT || kind == SQL_BIGNUM || kind == SQL_JSON;
}

static bool has_offsets(enum sql_kind kind) { return has_bytes(kind) || is_list(kind); }

/* Return whether the columns inside have a row for each of the builder's. */
static bool has_fields(enum sql_kind kind) { return kind == SQL_STRUCT || kind == SQL_UNION; }

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
  if (!builder->declared && builder->root->n_inferred++ >= MAX_INFERRED) {
    PyErr_Format(PyExc_OverflowError,
                 "the values returned for one batch have more than %d different fields and lists inside; declare the "
                 "result type, for example a MAP or JSON",
                 MAX_INFERRED);
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
  child->root = builder->root;
  child->in_struct = builder->in_struct || builder->type.kind == SQL_STRUCT;
  child->no_union =
      builder->no_union || builder->type.kind == SQL_UNION || (builder->in_struct && is_list(builder->type.kind));
  child->type.kind = SQL_NULL;
  init_empty(child);
  children[n - 1] = child;
  builder->n_children = n;
  return child;
}

/* Free a builder inside another, with all it holds. */
static void free_child(struct builder *builder) {
  for (int64_t i = 0; i < builder->n_children; i++) free_child(builder->children[i]);
  ArrowBitmapReset(&builder->validity);
  ArrowBitmapReset(&builder->bits);
  ArrowBufferReset(&builder->data);
  ArrowBufferReset(&builder->offsets);
  free(builder->children);
  free(builder->child_arrays);
  free(builder->child_schemas);
  free(builder->format);
  Py_XDECREF(builder->type.name);
  Py_XDECREF(builder->names);
  free(builder);
}

static void drop_children(struct builder *builder) {
  for (int64_t i = 0; i < builder->n_children; i++) free_child(builder->children[i]);
  builder->n_children = 0;
  Py_CLEAR(builder->names);
}

static int init_declared(struct builder *builder, const struct value_type *declared) {
  builder->declared = true;
  builder->type = *declared;
  Py_XINCREF(builder->type.name);
  struct builder *parent = builder;
  if (declared->kind == SQL_MAP) { /* its entries, a struct of key and value */
    parent = builder_add_child(builder);
    if (parent == NULL) return -1;
    parent->declared = true;
    parent->type = (struct value_type){.kind = SQL_STRUCT};
  }
  for (int64_t i = 0; i < declared->n_children; i++) {
    struct builder *child = builder_add_child(parent);
    if (child == NULL || init_declared(child, &declared->children[i]) < 0) return -1;
  }
  return 0;
}

int builder_init(struct builder *builder, const struct value_type *declared) {
  memset(builder, 0, sizeof *builder);
  builder->root = builder;
  builder->type.kind = SQL_NULL;
  init_empty(builder);
  return declared == NULL ? 0 : init_declared(builder, declared);
}

/* Make room for the fixed-width part of `capacity` rows. */
static int make_room(struct builder *builder, int64_t capacity) {
  int64_t width = value_width(builder->type.kind), more = capacity - builder->length;
  ArrowErrorCode code = NANOARROW_OK;
  if (builder->type.kind == SQL_BOOLEAN) {
    code = ArrowBitmapReserve(&builder->bits, more);
  } else if (has_offsets(builder->type.kind)) {
    builder->offsets.size_bytes = (builder->length + 1) * 4; /* growing copies so much */
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
  int status = make_room(builder, builder->capacity);
  builder->length = length;
  if (status < 0) return -1;
  int64_t width = value_width(builder->type.kind);
  if (builder->type.kind == SQL_BOOLEAN) ArrowBitmapAppendUnsafe(&builder->bits, 0, length);
  if (has_offsets(builder->type.kind)) memset(builder->offsets.data, 0, (size_t)(length + 1) * 4);
  if (width > 0 && length > 0) memset(builder->data.data, 0, (size_t)(length * width)); /* no rows, perhaps no memory */
  return 0;
}

int builder_fill_child(struct builder *builder, struct builder *child) {
  for (int64_t i = 0; i < builder->length; i++) {
    if (builder_append_null(child) < 0) return -1;
  }
  return 0;
}

static bool has_union(const struct builder *builder) {
  if (builder->type.kind == SQL_UNION) return true;
  for (int64_t i = 0; i < builder->n_children; i++) {
    if (has_union(builder->children[i])) return true;
  }
  return false;
}

/* Note that a column, and those inside it, are now inside a UNION. */
static void move_into_union(struct builder *builder) {
  builder->depth++;
  builder->no_union = true;
  for (int64_t i = 0; i < builder->n_children; i++) move_into_union(builder->children[i]);
}

int builder_become_union(struct builder *builder) {
  if (builder->no_union || has_union(builder)) {
    PyErr_SetString(PyExc_TypeError,
                    "the function returned values of mixed types in a list inside a dict, as keys of a "
                    "dict, or inside others of mixed types, where DuckDB's VARIANT can't have them; "
                    "declare a result type, such as JSON");
    return -1;
  }
  struct builder was = *builder;
  memset(builder, 0, sizeof *builder);
  init_empty(builder);
  builder->type = (struct value_type){.kind = SQL_UNION, .name = was.type.name};
  builder->depth = was.depth;
  builder->in_struct = was.in_struct;
  builder->root = was.root;
  builder->n_inferred = was.n_inferred;
  struct builder *member = builder_add_child(builder);
  if (member == NULL) {
    *builder = was;
    return -1;
  }
  builder->length = was.length;
  builder->capacity = was.capacity;
  was.type.name = NULL;
  *member = was;
  move_into_union(member);
  return builder_settle(builder);
}

/* Make a bitmap shorter, which needs no memory. */
static void shorten(struct ArrowBitmap *bitmap, int64_t length) {
  ArrowErrorCode code = ArrowBitmapResize(bitmap, length, 0);
  assert(code == NANOARROW_OK);
  (void)code;
}

static int start(struct builder *builder, int64_t rows) {
  builder->length = 0;
  builder->null_count = 0;
  builder->capacity = rows;
  shorten(&builder->validity, 0);
  shorten(&builder->bits, 0);
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
    builder->n_inferred = 0;
    builder->type = (struct value_type){.kind = SQL_NULL};
  }
  return start(builder, rows);
}

int builder_grow(struct builder *builder) {
  return make_room(builder, builder->capacity < 32 ? 64 : builder->capacity * 2);
}

/* Remove the rows from `length` on. */
static void truncate_to(struct builder *builder, int64_t length) {
  if (builder->length <= length) return;
  if (builder->null_count > 0) {
    builder->null_count = length - ArrowBitCountSet(builder->validity.buffer.data, 0, length);
    shorten(&builder->validity, builder->null_count > 0 ? length : 0);
  }
  if (builder->type.kind == SQL_BOOLEAN) shorten(&builder->bits, length);
  const int32_t *offsets = (const int32_t *)builder->offsets.data;
  if (has_bytes(builder->type.kind)) builder->data.size_bytes = offsets[length];
  if (is_list(builder->type.kind)) truncate_to(builder->children[0], offsets[length]);
  if (has_fields(builder->type.kind)) {
    for (int64_t i = 0; i < builder->n_children; i++) truncate_to(builder->children[i], length);
  }
  builder->length = length;
}

void builder_undo_row(struct builder *builder) {
  if (is_list(builder->type.kind)) {
    truncate_to(builder->children[0], ((const int32_t *)builder->offsets.data)[builder->length]);
  } else if (has_fields(builder->type.kind)) {
    for (int64_t i = 0; i < builder->n_children; i++) truncate_to(builder->children[i], builder->length);
  }
}

int builder_append_null(struct builder *builder) {
  if (builder_next_row(builder) < 0) return -1;
  if (has_fields(builder->type.kind)) {
    for (int64_t i = 0; i < builder->n_children; i++) {
      if (builder_append_null(builder->children[i]) < 0) return -1;
    }
  }
  if (builder->type.kind == SQL_UNION) { /* it has no NULL of its own, so the first member's stands for it */
    builder->data.data[builder->length] = 0;
    builder_close_row(builder, true);
    return 0;
  }
  if (builder->null_count == 0) {
    if (ArrowBitmapReserve(&builder->validity, builder->capacity) != NANOARROW_OK) return out_of_memory();
    ArrowBitmapAppendUnsafe(&builder->validity, 1, builder->length);
  }
  builder->null_count++;
  int64_t width = value_width(builder->type.kind);
  if (builder->type.kind == SQL_BOOLEAN) {
    ArrowBitmapAppendUnsafe(&builder->bits, 0, 1);
  } else if (width > 0) {
    memset(builder->data.data + builder->length * width, 0, (size_t)width);
  } else if (has_offsets(builder->type.kind)) {
    int32_t *offsets = (int32_t *)builder->offsets.data;
    offsets[builder->length + 1] = offsets[builder->length];
  }
  builder_close_row(builder, false);
  return 0;
}

PyObject *builder_names(struct builder *builder) {
  if (builder->names != NULL && PyDict_GET_SIZE(builder->names) == builder->n_children) return builder->names;
  if (builder->names == NULL) builder->names = PyDict_New();
  for (int64_t i = 0; builder->names != NULL && i < builder->n_children; i++) {
    PyObject *number = PyLong_FromLongLong(i);
    int status = number == NULL ? -1 : PyDict_SetItem(builder->names, builder->children[i]->type.name, number);
    Py_XDECREF(number);
    if (status < 0) Py_CLEAR(builder->names);
  }
  return builder->names;
}

int64_t builder_size(const struct builder *builder) {
  int64_t row = has_offsets(builder->type.kind) ? 4 : value_width(builder->type.kind);
  int64_t size = builder->length * row + (has_bytes(builder->type.kind) ? builder->data.size_bytes : 0);
  for (int64_t i = 0; i < builder->n_children; i++) size += builder_size(builder->children[i]);
  return size;
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

/* Write the type in the notation of the Arrow C data interface. */
static int write_format(struct builder *builder) {
  size_t size = 32 + (builder->type.kind == SQL_UNION ? 4 * (size_t)builder->n_children : 0);
  char *format = realloc(builder->format, size);
  if (format == NULL) return out_of_memory();
  builder->format = format;
  if (builder->type.kind == SQL_DECIMAL) {
    snprintf(format, size, "d:%d,%d", (int)builder->type.precision, (int)builder->type.scale);
  } else if (builder->type.kind == SQL_UNION) {
    format += snprintf(format, size, "+us:");
    for (int i = 0; i < builder->n_children; i++) format += sprintf(format, i == 0 ? "%d" : ",%d", i);
  } else {
    snprintf(format, size, "%s", kind_facts(builder->type.kind)->format);
  }
  return 0;
}

/* Return metadata that names an extension type: one pair of key and value, each after its length. NULL for no
 * extension. */
static const char *extension_metadata(enum sql_kind kind) {
  static char *known[SQL_VARIANT + 1];
  static const char key[] = "ARROW:extension:name";
  const char *name = kind_facts(kind)->extension;
  if (name == NULL || known[kind] != NULL) return known[kind];
  int32_t one = 1, key_length = sizeof key - 1, name_length = (int32_t)strlen(name);
  char *at = known[kind] = malloc(3 * sizeof(int32_t) + (size_t)(key_length + name_length));
  if (at == NULL) return NULL;
  memcpy(at, &one, 4);
  memcpy(at + 4, &key_length, 4);
  memcpy(at + 8, key, (size_t)key_length);
  memcpy(at + 8 + key_length, &name_length, 4);
  memcpy(at + 12 + key_length, name, (size_t)name_length);
  return at;
}

/* Fill the structs that describe the builder and those inside it. */
static int describe(struct builder *builder) {
  size_t n = (size_t)builder->n_children;
  if (builder->type.kind == SQL_MAP && infer_keys(builder) < 0) return -1;
  free(builder->child_arrays), free(builder->child_schemas);
  builder->child_arrays = malloc((n + 1) * sizeof *builder->child_arrays);
  builder->child_schemas = malloc((n + 1) * sizeof *builder->child_schemas);
  if (builder->child_arrays == NULL || builder->child_schemas == NULL) return out_of_memory();
  for (size_t i = 0; i < n; i++) {
    if (describe(builder->children[i]) < 0) return -1;
    builder->child_arrays[i] = &builder->children[i]->array;
    builder->child_schemas[i] = &builder->children[i]->schema;
  }

  enum sql_kind type = builder->type.kind;
  int64_t n_buffers = 2;
  builder->buffers[0] = builder->null_count > 0 ? builder->validity.buffer.data : NULL;
  builder->buffers[1] = builder->data.data;
  if (type == SQL_BOOLEAN) {
    builder->buffers[1] = builder->bits.buffer.data;
  } else if (has_offsets(type)) {
    builder->buffers[1] = builder->offsets.data;
    builder->buffers[2] = builder->data.data;
    n_buffers = has_bytes(type) ? 3 : 2;
  } else if (type == SQL_STRUCT) {
    n_buffers = 1;
  } else if (type == SQL_UNION) {
    builder->buffers[0] = builder->data.data;
    n_buffers = 1;
  } else if (type == SQL_NULL) {
    n_buffers = 0;
  }
  if (write_format(builder) < 0) return -1;
  /* A member of an inferred UNION has the name of its type. */
  const char *name = builder->type.name == NULL ? kind_facts(type)->name : PyUnicode_AsUTF8(builder->type.name);
  if (name == NULL) return -1;
  builder->schema = (struct ArrowSchema){
      .format = builder->format,
      .name = name,
      .metadata = extension_metadata(type),
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
