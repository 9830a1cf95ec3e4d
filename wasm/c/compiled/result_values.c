/* Results that nest, or whose type isn't fixed, to the column: as the interpreter would append them, or not at all. */
#include "codec/decode_scalars.h"
#include "codec/encode.h"
#include "codec/encode_scalars.h"
#include "compiled/described.h"

uint64_t k_decimal_text(struct compiled_context *context, const void *a);
int32_t k_decimal_out(struct compiled_context *context, const void *a, uint8_t *to);

static int refused(void) {
  PyErr_SetString(PyExc_NotImplementedError, "the interpreter appends it");
  return -1;
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static PyObject *object_of(const struct descriptions *all, const struct described_field *field, const uint8_t *slot,
                           int depth);

/* Return an item, a key or a value of a slot. */
static PyObject *part_object(const struct descriptions *all, const struct described_field *fields, uint32_t n,
                             uint32_t is_tuple, const uint8_t *slot, int depth) {
  if (!is_tuple && n == 1) return object_of(all, fields, slot, depth);
  PyObject *tuple = PyTuple_New((Py_ssize_t)n);
  for (uint32_t i = 0; tuple != NULL && i < n; i++) {
    PyObject *item = object_of(all, &fields[i], slot, depth);
    if (item == NULL) Py_CLEAR(tuple);
    if (item != NULL) PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, item);
  }
  return tuple;
}

static PyObject *list_object(const struct descriptions *all, const struct described *described,
                             const struct container *list, int depth) {
  PyObject *made = PyList_New((Py_ssize_t)list->count);
  for (uint32_t i = 0; made != NULL && i < list->count; i++) {
    PyObject *item = part_object(all, described->fields, described->n_keys, described->keys_are_tuples,
                                 list->data + (size_t)i * list->stride, depth);
    if (item == NULL) Py_CLEAR(made);
    if (item != NULL) PyList_SET_ITEM(made, (Py_ssize_t)i, item);
  }
  return made;
}

static PyObject *dict_object(const struct descriptions *all, const struct described *described,
                             const struct container *table, int depth) {
  PyObject *made = PyDict_New();
  for (uint32_t i = 0; made != NULL && i < table->count; i++) {
    const uint8_t *slot = table->data + (size_t)i * table->stride;
    uint32_t is_used;
    memcpy(&is_used, slot + 4, 4);
    if (!is_used) continue;
    const struct described_field *values = &described->fields[described->n_keys];
    PyObject *key = part_object(all, described->fields, described->n_keys, described->keys_are_tuples, slot, depth);
    PyObject *value =
        key == NULL ? NULL : part_object(all, values, described->n_values, described->values_are_tuples, slot, depth);
    if (value == NULL || PyDict_SetItem(made, key, value) < 0) Py_CLEAR(made);
    Py_XDECREF(key);
    Py_XDECREF(value);
  }
  return made;
}

/* Return a struct as a dict of its names. */
static PyObject *struct_object(const struct descriptions *all, const struct described *described, const uint8_t *slot,
                               int depth) {
  const uint32_t *names = described_names(described);
  PyObject *made = PyDict_New();
  for (uint32_t i = 0; made != NULL && i < described->n_keys; i++) {
    const char *text = (const char *)all->context->constants + names[2 * i];
    PyObject *name = PyUnicode_DecodeUTF8(text, (Py_ssize_t)names[2 * i + 1], NULL);
    if (name != NULL) PyUnicode_InternInPlace(&name);
    PyObject *value = name == NULL ? NULL : object_of(all, &described->fields[i], slot, depth);
    if (value == NULL || PyDict_SetItem(made, name, value) < 0) Py_CLEAR(made);
    Py_XDECREF(name);
    Py_XDECREF(value);
  }
  return made;
}

static PyObject *decimal_object(const struct descriptions *all, const void *decimal) {
  uint32_t before = all->context->arena_at;
  uint64_t text = k_decimal_text(all->context, decimal);
  all->context->arena_at = before;
  if (text >> 32 == 0) return refused(), NULL;
  return PyObject_CallFunction(decimal_class, "s#", (const char *)(uint32_t)(text >> 32), (Py_ssize_t)(uint32_t)text);
}

static PyObject *container_object(const struct descriptions *all, const struct described_field *field, uint32_t type,
                                  const void *value, int depth) {
  static const uint8_t numbers[] = {
      [LIST_TYPE] = OF_LIST, [DICT_TYPE] = OF_DICT, [RECORD_TYPE] = OF_RECORD, [STRUCT_TYPE] = OF_STRUCT};
  bool is_container = type == LIST_TYPE || type == DICT_TYPE || type == RECORD_TYPE || type == STRUCT_TYPE;
  uint32_t number = is_container ? field->containers[numbers[type]] : 0;
  if (number == 0 || depth >= MAX_DEPTH) return refused(), NULL;
  const struct described *described = described_at(all, number);
  if (type == LIST_TYPE) return list_object(all, described, value, depth + 1);
  if (type == DICT_TYPE) return dict_object(all, described, value, depth + 1);
  if (type == STRUCT_TYPE) return struct_object(all, described, value, depth + 1);
  return part_object(all, described->fields, described->n_keys, 1, value, depth + 1);
}

/* Return the value of a field as an object: a new reference, NULL with an exception. */
static PyObject *object_of(const struct descriptions *all, const struct described_field *field, const uint8_t *slot,
                           int depth) {
  const uint8_t *at = slot + field->offset;
  uint32_t type = field->type;
  int64_t integer;
  double real;
  if (type == MIXED) memcpy(&type, at + 8, 4);
  memcpy(&integer, at, 8);
  memcpy(&real, at, 8);
  switch (type) {
    case NONE_TYPE:
      return Py_NewRef(Py_None);
    case BOOL_TYPE:
      return PyBool_FromLong(integer != 0);
    case INT_TYPE:
      return PyLong_FromLongLong(integer);
    case FLOAT_TYPE:
      return PyFloat_FromDouble(real);
    case STR_TYPE:
      return PyUnicode_DecodeUTF8((const char *)pointed_at(at), (Py_ssize_t)(uint32_t)integer, NULL);
    case DATE_TYPE:
      return decode_date(integer);
    case DATETIME_TYPE:
      return decode_timestamp(integer, NANOARROW_TIME_UNIT_MICRO, false);
    case TIMEDELTA_TYPE:
      return decode_timedelta(integer);
    case DECIMAL_TYPE:
      return decimal_object(all, pointed_at(at));
    default:
      return container_object(all, field, type, pointed_at(at), depth);
  }
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static int append(const struct descriptions *all, const struct described_field *field, const uint8_t *slot,
                  struct builder *builder, int depth);

/* Append the items of a list, or a tuple as one. */
static int append_items(const struct descriptions *all, const struct described *described, const uint8_t *slot,
                        uint32_t count, uint32_t stride, bool is_tuple, struct builder *builder, int depth) {
  struct builder *values = builder->children[0];
  for (uint32_t i = 0; i < count; i++) {
    const struct described_field *field = &described->fields[is_tuple ? i : 0];
    if (append(all, field, is_tuple ? slot : slot + (size_t)i * stride, values, depth) < 0) return -1;
  }
  if (values->length > INT32_MAX) return refused();
  ((int32_t *)(void *)builder->offsets.data)[builder->length + 1] = (int32_t)values->length;
  return 0;
}

/* Append a struct to a declared STRUCT. */
static int append_named(const struct descriptions *all, const struct described *described, const uint8_t *slot,
                        struct builder *builder, int depth) {
  const uint32_t *names = described_names(described);
  int64_t found = 0;
  for (int64_t n = 0; n < builder->n_children; n++) {
    struct builder *child = builder->children[n];
    Py_ssize_t length;
    const char *name = PyUnicode_AsUTF8AndSize(child->type.name, &length);
    uint32_t i = 0;
    if (name == NULL) return -1;
    /* Most have the fields in the order of the names. */
    while (i < described->n_keys) {
      uint32_t k = ((uint32_t)n + i) % described->n_keys;
      if (names[2 * k + 1] == (uint32_t)length &&
          memcmp(all->context->constants + names[2 * k], name, (size_t)length) == 0) {
        if (append(all, &described->fields[k], slot, child, depth) < 0) return -1;
        found++;
        break;
      }
      i++;
    }
    if (i == described->n_keys && builder_append_null(child) < 0) return -1;
  }
  return found == described->n_keys ? 0 : refused(); /* a key that the type doesn't have */
}

/* Append a container without making an object of it. Returns 1 for one that has to be an object. */
static int append_container(const struct descriptions *all, const struct described_field *field, uint32_t type,
                            const uint8_t *at, struct builder *builder, int depth) {
  enum sql_kind kind = builder->type.kind;
  const void *value = pointed_at(at);
  if (builder->type.narrow != SQL_NULL || depth >= MAX_DEPTH) return 1;
  if (type == LIST_TYPE && kind == SQL_LIST && field->containers[OF_LIST] != 0) {
    const struct described *described = described_at(all, field->containers[OF_LIST]);
    const struct container *list = value;
    if (list->count > 0 && (described->keys_are_tuples || described->n_keys != 1)) return 1;
    return append_items(all, described, list->data, list->count, list->stride, false, builder, depth + 1);
  }
  if (type == RECORD_TYPE && field->containers[OF_RECORD] != 0) {
    const struct described *described = described_at(all, field->containers[OF_RECORD]);
    if (kind == SQL_LIST) return append_items(all, described, value, described->n_keys, 0, true, builder, depth + 1);
    if (kind != SQL_STRUCT || !builder->declared || (int64_t)described->n_keys != builder->n_children) return 1;
    for (uint32_t i = 0; i < described->n_keys; i++) {
      if (append(all, &described->fields[i], value, builder->children[i], depth + 1) < 0) return -1;
    }
    return 0;
  }
  if (type == STRUCT_TYPE && kind == SQL_STRUCT && builder->declared && field->containers[OF_STRUCT] != 0) {
    return append_named(all, described_at(all, field->containers[OF_STRUCT]), value, builder, depth + 1);
  }
  return 1;
}

/* Write a value where the column's next row is if both are of the same type. Returns 1 if they aren't. */
static int write_plain(uint32_t type, const uint8_t *at, struct builder *builder) {
  enum sql_kind kind = builder->type.kind, narrow = builder->type.narrow;
  uint8_t *data = builder->data.data;
  int64_t integer, row = builder->length;
  double real;
  memcpy(&integer, at, 8);
  memcpy(&real, at, 8);
  if (type == INT_TYPE && kind == SQL_BIGINT && integer_fits(narrow, integer)) {
    ((int64_t *)(void *)data)[row] = integer;
  } else if (type == FLOAT_TYPE && kind == SQL_DOUBLE && double_fits(narrow, real)) {
    ((double *)(void *)data)[row] = real;
  } else if (type == INT_TYPE && kind == SQL_DOUBLE && builder->declared && double_fits(narrow, (double)integer)) {
    ((double *)(void *)data)[row] = (double)integer;
  } else if (type == STR_TYPE && kind == SQL_VARCHAR && builder->type.members == NULL) {
    return append_bytes(builder, pointed_at(at), (Py_ssize_t)(uint32_t)integer);
  } else if (type == BOOL_TYPE && kind == SQL_BOOLEAN) {
    ArrowBitmapAppendUnsafe(&builder->bits, integer != 0, 1);
  } else if (type == DATE_TYPE && kind == SQL_DATE) {
    ((int32_t *)(void *)data)[row] = (int32_t)integer;
  } else if (type == DATETIME_TYPE && kind == SQL_TIMESTAMP && builder->type.unit == NANOARROW_TIME_UNIT_MICRO) {
    ((int64_t *)(void *)data)[row] = integer;
  } else if (type == DECIMAL_TYPE && kind == SQL_DECIMAL && builder->declared) {
    struct compiled_context own = {.precision = builder->type.precision, .scale = builder->type.scale};
    return k_decimal_out(&own, pointed_at(at), data + row * 16) ? 0 : refused();
  } else {
    return 1;
  }
  return 0;
}

/* Append the value of a field. Returns 0, or -1 with an exception; then the builder holds the rows before it. */
static int append(const struct descriptions *all, const struct described_field *field, const uint8_t *slot,
                  struct builder *builder, int depth) {
  const uint8_t *at = slot + field->offset;
  uint32_t type = field->type;
  if (type == MIXED) memcpy(&type, at + 8, 4);
  if (type == NONE_TYPE) return builder_append_null(builder);
  if (builder_next_row(builder) < 0) return -1;
  int status = type == LIST_TYPE || type >= RECORD_TYPE ? append_container(all, field, type, at, builder, depth)
                                                        : write_plain(type, at, builder);
  if (status == 0) {
    builder_close_row(builder, true);
    return 0;
  }
  if (status < 0) {
    builder_undo_row(builder);
    return -1;
  }
  PyObject *object = object_of(all, field, slot, depth);
  if (object == NULL) return -1;
  status = builder_append_as_it_is(builder, object);
  Py_DECREF(object);
  return status;
}

/* Append the result of a row. 0 where the interpreter has to. */
int32_t KERNEL(k_out_value)(struct compiled_context *context, int64_t integer, double real, int32_t tag,
                            const uint32_t *words) {
  uint8_t slot[16];
  memcpy(slot, &integer, 8);
  if (tag == FLOAT_TYPE) memcpy(slot, &real, 8);
  memcpy(slot + 8, &tag, 4);
  struct descriptions all = {context, words};
  bool done = append(&all, (const struct described_field *)(const void *)words, slot, context->builder, 0) == 0;
  if (!done) PyErr_Clear();
  return done;
}

/* Append NULL. */
int32_t KERNEL(k_out_null)(struct compiled_context *context) {
  if (builder_append_null(context->builder) == 0) return 1;
  PyErr_Clear();
  return 0;
}
