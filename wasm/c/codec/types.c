#include "codec/types.h"

#include <string.h>

PyObject *decimal_class, *uuid_class, *interval_class, *json_loads, *json_dumps, *json_check, *coerce;

int out_of_memory(void) {
  PyErr_NoMemory();
  return -1;
}

int types_prepare(void) {
  static const struct {
    PyObject **object;
    const char *module, *name;
  } wanted[] = {
      {&decimal_class, "decimal", "Decimal"},           {&uuid_class, "uuid", "UUID"},
      {&interval_class, "duckdb_wasi_udf", "Interval"}, {&json_loads, "json", "loads"},
      {&json_check, "_udf_codec.json_text", "check"},   {&coerce, "_udf_codec.coercion", "coerce"},
  };
  for (size_t i = 0; i < Py_ARRAY_LENGTH(wanted); i++) {
    PyObject *module = PyImport_ImportModule(wanted[i].module);
    if (module == NULL) return -1;
    *wanted[i].object = PyObject_GetAttrString(module, wanted[i].name);
    Py_DECREF(module);
    if (*wanted[i].object == NULL) return -1;
  }
  PyObject *json = PyImport_ImportModule("json");
  PyObject *class = json == NULL ? NULL : PyObject_GetAttrString(json, "JSONEncoder");
  PyObject *options = Py_BuildValue("{sOsO}", "ensure_ascii", Py_False, "allow_nan", Py_False);
  PyObject *none = PyTuple_New(0);
  PyObject *encoder = class == NULL || options == NULL || none == NULL ? NULL : PyObject_Call(class, none, options);
  json_dumps = encoder == NULL ? NULL : PyObject_GetAttrString(encoder, "encode");
  Py_XDECREF(json);
  Py_XDECREF(class);
  Py_XDECREF(options);
  Py_XDECREF(none);
  Py_XDECREF(encoder);
  return json_dumps == NULL ? -1 : 0;
}

/* Extension names are those of Arrow's canonical types. What DuckDB passes as arrow.opaque is "duckdb." and the type's
 * name. The host has the same names in its module for Arrow types. */
static const struct kind_facts facts[] = {
    [SQL_NULL] = {"NULL", "n", NULL, 0},
    [SQL_BOOLEAN] = {"BOOLEAN", "b", NULL, 0},
    [SQL_TINYINT] = {"TINYINT", NULL, NULL, 1},
    [SQL_SMALLINT] = {"SMALLINT", NULL, NULL, 2},
    [SQL_INTEGER] = {"INTEGER", NULL, NULL, 4},
    [SQL_BIGINT] = {"BIGINT", "l", NULL, 8},
    [SQL_UTINYINT] = {"UTINYINT", NULL, NULL, 1},
    [SQL_USMALLINT] = {"USMALLINT", NULL, NULL, 2},
    [SQL_UINTEGER] = {"UINTEGER", NULL, NULL, 4},
    [SQL_UBIGINT] = {"UBIGINT", "L", NULL, 8},
    [SQL_HUGEINT] = {"HUGEINT", "w:16", "duckdb.hugeint", 16},
    [SQL_UHUGEINT] = {"UHUGEINT", "w:16", "duckdb.uhugeint", 16},
    [SQL_BIGNUM] = {"BIGNUM", "z", "duckdb.bignum", 0},
    [SQL_FLOAT] = {"FLOAT", NULL, NULL, 4},
    [SQL_DOUBLE] = {"DOUBLE", "g", NULL, 8},
    [SQL_DECIMAL] = {"DECIMAL", NULL, NULL, 16},
    [SQL_VARCHAR] = {"VARCHAR", "u", NULL, 0},
    [SQL_BLOB] = {"BLOB", "z", NULL, 0},
    [SQL_BIT] = {"BIT", "z", "duckdb.bit", 0},
    [SQL_DATE] = {"DATE", "tdD", NULL, 4},
    [SQL_TIME] = {"TIME", "ttu", NULL, 8},
    [SQL_TIMETZ] = {"TIME WITH TIME ZONE", "w:8", "duckdb.time_tz", 8},
    [SQL_TIMESTAMP] = {"TIMESTAMP", "tsu:", NULL, 8},
    [SQL_TIMESTAMPTZ] = {"TIMESTAMP WITH TIME ZONE", "tsu:UTC", NULL, 8},
    [SQL_INTERVAL] = {"INTERVAL", "tin", NULL, 16},
    [SQL_UUID] = {"UUID", "w:16", "arrow.uuid", 16},
    [SQL_JSON] = {"JSON", "u", "arrow.json", 0},
    [SQL_ENUM] = {"ENUM", NULL, "duckdb.enum", 0},
    [SQL_LIST] = {"LIST", "+l", NULL, 0},
    [SQL_ARRAY] = {"ARRAY", NULL, NULL, 0},
    [SQL_STRUCT] = {"STRUCT", "+s", NULL, 0},
    [SQL_MAP] = {"MAP", "+m", NULL, 0},
    [SQL_UNION] = {"UNION", NULL, NULL, 1},
    [SQL_VARIANT] = {"VARIANT", NULL, "arrow.parquet.variant", 0},
};

const struct kind_facts *kind_facts(enum sql_kind kind) { return &facts[kind]; }

/* Return whether a schema has the extension name of a kind. */
static bool is_named(const struct ArrowSchemaView *view, enum sql_kind kind) {
  struct ArrowStringView name = view->extension_name;
  size_t length = strlen(facts[kind].extension);
  return name.data != NULL && (size_t)name.size_bytes == length &&
         memcmp(name.data, facts[kind].extension, length) == 0;
}

/* Return the kind of a type, SQL_NULL for one without codec. */
static enum sql_kind kind_of_schema(const struct ArrowSchemaView *view) {
  switch (view->type) {
    case NANOARROW_TYPE_BOOL:
      return SQL_BOOLEAN;
    case NANOARROW_TYPE_INT8:
      return view->extension_name.data != NULL ? SQL_BOOLEAN : SQL_TINYINT;
    case NANOARROW_TYPE_UINT8:
      return SQL_UTINYINT;
    case NANOARROW_TYPE_INT16:
      return SQL_SMALLINT;
    case NANOARROW_TYPE_UINT16:
      return SQL_USMALLINT;
    case NANOARROW_TYPE_INT32:
      return SQL_INTEGER;
    case NANOARROW_TYPE_UINT32:
      return SQL_UINTEGER;
    case NANOARROW_TYPE_INT64:
      return SQL_BIGINT;
    case NANOARROW_TYPE_UINT64:
      return SQL_UBIGINT;
    case NANOARROW_TYPE_FLOAT:
      return SQL_FLOAT;
    case NANOARROW_TYPE_DOUBLE:
      return SQL_DOUBLE;
    case NANOARROW_TYPE_DECIMAL128:
      return SQL_DECIMAL;
    case NANOARROW_TYPE_STRING:
      return is_named(view, SQL_UUID) ? SQL_UUID : is_named(view, SQL_JSON) ? SQL_JSON : SQL_VARCHAR;
    case NANOARROW_TYPE_BINARY:
      return is_named(view, SQL_BIT) ? SQL_BIT : is_named(view, SQL_BIGNUM) ? SQL_BIGNUM : SQL_BLOB;
    case NANOARROW_TYPE_FIXED_SIZE_BINARY:
      if (view->fixed_size == 8 && is_named(view, SQL_TIMETZ)) return SQL_TIMETZ;
      if (view->fixed_size != 16) return SQL_NULL;
      return is_named(view, SQL_HUGEINT)    ? SQL_HUGEINT
             : is_named(view, SQL_UHUGEINT) ? SQL_UHUGEINT
             : is_named(view, SQL_UUID)     ? SQL_UUID
                                            : SQL_NULL;
    case NANOARROW_TYPE_DATE32:
      return SQL_DATE;
    case NANOARROW_TYPE_TIME64:
      return SQL_TIME;
    case NANOARROW_TYPE_TIMESTAMP:
      return view->timezone != NULL && view->timezone[0] != 0 ? SQL_TIMESTAMPTZ : SQL_TIMESTAMP;
    case NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO:
      return SQL_INTERVAL;
    case NANOARROW_TYPE_LIST:
      return SQL_LIST;
    case NANOARROW_TYPE_FIXED_SIZE_LIST:
      return SQL_ARRAY;
    case NANOARROW_TYPE_STRUCT:
      return is_named(view, SQL_VARIANT) ? SQL_VARIANT : SQL_STRUCT;
    case NANOARROW_TYPE_MAP:
      return SQL_MAP;
    case NANOARROW_TYPE_SPARSE_UNION:
      return SQL_UNION;
    case NANOARROW_TYPE_DICTIONARY:
      return SQL_ENUM;
    default:
      return SQL_NULL;
  }
}

static int read_type(struct value_type *type, const struct ArrowSchema *schema, int depth);

/* Read the types inside: of a MAP, those of its entries' STRUCT; of an ENUM, that of its dictionary. */
static int read_children(struct value_type *type, const struct ArrowSchema *schema, int depth) {
  struct ArrowSchema *dictionary[] = {schema->dictionary};
  struct ArrowSchema **children = schema->children;
  int64_t n_children = schema->n_children;
  if (type->kind == SQL_MAP) {
    n_children = children[0]->n_children;
    children = children[0]->children;
  } else if (type->kind == SQL_ENUM) {
    n_children = 1;
    children = dictionary;
  }
  type->children = calloc((size_t)n_children + 1, sizeof *type->children);
  if (type->children == NULL) return out_of_memory();
  for (int64_t i = 0; i < n_children; i++) {
    struct value_type *child = &type->children[i];
    if (read_type(child, children[i], depth + 1) < 0) return -1;
    if (type->kind == SQL_STRUCT || type->kind == SQL_UNION) {
      child->name = PyUnicode_InternFromString(children[i]->name);
      if (child->name == NULL) return -1;
    }
  }
  type->n_children = n_children;
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
      .kind = kind_of_schema(&view),
      .unit = view.time_unit,
      .as_text = view.type == NANOARROW_TYPE_STRING,
      .as_byte = view.type == NANOARROW_TYPE_INT8,
      .precision = view.decimal_precision,
      .scale = view.decimal_scale,
      .array_size = view.fixed_size,
  };
  if (type->kind == SQL_NULL && view.type != NANOARROW_TYPE_NA) {
    PyErr_Format(PyExc_TypeError, "the guest has no codec for Arrow type %s", ArrowTypeString(view.type));
    return -1;
  }
  return type->kind >= SQL_ENUM ? read_children(type, schema, depth) : 0;
}

int value_type_read(struct value_type *type, const struct ArrowSchema *schema) { return read_type(type, schema, 0); }

/* ---- types of results -------------------------------------------------------------------------------------------- */

const char *declared_name(const struct value_type *type) {
  return kind_facts(type->narrow != SQL_NULL ? type->narrow : type->kind)->name;
}

/* Read the values of an ENUM from the metadata of its schema: a JSON object with the values as keys. */
static int read_members(struct value_type *type, const struct ArrowSchema *schema) {
  struct ArrowStringView metadata = {NULL, 0};
  if (ArrowMetadataGetValue(schema->metadata, ArrowCharView("ARROW:extension:metadata"), &metadata) != NANOARROW_OK ||
      metadata.data == NULL) {
    PyErr_SetString(PyExc_TypeError, "an ENUM without its values");
    return -1;
  }
  type->members = PyObject_CallFunction(json_loads, "s#", metadata.data, (Py_ssize_t)metadata.size_bytes);
  if (type->members != NULL && PyDict_Check(type->members)) return 0;
  if (type->members != NULL) PyErr_SetString(PyExc_TypeError, "the values of an ENUM are no object");
  Py_CLEAR(type->members);
  return -1;
}

/* Note what was declared where results are built wider. `schema` is that of the type. */
static int widen(struct value_type *type, const struct ArrowSchema *schema) {
  struct ArrowSchemaView view;
  if (ArrowSchemaViewInit(&view, schema, NULL) != NANOARROW_OK) {
    PyErr_SetString(PyExc_TypeError, "the schema of the result can't be read");
    return -1;
  }
  enum sql_kind wide = SQL_NULL;
  if (type->kind >= SQL_TINYINT && type->kind <= SQL_UINTEGER && type->kind != SQL_BIGINT) wide = SQL_BIGINT;
  if (type->kind == SQL_FLOAT) wide = SQL_DOUBLE;
  if (type->kind == SQL_ARRAY) wide = SQL_LIST;
  if (wide != SQL_NULL) {
    type->narrow = type->kind;
    type->kind = wide;
  }
  if (type->kind == SQL_VARCHAR && is_named(&view, SQL_ENUM)) {
    type->narrow = SQL_ENUM;
    if (read_members(type, schema) < 0) return -1;
  }
  const struct ArrowSchema *inside = type->kind == SQL_MAP ? schema->children[0] : schema;
  for (int64_t i = 0; i < type->n_children; i++) {
    if (widen(&type->children[i], inside->children[i]) < 0) return -1;
  }
  return 0;
}

int result_type_read(struct value_type *type, const struct ArrowSchema *schema) {
  return value_type_read(type, schema) < 0 ? -1 : widen(type, schema);
}
