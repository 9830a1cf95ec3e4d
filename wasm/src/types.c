#include "types.h"

PyObject *decimal_class;

int types_prepare(void) {
  PyObject *decimal = PyImport_ImportModule("decimal");
  if (decimal == NULL) return -1;
  decimal_class = PyObject_GetAttrString(decimal, "Decimal");
  Py_DECREF(decimal);
  return decimal_class == NULL ? -1 : 0;
}

static int read_type(struct value_type *type, const struct ArrowSchema *schema, int depth);

/* The types inside; a MAP's are those of the STRUCT its entries are. */
static int read_children(struct value_type *type, const struct ArrowSchema *schema, int depth) {
  if (type->arrow == NANOARROW_TYPE_MAP) schema = schema->children[0];
  type->children = calloc((size_t)schema->n_children + 1, sizeof *type->children);
  if (type->children == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (int64_t i = 0; i < schema->n_children; i++) {
    struct value_type *child = &type->children[i];
    if (read_type(child, schema->children[i], depth + 1) < 0) return -1;
    if (type->arrow == NANOARROW_TYPE_STRUCT) {
      child->name = PyUnicode_InternFromString(schema->children[i]->name);
      if (child->name == NULL) return -1;
    }
  }
  type->n_children = schema->n_children;
  return 0;
}

static int read_type(struct value_type *type, const struct ArrowSchema *schema, int depth) {
  struct ArrowError error;
  struct ArrowSchemaView view;
  error.message[0] = 0;
  if (depth > MAX_DEPTH || ArrowSchemaViewInit(&view, schema, &error) != NANOARROW_OK) {
    PyErr_SetString(PyExc_TypeError, depth > MAX_DEPTH ? "the type nests too deep" : error.message);
    return -1;
  }
  *type = (struct value_type){
      .arrow = view.type,
      .unit = view.time_unit,
      .with_time_zone = view.type == NANOARROW_TYPE_TIMESTAMP && view.timezone != NULL && view.timezone[0] != 0,
      .precision = view.decimal_precision,
      .scale = view.decimal_scale,
      .list_size = view.fixed_size,
  };
  switch (view.type) {
    case NANOARROW_TYPE_NA:
    case NANOARROW_TYPE_BOOL:
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_UINT64:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
    case NANOARROW_TYPE_STRING:
    case NANOARROW_TYPE_BINARY:
    case NANOARROW_TYPE_DATE32:
    case NANOARROW_TYPE_TIME64:
    case NANOARROW_TYPE_TIMESTAMP:
    case NANOARROW_TYPE_DECIMAL128:
      return 0;
    case NANOARROW_TYPE_LIST:
    case NANOARROW_TYPE_FIXED_SIZE_LIST:
    case NANOARROW_TYPE_STRUCT:
    case NANOARROW_TYPE_MAP:
    case NANOARROW_TYPE_SPARSE_UNION:
      return read_children(type, schema, depth);
    case NANOARROW_TYPE_DICTIONARY: /* an ENUM: its values are strings, its codes what nanoarrow calls the storage */
      type->n_children = 1;
      type->children = calloc(1, sizeof *type->children);
      if (type->children == NULL) {
        PyErr_NoMemory();
        return -1;
      }
      return read_type(type->children, schema->dictionary, depth + 1);
    default:
      PyErr_Format(PyExc_TypeError, "the guest has no codec for Arrow type %s", ArrowTypeString(view.type));
      return -1;
  }
}

int value_type_read(struct value_type *type, const struct ArrowSchema *schema) { return read_type(type, schema, 0); }

const char *sql_name(const struct value_type *type) {
  switch (type->arrow) {
    case NANOARROW_TYPE_BOOL:
      return "BOOLEAN";
    case NANOARROW_TYPE_INT64:
      return "BIGINT";
    case NANOARROW_TYPE_UINT64:
      return "UBIGINT";
    case NANOARROW_TYPE_DOUBLE:
      return "DOUBLE";
    case NANOARROW_TYPE_BINARY:
      return "BLOB";
    case NANOARROW_TYPE_DATE32:
      return "DATE";
    case NANOARROW_TYPE_TIME64:
      return "TIME";
    case NANOARROW_TYPE_TIMESTAMP:
      return type->with_time_zone ? "TIMESTAMP WITH TIME ZONE" : "TIMESTAMP";
    case NANOARROW_TYPE_DECIMAL128:
      return "DECIMAL";
    case NANOARROW_TYPE_LIST:
      return "LIST";
    case NANOARROW_TYPE_STRUCT:
      return "STRUCT";
    case NANOARROW_TYPE_MAP:
      return "MAP";
    default:
      return "VARCHAR";
  }
}
